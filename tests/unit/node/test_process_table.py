"""All processes of the system at one moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.process.process_table import (
    TICKS,
    ProcessEntry,
    ProcessTable,
    parse_stat,
    read_processes,
    swap_is_used,
    swapped,
)

_REST = b" S 10 20 30 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5000 8192 7 184467 1 1 0"


@pytest.mark.parametrize("name", [b"sh", b"a b", b") S 1 1 (", b"((", b"))", b"\xff\n", b""])
def test_a_stat_line_is_read_whatever_the_name_is(name: bytes) -> None:
    """A program may call itself what it likes."""
    entry = parse_stat(b"42 (" + name + b")" + _REST)
    assert entry == ProcessEntry(
        pid=42,
        parent=10,
        session=30,
        started=5000,
        ticks=127,
        vms=8192,
        rss=7 * os.sysconf("SC_PAGE_SIZE"),
    )


@given(st.binary(max_size=60))
def test_what_is_no_stat_line_is_nothing(data: bytes) -> None:
    """A process that ends while it is read may leave anything, most likely nothing."""
    assert parse_stat(data) is None
    assert parse_stat(b"1 (a) " + data[:20]) is None


def test_the_system_is_seen_as_psutil_sees_it() -> None:
    """This process, its parent, what it uses."""
    table = read_processes()
    mine = table.entries[os.getpid()]
    process = psutil.Process()
    assert mine.parent == os.getppid()
    assert mine.session == os.getsid(0)
    assert mine.rss == pytest.approx(process.memory_info().rss, rel=0.2)
    assert mine.vms == pytest.approx(process.memory_info().vms, rel=0.2)
    times = process.cpu_times()
    used = times.user + times.system + times.children_user + times.children_system
    assert mine.ticks / TICKS == pytest.approx(used, abs=0.5)
    age = table.taken - mine.started / TICKS
    assert age == pytest.approx(time.time() - process.create_time(), abs=1)


def test_swap() -> None:
    """As psutil tells; nothing of what is not there."""
    assert swapped(os.getpid()) == psutil.Process().memory_full_info().swap
    assert swapped(2**22 + 1) == 0
    assert swap_is_used() or psutil.swap_memory().total == 0


def test_a_tree_is_found() -> None:
    """A child and its child, and no brother."""
    script = "import subprocess, sys; subprocess.run(['sh', '-c', 'echo; cat; true'])"
    argv = [sys.executable, "-c", script]
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as brother,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.read(1) == b"\n"
        table = read_processes()
        assert {brother.pid, child.pid} <= set(table.children(os.getpid()))
        tree = table.trees([child.pid])
        assert brother.pid not in tree
        grandchildren = table.children(child.pid)
        assert len(grandchildren) == 1
        assert {child.pid, *grandchildren} <= set(tree)
        assert child.pid in table.session(os.getsid(0))


def _entry(pid: int, parent: int) -> ProcessEntry:
    return ProcessEntry(pid, parent, pid, 0, 0, 1, 1)


def test_trees_that_overlap_hold_each_process_once() -> None:
    """Roots that are gone, or given twice, are no matter; nor is a circle."""
    table = ProcessTable(0, [_entry(1, 0), _entry(2, 1), _entry(3, 2), _entry(8, 9), _entry(9, 8)])
    assert sorted(table.trees([2, 1, 1, 77])) == [1, 2, 3]
    assert sorted(table.trees([8])) == [8, 9]
    assert table.trees([]) == {}
