"""What trees of processes use between two looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.process.process_table import TICKS, ProcessEntry, ProcessTable
from corex_node.process.usage_meter import (
    AgentMeter,
    Reading,
    UsageMeter,
    cpu_percent,
    read_tree,
)
from tests.helpers.eventually import eventually

SECOND = TICKS


def _reading(taken: float, *processes: tuple[int, int, int]) -> Reading:
    """Read a tree of `(pid, parent, ticks)`; all started at the boot."""
    entries = [ProcessEntry(pid, parent, 1, 0, ticks, 1, 1) for pid, parent, ticks in processes]
    table = ProcessTable(taken, entries)
    return read_tree(table, table.entries)


def test_the_first_share_is_since_the_tree_began() -> None:
    """Its oldest process tells when."""
    old = ProcessEntry(1, 0, 1, 100 * SECOND, 2 * SECOND, 1, 1)
    new = ProcessEntry(2, 1, 1, 108 * SECOND, 1 * SECOND, 1, 1)
    table = ProcessTable(110.0, [old, new])
    assert cpu_percent(read_tree(table, table.entries), None) == pytest.approx(30)


def test_later_shares_are_since_the_last_look() -> None:
    """Of all processes together, those included that began in between."""
    before = _reading(100, (1, 0, 50 * SECOND), (2, 1, 0))
    now = _reading(110, (1, 0, 51 * SECOND), (2, 1, 4 * SECOND), (3, 1, 10 * SECOND))
    assert cpu_percent(now, before) == pytest.approx(150)


def test_a_child_that_was_reaped_is_not_counted_again() -> None:
    """Its parent has its time now: of 5 s, 3 were known already."""
    before = _reading(100, (1, 0, 0), (2, 1, 3 * SECOND))
    now = _reading(110, (1, 0, 5 * SECOND))
    assert cpu_percent(now, before) == pytest.approx(20)


def test_what_ended_outside_of_the_tree_takes_nothing_away() -> None:
    """The reaper is not of the tree: the time is lost, not negative."""
    before = _reading(100, (1, 0, 0), (2, 9, 30 * SECOND))
    now = _reading(110, (1, 0, 1 * SECOND))
    assert cpu_percent(now, before) == pytest.approx(10)


def test_another_process_with_the_same_number_is_another() -> None:
    """Numbers are used again; number and start are not."""
    before = _reading(100, (1, 0, 90 * SECOND))
    entry = ProcessEntry(1, 0, 1, 105 * SECOND, 1 * SECOND, 1, 1)
    table = ProcessTable(110.0, [entry])
    assert cpu_percent(read_tree(table, table.entries), before) == pytest.approx(10)


_TREES = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 10**6)),
    min_size=1,
    max_size=6,
)


@given(_TREES, _TREES, st.floats(0, 1e6))
def test_a_share_is_never_negative(
    before: list[tuple[int, int, int]], now: list[tuple[int, int, int]], passed: float
) -> None:
    """Whatever became of the processes in between, and however little time passed."""
    assert cpu_percent(_reading(5 + passed, *now), _reading(5, *before)) >= 0


# -- real processes ---------------------------------------------------------------------------

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs, each of a job: the head of a session, with a mark."""
    with ExitStack() as stack:

        def started(*argv: str, job: str = "") -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                argv,
                env={**os.environ, "COREX_JOB_ID": job},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            stack.enter_context(process)
            stack.callback(_kill_session, process.pid)
            return process

        yield started


def _kill_session(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def test_many_jobs_are_measured_at_once(start: Start) -> None:
    """Each by itself, with its children; one that is gone is left out."""
    kept = "x = bytearray(30_000_000); print('ready', flush=True); input()"
    big = start(sys.executable, "-c", kept)
    parent = start("sh", "-c", f'"{sys.executable}" -c "{kept}"; true')
    small, gone = start("cat"), start("true")
    assert (_line(big), _line(parent)) == ("ready", "ready")
    gone.wait()
    jobs = {"big": big.pid, "parent": parent.pid, "small": small.pid, "gone": gone.pid}
    usages = UsageMeter().measure(jobs)
    assert set(usages) == {"big", "parent", "small"}
    assert usages["big"].rss > 30_000_000
    assert usages["parent"].rss > 30_000_000
    assert 0 < usages["small"].rss < 20_000_000
    assert usages["small"].vms > usages["small"].rss


def test_one_that_has_ended_and_is_not_reaped_is_left_out(start: Start) -> None:
    """A zombie uses nothing."""
    process = start("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert UsageMeter().measure({"a": process.pid}) == {}


def test_the_share_is_of_the_time_between_two_measurements(start: Start) -> None:
    """A process that is stopped uses nothing, whatever it used before."""
    busy = start(sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass")
    assert _line(busy) == "ready"
    meter = UsageMeter()
    jobs = {"busy": busy.pid}
    eventually(lambda: meter.measure(jobs)["busy"].cpu > 20)
    busy.send_signal(signal.SIGSTOP)
    eventually(lambda: meter.measure(jobs)["busy"].cpu == 0)
    meter.forget_all_but([])
    assert meter.measure(jobs)["busy"].cpu > 0


def test_what_a_job_left_in_its_session_is_still_its_own(start: Start) -> None:
    """Its main process may have gone first."""
    job = start("sh", "-c", "sleep 30 & echo $!; exec >&-; read x")
    left = int(_line(job))
    meter = UsageMeter()
    assert meter.measure({"a": job.pid})["a"].rss > 0
    assert job.stdin is not None
    job.stdin.close()
    job.wait()
    assert meter.measure({"a": job.pid})["a"].rss > 0
    os.kill(left, signal.SIGKILL)
    eventually(lambda: meter.measure({"a": job.pid}) == {})


def test_what_left_a_job_is_known_by_its_mark(start: Start) -> None:
    """A daemon has a session of its own, and the reaper of the job's main process for a parent."""
    job = start("cat", job="a")
    daemon = start(
        sys.executable, "-c", "x = b'x' * 50_000_000; print(1, flush=True); input()", job="a"
    )
    other = start("cat", job="b")
    _line(daemon)
    meter = UsageMeter()
    for _ in range(2):
        usages = meter.measure({"a": job.pid, "b": other.pid})
        assert usages["a"].rss > 50_000_000
        assert usages["b"].rss < 20_000_000
    daemon.kill()
    daemon.wait()
    assert meter.measure({"a": job.pid})["a"].rss < 20_000_000


def test_the_agent_and_its_jobs_are_counted_once(start: Start) -> None:
    """However often they are named; other children of the agent are not."""
    job = start(sys.executable, "-c", "x = b'x' * 40_000_000; print(1, flush=True); input()")
    other = start(sys.executable, "-c", "x = b'x' * 90_000_000; print(1, flush=True); input()")
    _line(job)
    _line(other)
    alone = AgentMeter().measure(os.getpid(), [])
    both = AgentMeter().measure(os.getpid(), [job.pid, job.pid])
    assert 40_000_000 < both.rss - alone.rss < 85_000_000
    again = AgentMeter().measure(os.getpid(), [os.getpid(), job.pid])
    assert again.rss > both.rss + 85_000_000  # named as a root, its whole tree counts


def test_two_who_ask_at_once_have_the_same_share() -> None:
    """The share of a moment means nothing."""
    meter = AgentMeter()
    first = meter.measure(os.getpid(), [])
    second = meter.measure(os.getpid(), [])
    assert second.cpu == pytest.approx(first.cpu, rel=0.5)
    assert first.cpu > 0
