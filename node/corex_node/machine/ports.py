"""Sockets that listen, see proc_pid_net(5), and whose they are."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from corex_node.machine.files import ROOT

_LISTENS = "0A"
_UNCONNECTED = "07"  # of UDP: it hears whoever sends
_INTERNET = {"tcp": _LISTENS, "tcp6": _LISTENS, "udp": _UNCONNECTED, "udp6": _UNCONNECTED}
_ACCEPTS = 0x10000  # __SO_ACCEPTCON among the flags of a Unix socket
_DATAGRAM = "0002"
_UNIX_UNCONNECTED = "01"
_is_word = re.compile(r"([0-9A-Fa-f]{8})+").fullmatch


class _Listener(NamedTuple):
    """A socket; `inode` is its number, by which the descriptors of processes name it."""

    network: str
    port: int
    unix: str
    ip: str
    inode: int


def read_ports(root: Path = ROOT) -> list[dict[str, Any]]:
    """List what listens in this network namespace, in the shape of 0-core.

    That is TCP sockets that accept, UDP sockets that are not connected, and Unix sockets with a
    name that accept or, if they are for datagrams, are not connected; the name of an abstract one
    begins with `@`. `pid` is None when no process that we may look into holds the socket; of
    several it is the lowest.
    """
    listeners = [listener for network in _INTERNET for listener in _internet(root, network)]
    listeners += _unix(root)
    holders = _holders(root, {listener.inode for listener in listeners})
    return [
        {
            "network": listener.network,
            "port": listener.port,
            "unix": listener.unix,
            "ip": listener.ip,
            "pid": holders.get(listener.inode),
        }
        for listener in listeners
    ]


def _lines(path: Path) -> Iterator[str]:
    """Go through a table that may be long; nothing of one that is missing."""
    with suppress(OSError), open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        next(file, None)  # its heading
        yield from file


def _internet(root: Path, network: str) -> Iterator[_Listener]:
    for line in _lines(root / "proc/net" / network):
        fields = line.split(None, 10)
        if len(fields) > 9 and fields[3] == _INTERNET[network]:
            with suppress(ValueError):
                host, _, port = fields[1].partition(":")
                yield _Listener(network, int(port, 16), "", _address(host), int(fields[9]))


def _address(text: str) -> str:
    """Read an address: words of four bytes, each in hexadecimal as the processor has it.

    Raises:
        ValueError: it is none.
    """
    if not _is_word(text):
        raise ValueError(text)
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _unix(root: Path) -> Iterator[_Listener]:
    for line in _lines(root / "proc/net/unix"):
        fields = line.rstrip("\n").split(None, 7)
        if len(fields) == 8:  # the last is its name; most have none
            with suppress(ValueError):
                flags, kind, state, inode = int(fields[3], 16), *fields[4:6], int(fields[6])
                if flags & _ACCEPTS or (kind == _DATAGRAM and state == _UNIX_UNCONNECTED):
                    yield _Listener("unix", 0, fields[7], "", inode)


def _holders(root: Path, wanted: Collection[int]) -> dict[int, int]:
    """Find the processes that hold sockets, in one pass over the descriptors of all."""
    links = {f"socket:[{inode}]": inode for inode in wanted}
    found: dict[int, int] = {}
    for pid in _pids(root):
        folder = f"{root}/proc/{pid}/fd"
        with suppress(OSError):  # it has ended, or is not for us
            for name in os.listdir(folder):
                with suppress(OSError):  # closed meanwhile
                    inode = links.get(os.readlink(f"{folder}/{name}"))
                    if inode is not None:
                        found.setdefault(inode, pid)
        if len(found) == len(links):
            break
    return found


def _pids(root: Path) -> list[int]:
    with suppress(OSError):
        return sorted(int(name) for name in os.listdir(root / "proc") if name.isdecimal())
    return []
