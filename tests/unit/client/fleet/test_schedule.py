"""When which node of a run has its turn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex.fleet.schedule import Bounds, Schedule
from corex_shared.errors import ConfigError

counts = st.none() | st.integers(1, 12)


class Story:
    """One run: nodes start when they may, and end in an order and a way that is drawn."""

    def __init__(self, draw: st.DataObject, size: int, bounds: Bounds) -> None:
        self.bounds = bounds
        self.size = size
        self.draw = draw.draw
        self.schedule = self._fresh()
        self.running: set[int] = set()
        self.outcomes: dict[int, str] = {}
        self.begun: list[int] = []

    def _fresh(self) -> Schedule:
        return Schedule([f"n{node}" for node in range(self.size)], self.bounds)

    def play(self) -> None:
        """Go on to the end; every step is checked."""
        for node in self.draw(st.sets(st.integers(0, self.size - 1), max_size=3)):
            self.lose(node)  # they cannot be reached, as is known from the beginning
        self.step()
        while self.running:
            if self.draw(st.integers(0, 9)) == 0:
                self.hand_over()
            node = self.draw(st.sampled_from(sorted(self.running)))
            self.running.discard(node)
            self.end(node, "ok" if self.draw(st.booleans()) else "failed")
            self.step()

    def lose(self, node: int) -> None:
        """End a node that has not had its turn, unless nothing is started any more."""
        if not self.schedule.stopped:
            self.end(node, "failed")

    def end(self, node: int, outcome: str) -> None:
        """End a node; it has one outcome only."""
        assert node not in self.outcomes
        self.outcomes[node] = outcome
        self.schedule.ended(node, ok=outcome == "ok")

    def step(self) -> None:
        """Start what may, skip what shall not."""
        for node in self.schedule.start():
            assert node not in self.outcomes
            assert node not in self.running
            self.running.add(node)
            self.begun.append(node)
        for node in self.schedule.skip():
            assert node not in self.outcomes
            assert node not in self.running
            self.outcomes[node] = "skipped"
        self.check()

    def check(self) -> None:
        """See that no bound is broken, nor would be if all that runs failed now."""
        bounds = self.bounds
        assert self.schedule.running == self.running
        if bounds.batch is not None:
            assert len(self.running) <= bounds.batch
        if bounds.max_failures is not None:
            failed = self.count("failed")
            assert failed + len(self.running) <= bounds.max_failures
        canaries = range(min(bounds.canary or 0, self.size))
        if any(self.outcomes.get(node) != "ok" for node in canaries):
            assert all(node in canaries for node in self.begun)

    def count(self, outcome: str) -> int:
        """Count the nodes with an outcome."""
        return list(self.outcomes.values()).count(outcome)

    def hand_over(self) -> None:
        """Let somebody else go on, who knows what the record says."""
        self.schedule = self._fresh()
        for node in self.draw(st.permutations(sorted(self.outcomes))):
            if self.outcomes[node] == "skipped":
                self.schedule.skipped(node, "as it was said")
            else:
                self.schedule.ended(node, ok=self.outcomes[node] == "ok")
        for node in sorted(self.running):
            self.schedule.started(node)
        self.step()


@given(data=st.data(), size=st.integers(1, 30), batch=counts, canary=counts, failures=counts)
def test_no_bound_is_broken_and_every_node_has_one_outcome(
    data: st.DataObject, size: int, batch: int | None, canary: int | None, failures: int | None
) -> None:
    """Whatever fails in whatever order, and whoever goes on with it."""
    story = Story(data, size, Bounds(batch, canary, failures))
    story.play()
    assert sorted(story.outcomes) == list(range(size))
    assert story.schedule.done
    if failures is not None:
        assert story.count("failed") <= failures
    if story.count("skipped"):
        assert story.schedule.stopped
        canary_failed = any(
            story.outcomes[node] == "failed" for node in range(min(canary or 0, size))
        )
        assert canary_failed or story.count("failed") == failures


@given(size=st.integers(1, 30), failures=st.integers(1, 12), batch=counts)
def test_as_many_fail_as_may(size: int, failures: int, batch: int | None) -> None:
    """When all nodes fail it is exactly that number, not one more and not one less."""
    schedule = Schedule(["n"] * size, Bounds(batch=batch, max_failures=failures))
    failed = 0
    while started := schedule.start():
        for node in started:
            failed += 1
            schedule.ended(node, ok=False)
    assert failed == min(failures, size)
    assert len(schedule.skip()) == size - failed


@given(size=st.integers(1, 30), batch=st.integers(1, 12))
def test_a_batch_is_kept_full(size: int, batch: int) -> None:
    """Whenever one ends the next one starts; none waits for the slowest of its batch."""
    schedule = Schedule(["n"] * size, Bounds(batch=batch))
    order = schedule.start()
    for ended in range(size):
        assert len(schedule.running) == min(batch, size - ended)
        schedule.ended(ended, ok=True)
        order += schedule.start()
    assert order == list(range(size))


def test_without_bounds_all_start_at_once() -> None:
    """A broadcast."""
    assert Schedule(["n"] * 5, Bounds()).start() == [0, 1, 2, 3, 4]


def test_canaries_run_alone() -> None:
    """The others follow when the last of them has succeeded."""
    schedule = Schedule(["n"] * 5, Bounds(canary=2))
    assert schedule.start() == [0, 1]
    schedule.ended(1, ok=True)
    assert schedule.start() == []
    schedule.ended(0, ok=True)
    assert schedule.start() == [2, 3, 4]


def test_a_canary_that_fails_stops_all_else() -> None:
    """Also while the other canary runs; it says which one it was."""
    schedule = Schedule(["a", "b", "c"], Bounds(canary=2))
    schedule.start()
    schedule.ended(1, ok=False)
    assert (schedule.skip(), schedule.stopped) == ([2], "the canary b did not succeed")
    schedule.ended(0, ok=True)
    assert schedule.start() == []
    assert schedule.done


def test_the_reason_is_the_first_one() -> None:
    """A run that was stopped is not stopped once more."""
    schedule = Schedule(["a", "b"], Bounds(max_failures=1))
    schedule.start()
    schedule.ended(0, ok=False)
    schedule.stop("cancelled")
    assert schedule.stopped == "1 node failed (max_failures=1)"


def test_what_has_ended_ends_once() -> None:
    """A second word about a node changes nothing."""
    schedule = Schedule(["a", "b"], Bounds(max_failures=2))
    schedule.start()
    schedule.ended(0, ok=False)
    schedule.ended(0, ok=False)
    schedule.started(0)
    assert (schedule.failures, set(schedule.running), schedule.stopped) == (1, {1}, "")


@pytest.mark.parametrize("name", ["batch", "canary", "max_failures"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_what_is_no_bound_is_refused(name: str, value: Any) -> None:
    """The error names the option."""
    with pytest.raises(ConfigError, match=f"{name}: a whole number, 1 or more"):
        Bounds(**{name: value})
