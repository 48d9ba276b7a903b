"""Processes from a made-up /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corex_node.machine.processes import list_processes
from tests.helpers.tree import plant

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
REST = (
    " S 10 42 42 0 -1 4194304 1 2 3 4 "
    f"{3 * TICKS} {2 * TICKS} 9 9 20 0 1 0 {50 * TICKS} 8192 7 "
    f"184467 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 {TICKS} 0 0 0 0 0 0 0 0 0 0\n"
)
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max file size             1024                 unlimited            bytes
Max realtime timeout      18446744073709551614 18446744073709551614 us
"""
SWAPS = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda3 partition 1 1 -2\n"
IDLE = ("guestnice", "idle", "irq", "nice", "softirq", "steal", "stolen")


def _tree(root: Path, name: str = "sh") -> Path:
    files: dict[str, str | bytes] = {
        "proc/stat": "btime 1700000000\n",
        "proc/swaps": SWAPS,
        "proc/42/stat": f"42 ({name}){REST}",
        "proc/42/cmdline": b"sh\0-c\0a \xff b\0\0\0",
        "proc/42/status": "Name:\tsh\nVmSwap:\t      12 kB\n",
        "proc/42/limits": LIMITS,
        "proc/42/fd/0": "",
        "proc/42/fd/1": "",
        "proc/7/stat": "",  # it ends while it is read
        "proc/8/comm": "gone",
        "proc/9/stat": f"9 (bare){REST}",  # nothing else is for us
        "proc/self/stat": f"42 (sh){REST}",
    }
    return plant(root, files)


def test_all_of_a_process(tmp_path: Path) -> None:
    (process,) = list_processes(42, _tree(tmp_path))
    assert process == {
        "pid": 42,
        "ppid": 10,
        "cmdline": "sh -c a \ufffd b",
        "name": "sh",
        "createtime": 1700000050000,
        "cpu": {**dict.fromkeys(IDLE, 0.0), "iowait": 1.0, "system": 2.0, "user": 3.0},
        "rss": 7 * PAGE,
        "vms": 8192,
        "swap": 12 * 1024,
        "rlimit": [
            {"resource": 0, "soft": -1, "hard": -1},
            {"resource": 1, "soft": 1024, "hard": -1},
            {"resource": 2, "soft": 2**64 - 2, "hard": 2**64 - 2},
        ],
        "ofd": 2,
    }


@pytest.mark.parametrize("name", ["", ") S 1 1 (", "((", "))", "a b"])
def test_a_process_may_call_itself_what_it_likes(tmp_path: Path, name: str) -> None:
    (process,) = list_processes(42, _tree(tmp_path, name))
    assert (process["name"], process["ppid"]) == (name, 10)


def test_those_that_vanish_are_left_out_and_what_is_not_for_us_is_empty(tmp_path: Path) -> None:
    bare, whole = list_processes(root=_tree(tmp_path))
    assert (bare["pid"], whole["pid"]) == (9, 42)
    assert [bare[name] for name in ("cmdline", "rlimit", "ofd", "swap")] == ["", [], 0, 0]
    assert set(bare) == set(whole)


def test_a_long_command_line_is_cut_among_all_and_whole_for_one(tmp_path: Path) -> None:
    root = plant(_tree(tmp_path), {"proc/42/cmdline": b"x" * 100_000})
    assert len(list_processes(42, root)[0]["cmdline"]) == 100_000
    assert len(list_processes(root=root)[-1]["cmdline"]) == 4096


def test_without_swap_nothing_is_swapped(tmp_path: Path) -> None:
    root = plant(_tree(tmp_path), {"proc/swaps": SWAPS.partition("/")[0]})
    assert list_processes(42, root)[0]["swap"] == 0


def test_one_that_is_gone(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    for pid in (7, 8, 1000, 2**70):
        assert list_processes(pid, root) == []
    assert list_processes(root=tmp_path / "nowhere") == []
