"""The node's statistics as the agent sees them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from corex_node.statistics.sample import SampleError
from corex_node.statistics.series import Series
from corex_node.statistics.statistics import Statistics
from corex_node.statistics.windows import Window
from tests.helpers.eventually import eventually_async

NOON = 1_700_006_400
"""A multiple of an hour."""


class Hands:
    """A clock that is set by hand.

    Attributes:
        at: seconds from noon.
    """

    def __init__(self) -> None:
        """Stand at noon."""
        self.at = 0.0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int((NOON + self.at) * 1000)


@pytest.fixture
def clock() -> Hands:
    """A clock at noon."""
    return Hands()


@pytest.fixture
def statistics(clock: Hands) -> Statistics:
    """Nothing recorded."""
    return Statistics(clock)


async def test_a_message_has_a_sample_on_each_line(statistics: Statistics) -> None:
    """Empty lines are nothing, lines may end as on Windows."""
    assert statistics.record("a:1|A\nb:2|A|id=x\r\n\n  \na:3|A\n") == 3
    assert statistics.refused == 0
    answer = await statistics.query()
    assert set(answer) == {"a", "b/x"}
    assert answer["a"]["current"]["300"]["avg"] == 2.0


async def test_wrong_lines_are_counted_and_the_others_taken(statistics: Statistics) -> None:
    """One by one."""
    assert statistics.record("a:1|A\nwrong\na:x|A\nb:2|A") == 2
    assert statistics.refused == 2
    assert set(await statistics.query()) == {"a", "b"}


def test_refusals_are_logged_now_and_then(statistics: Statistics) -> None:
    """Not each: a job may write a hundred thousand a second."""
    with capture_logs() as entries:
        for _ in range(50):
            statistics.record("\x1b[2J" * 1000)
    assert statistics.refused == 50
    assert [entry["event"] for entry in entries] == ["statistics.refused"]
    assert entries[0]["reason"] == "sample: at most 1024 characters"
    assert entries[0]["sample"].isprintable()
    assert len(entries[0]["sample"]) <= 1000


def test_a_message_is_read_up_to_a_thousand_samples(statistics: Statistics) -> None:
    """More than that would hold up the event loop; they are counted."""
    assert statistics.record("a:1|A\n" * 1000) == 1000
    assert statistics.refused == 0
    assert statistics.record("a:1|A\n" * 1500) == 1000
    assert statistics.refused == 500
    assert statistics.record("a:1|A\n" * 1000 + "a:1|A") == 1000
    assert statistics.refused == 501


def test_series_beyond_the_limit_are_counted(clock: Hands) -> None:
    """A job that makes up a key for each sample takes no more than its share of memory."""
    statistics = Statistics(clock, most=10)
    assert statistics.record("\n".join(f"k{number}:1|A" for number in range(100))) == 10
    assert (len(statistics), statistics.refused) == (10, 90)
    assert statistics.add("A", "k100", 1.0) is False
    assert statistics.add("A", "k1", 1.0) is True


@given(st.text(max_size=300) | st.lists(st.sampled_from([*"a1:|AD,=\n\r\x0b\x85"])).map("".join))
def test_no_message_raises(text: str) -> None:
    """Each line is taken, refused, or blank."""
    statistics = Statistics(Hands())
    taken = statistics.record(text)
    assert taken + statistics.refused <= text.count("\n") + 1


async def test_samples_from_code(statistics: Statistics) -> None:
    """The same as from text; a wrong argument is an error of the code."""
    assert statistics.add("D", "c", 1, "x", {"zone": "eu"})
    answer = (await statistics.query("c", {"zone": "eu", "id": "x"}))["c/x"]
    assert (answer["op"], answer["last_value"]) == ("D", 1.0)
    assert statistics.record("c:2|D|zone=eu,id=x") == 1
    assert set(await statistics.query()) == {"c/x"}
    with pytest.raises(SampleError, match=r"^op: "):
        statistics.add("X", "c", 1.0)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
async def test_samples_may_come_from_any_thread(statistics: Statistics) -> None:
    """None is lost."""

    together = threading.Barrier(4)

    def record() -> None:
        for start in range(0, 2000, 20):
            together.wait(10)
            for number in range(start, start + 20):
                statistics.record(f"k{number}:1|A")

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    answer = await statistics.query()
    assert len(answer) == 2000
    assert {metric["current"]["3600"]["count"] for metric in answer.values()} == {4}


async def test_others_have_their_turn_while_a_big_answer_is_made(clock: Hands) -> None:
    """Thousands of series do not hold up the event loop in one piece."""
    statistics = Statistics(clock, most=2000)
    for start in (0, 1000):
        statistics.record("\n".join(f"k{start + number}:1|A" for number in range(1000)))
    turns = 0
    asking = asyncio.create_task(statistics.query())
    while not asking.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(asking.result()) == 2000
    assert turns >= 10


# -- windows ----------------------------------------------------------------------------------


class Keeper:
    """Statistics that run, and the windows that they handed on.

    Attributes:
        closed: `(name, period, start from noon, total)` in order.
        fails: whether whoever takes windows raises.
        thread: which they were handed on in.
    """

    def __init__(self, clock: Hands, most: int = 10_000) -> None:
        """Begin without a sample."""
        self.closed: list[tuple[str, int, int, float]] = []
        self.fails = False
        self.thread = 0
        self.statistics = Statistics(clock, self._hear, most)

    def _hear(self, series: Series, period: int, window: Window) -> None:
        self.thread = threading.get_ident()
        self.closed.append((series.name, period, window.start - NOON, window.total))
        if self.fails:
            raise RuntimeError("not now")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let it run."""
        task = asyncio.create_task(self.statistics.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@pytest.fixture
def keeper(clock: Hands) -> Keeper:
    """Statistics whose windows are handed on."""
    return Keeper(clock)


async def test_windows_are_handed_on_when_their_time_ends(keeper: Keeper, clock: Hands) -> None:
    """Without another sample or a question."""
    keeper.statistics.record("a:1|A\nb:2|A")
    clock.at = 299.98
    async with keeper.running():
        assert keeper.closed == []
        clock.at = 300.0
        await eventually_async(lambda: len(keeper.closed) == 2)
    assert keeper.closed == [("a", 300, 0, 1.0), ("b", 300, 0, 2.0)]
    assert keeper.thread == threading.get_ident()


async def test_the_first_windows_after_noon_close_at_the_hour(keeper: Keeper, clock: Hands) -> None:
    """Those of an hour with the twelfth of five minutes."""
    keeper.statistics.record("a:1|A")
    clock.at = 3599.98
    async with keeper.running():
        clock.at = 3600.0
        await eventually_async(lambda: len(keeper.closed) == 2)
    assert keeper.closed == [("a", 300, 0, 1.0), ("a", 3600, 0, 1.0)]


async def test_a_window_that_a_thread_closed_is_handed_on_by_the_event_loop(
    keeper: Keeper, clock: Hands
) -> None:
    """Whoever takes it needs not care for threads."""
    keeper.statistics.record("a:1|A")
    clock.at = 300.0
    await asyncio.to_thread(keeper.statistics.record, "a:2|A")
    assert keeper.closed == []
    async with keeper.running():
        await eventually_async(lambda: keeper.closed == [("a", 300, 0, 1.0)])
    assert keeper.thread == threading.get_ident()


async def test_one_that_fails_to_take_a_window_is_given_the_next(
    keeper: Keeper, clock: Hands
) -> None:
    """Its error is logged and stops nothing."""
    keeper.statistics.record("a:1|A\nb:2|A")
    keeper.fails = True
    clock.at = 299.98
    with capture_logs() as entries:
        async with keeper.running():
            clock.at = 300.0
            await eventually_async(lambda: len(keeper.closed) == 2)
    assert [entry["event"] for entry in entries] == ["statistics.not_handed_on"] * 2


async def test_windows_that_nobody_takes_are_bounded(clock: Hands) -> None:
    """The oldest are lost, and counted."""
    keeper = Keeper(clock, most=2)
    for number in range(10):
        clock.at = number * 300
        keeper.statistics.record("a:1|A")
    assert keeper.statistics.lost == 5
    async with keeper.running():
        await eventually_async(lambda: len(keeper.closed) == 4)
    assert [start for _, _, start, _ in keeper.closed] == [1500, 1800, 2100, 2400]
