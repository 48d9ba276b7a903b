"""Starting a set of services: who waits for whom, and what becomes of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corex_node.services.order import PHASES, CycleError, Item, OrderError, arrange
from corex_node.services.slice import RUNNING, Outcome, Standing, failed, run_slice
from tests.helpers.eventually import eventually_async

KEYS = [f"s{number}" for number in range(7)]


class FakeStarter:
    """Starts what it is told to, when it is told to.

    Attributes:
        started: keys in the order of their starts.
        running: keys of services that run.
        cancelled: keys whose start was cancelled.
        fates: key → what its start comes to; RUNNING when not there.
        held: keys that wait for `release`.
        skipped: keys that are not to be started.
        check: called with each key at its start.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        self.running: set[str] = set()
        self.cancelled: list[str] = []
        self.fates: dict[str, Outcome | BaseException] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.skipped: set[str] = set()
        self.check: Callable[[str], None] = lambda _: None

    def hold(self, *keys: str) -> None:
        self.held.update({key: asyncio.Event() for key in keys})

    def release(self, key: str) -> None:
        self.held[key].set()

    def skip(self, item: Item) -> bool:
        if item.key == "skip-raises":
            raise RuntimeError("no way")
        return item.key in self.skipped

    async def start(self, item: Item) -> Outcome:
        self.check(item.key)
        self.started.append(item.key)
        try:
            if item.key in self.held:
                await self.held[item.key].wait()
            else:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(item.key)
            raise
        fate = self.fates.get(item.key, RUNNING)
        if isinstance(fate, BaseException):
            raise fate
        if fate == RUNNING:
            self.running.add(item.key)
        return fate


def _items(text: str) -> list[Item]:
    """Read `a; b: a net; c: b` as items."""
    parts = [part.partition(":") for part in text.split(";")]
    return [Item(key.strip(), tuple(after.split())) for key, _, after in parts]


async def _run(text: str, starter: FakeStarter) -> dict[str, Outcome]:
    async with asyncio.timeout(10):
        return await run_slice(_items(text), starter)


async def test_all_run_when_all_goes_well() -> None:
    starter = FakeStarter()
    outcomes = await _run("c: b; b: a; a; d: net; e: init", starter)
    assert outcomes == dict.fromkeys("cbade", RUNNING)
    assert list(outcomes) == list("cbade")
    assert starter.running == set("abcde")


async def test_no_services_are_started_at_once() -> None:
    assert await run_slice([], FakeStarter()) == {}


async def test_a_service_starts_as_soon_as_those_it_names_run_and_not_before() -> None:
    starter = FakeStarter()
    starter.hold("a", "b", "slow")
    run = asyncio.create_task(_run("a; b; slow; c: a b; d: c; e: a", starter))
    await eventually_async(lambda: starter.started == ["a", "b", "slow"])
    starter.release("a")
    await eventually_async(lambda: "e" in starter.running)
    assert "c" not in starter.started
    starter.release("b")
    await eventually_async(lambda: "d" in starter.running)
    assert starter.started == ["a", "b", "slow", "e", "c", "d"]
    assert not run.done()
    starter.release("slow")
    assert set((await run).values()) == {RUNNING}


async def test_a_phase_begins_when_nothing_of_the_one_before_is_on_its_way() -> None:
    starter = FakeStarter()
    starter.hold("i1", "i2", "n")
    run = asyncio.create_task(_run("b; n: net; i1: init; i2: init; m: i1", starter))
    await eventually_async(lambda: starter.started == ["i1", "i2"])
    starter.release("i1")
    await eventually_async(lambda: "m" in starter.running)
    assert starter.started == ["i1", "i2", "m"]
    starter.release("i2")
    await eventually_async(lambda: starter.started[3:] == ["n"])
    starter.release("n")
    assert set((await run).values()) == {RUNNING}
    assert starter.started[4:] == ["b"]


async def test_a_service_that_failed_holds_up_no_later_phase_but_those_who_name_it() -> None:
    starter = FakeStarter()
    starter.fates["i"] = failed("exit code 3")
    outcomes = await _run("i: init; n: net; x: net i; b", starter)
    assert outcomes["i"] == failed("exit code 3")
    assert (outcomes["n"], outcomes["b"]) == (RUNNING, RUNNING)
    assert outcomes["x"].standing is Standing.FAILED
    assert outcomes["x"].reason == "it comes after i, which failed: exit code 3"
    assert starter.started == ["i", "n", "b"]


async def test_dependants_of_a_failed_service_fail_with_a_reason_that_names_it() -> None:
    starter = FakeStarter()
    starter.fates["a"] = failed("exit code 3")
    outcomes = await _run("d: c; c: b; b: a ok; a; ok", starter)
    assert starter.started == ["a", "ok"]
    assert outcomes["ok"] == RUNNING
    assert outcomes["b"].reason == "it comes after a, which failed: exit code 3"
    assert outcomes["c"].reason == (
        "it comes after b, which was not started because a failed: exit code 3"
    )
    assert outcomes["d"].reason.startswith("it comes after c,")
    assert {outcomes[key].root for key in "bcd"} == {"a"}
    assert {outcomes[key].standing for key in "abcd"} == {Standing.FAILED}


async def test_dependants_of_a_missing_service_fail_with_a_reason_that_names_it() -> None:
    starter = FakeStarter()
    outcomes = await _run("a: gone; b: a; c", starter)
    assert starter.started == ["c"]
    assert outcomes["a"].reason == "it comes after gone, which does not exist"
    assert outcomes["b"].reason == (
        "it comes after a, which was not started because gone does not exist"
    )
    assert {outcomes[key].standing for key in "ab"} == {Standing.FAILED}


async def test_a_skipped_service_is_not_started_and_its_dependants_fail() -> None:
    starter = FakeStarter()
    starter.skipped = {"a", "c"}
    outcomes = await _run("a; b: a; c: b; d: c; e", starter)
    assert starter.started == ["e"]
    assert {outcomes[key].standing for key in "ac"} == {Standing.SKIPPED}
    assert outcomes["b"].reason == (
        "it comes after a, which was skipped: its condition does not hold"
    )
    assert outcomes["d"].root == "c"


async def test_one_failed_dependency_is_enough_when_the_others_run_later() -> None:
    starter = FakeStarter()
    starter.hold("slow")
    starter.fates["a"] = failed("no")
    run = asyncio.create_task(_run("slow; a; b: slow a; c: b; other: boot", starter))
    await eventually_async(lambda: starter.started == ["slow", "a", "other"])
    starter.release("slow")
    outcomes = await run
    assert (outcomes["slow"], outcomes["b"].root, outcomes["c"].root) == (RUNNING, "a", "a")
    assert starter.started == ["slow", "a", "other"]


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_a_starter_that_raises_is_a_failure_of_that_service_alone(
    error: BaseException,
) -> None:
    starter = FakeStarter()
    starter.fates["a"] = error
    outcomes = await _run("a; b: a; c; skip-raises", starter)
    assert outcomes["a"].standing is Standing.FAILED
    assert "broken" in outcomes["a"].reason or "cancelled" in outcomes["a"].reason
    assert outcomes["b"].root == "a"
    assert outcomes["c"] == RUNNING
    assert outcomes["skip-raises"] == failed("RuntimeError: no way")


async def test_a_start_that_a_stranger_cancels_is_a_failure_too() -> None:
    starter = FakeStarter()
    starter.hold("a")
    run = asyncio.create_task(_run("a; b: a; c", starter))
    await eventually_async(lambda: "c" in starter.running)
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == "start a"]
    task.cancel()
    outcomes = await run
    assert outcomes["a"] == failed("its start was cancelled")
    assert outcomes["b"].root == "a"


async def test_reasons_do_not_grow_along_a_chain() -> None:
    starter = FakeStarter()
    starter.fates["s0"] = failed("x" * 100_000)
    items = [Item(f"s{number}", (f"s{number - 1}",) if number else ()) for number in range(1000)]
    outcomes = await run_slice(items, starter)
    assert len(outcomes["s0"].reason) == 100_000
    assert max(len(outcomes[f"s{number}"].reason) for number in range(1, 1000)) < 400


@pytest.mark.parametrize(
    "text, kind", [("a; b: c; c: b", CycleError), ("a; a", OrderError), ("net", OrderError)]
)
async def test_an_order_that_is_none_is_refused_before_anything_starts(
    text: str, kind: type[Exception]
) -> None:
    starter = FakeStarter()
    with pytest.raises(kind):
        await _run(text, starter)
    assert starter.started == []


async def test_a_cancel_ends_all_starts_and_waits_for_them() -> None:
    starter = FakeStarter()
    starter.hold("a", "b")
    run = asyncio.create_task(_run("a; b; c: a; d", starter))
    await eventually_async(lambda: "d" in starter.running)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(starter.cancelled) == ["a", "b"]
    assert "c" not in starter.started
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("start ")]


async def test_a_cancel_before_the_first_step_starts_nothing() -> None:
    starter = FakeStarter()
    run = asyncio.create_task(_run("a", starter))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert starter.started == []


@pytest.mark.parametrize("shape", ["chain", "flat", "fan", "failing chain", "phases"])
async def test_ten_thousand_services_are_started_in_a_moment(shape: str) -> None:
    count = 10_000
    keys = [f"s{number}" for number in range(count)]
    after: dict[str, Callable[[int], tuple[str, ...]]] = {
        "chain": lambda number: (keys[number - 1],) if number else (),
        "flat": lambda number: (),
        "fan": lambda number: (keys[0],) if number else (),
        "failing chain": lambda number: (keys[number - 1],) if number else (),
        "phases": lambda number: (PHASES[number % 3],),
    }
    starter = FakeStarter()
    if shape == "failing chain":
        starter.fates["s0"] = failed("no")
    begun = time.process_time()
    outcomes = await run_slice(
        [Item(key, after[shape](number)) for number, key in enumerate(keys)], starter
    )
    assert time.process_time() - begun < 8
    assert len(starter.started) == (1 if shape == "failing chain" else count)
    assert len(outcomes) == count


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from([*KEYS, "gone", *PHASES]))),
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
)
def test_every_service_has_an_outcome_that_fits_those_it_comes_after(
    given_items: dict[str, list[str]], failing: set[str], skipped: set[str]
) -> None:
    items = [Item(key, tuple(after)) for key, after in given_items.items()]
    try:
        order = arrange(items)
    except CycleError:
        return
    starter = FakeStarter()
    starter.skipped = skipped
    starter.fates = dict.fromkeys(failing, failed("no"))

    def check(key: str) -> None:
        named = set(given_items[key]) - set(PHASES)
        assert named <= starter.running

    starter.check = check

    async def run() -> dict[str, Outcome]:
        async with asyncio.timeout(5):
            return await run_slice(items, starter)

    outcomes = asyncio.run(run())
    assert list(outcomes) == list(given_items)
    for key in order.starting():
        named = [name for name in given_items[key] if name not in PHASES]
        fine = all(name in outcomes and outcomes[name] == RUNNING for name in named)
        if key in skipped:
            assert outcomes[key].standing is Standing.SKIPPED
        elif not fine:
            assert outcomes[key].standing is Standing.FAILED
            assert any(f"it comes after {name}, " in outcomes[key].reason for name in named)
            assert key not in starter.started
        else:
            assert outcomes[key] == starter.fates.get(key, RUNNING)
            assert starter.started.count(key) == 1
