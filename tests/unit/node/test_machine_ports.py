"""Sockets that listen, from recorded tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from corex_node.machine.ports import read_ports
from tests.helpers.tree import plant

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on x86")

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
)
TAIL = "00000000:00000000 00:00000000 00000000     0        0"
TCP = f"""\
{HEAD}   0: 0100007F:18EB 00000000:0000 0A {TAIL} 101 1 0000000000000000 100 0 0 10 0
   1: 0200000A:8AE2 0300000A:01BB 01 {TAIL} 102 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 07 {TAIL} 103 1 0000000000000000 100 0 0 10 0
   3: garbage 00000000:0000 0A {TAIL} 104
   4: 00
"""
V6 = "B80D0120000000000000000001000000"
TCP6 = f"{HEAD}   0: {V6}:0050 {'0' * 32}:0000 0A {TAIL} 105 1 0 100 0 0 10 0\n"
UDP = f"""\
{HEAD}  10: 00000000:0035 00000000:0000 07 {TAIL} 106 2 0 0
  11: 0100007F:0036 0100007F:0037 01 {TAIL} 107 2 0 0
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000002 00000000 00010000 0001 01 201 /run/my app.sock
0000: 00000002 00000000 00010000 0005 01 202 @abstract
0000: 00000003 00000000 00000000 0001 03 203 /run/my app.sock
0000: 00000002 00000000 00000000 0002 01 204 /run/log
0000: 00000002 00000000 00000000 0002 01 205
0000: 00000002 00000000 00000000 0001 01 206 /run/bound-only
"""


def _brief(ports: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(port[key] for key in ("network", "port", "unix", "ip", "pid")) for port in ports]


def _hold(root: Path, pid: int, *targets: str) -> None:
    folder = root / f"proc/{pid}/fd"
    folder.mkdir(parents=True)
    for number, target in enumerate(targets):
        os.symlink(target, folder / str(number))


def test_what_listens_is_listed_with_who_holds_it(tmp_path: Path) -> None:
    """The lowest process of several; none for what nobody shows."""
    tables = {"tcp": TCP, "tcp6": TCP6, "udp": UDP, "unix": UNIX}  # no IPv6 for UDP
    root = plant(tmp_path, {f"proc/net/{name}": text for name, text in tables.items()})
    _hold(root, 30, "/dev/null", "socket:[101]", "pipe:[105]", "socket:[201]")
    _hold(root, 7, "socket:[101]")
    plant(root, {"proc/31/fd": "not for us", "proc/self/fd/0": "no link"})
    assert _brief(read_ports(root)) == [
        ("tcp", 6379, "", "127.0.0.1", 7),
        ("tcp6", 80, "", "2001:db8::1", None),
        ("udp", 53, "", "0.0.0.0", None),
        ("unix", 0, "/run/my app.sock", "", 30),
        ("unix", 0, "@abstract", "", None),
        ("unix", 0, "/run/log", "", None),
    ]


def test_no_tables_are_no_ports(tmp_path: Path) -> None:
    assert read_ports(tmp_path) == []
