"""Load that goes on while servers come and go: each command notes that it ran."""

from __future__ import annotations

from corex import Client, Command, Job, JobResult
from tests.helpers.diary import Diary

WAIT = 40.0
"""Seconds for all of it."""


class Load:
    """Commands for one node, and what becomes of them."""

    def __init__(self, cx: Client, node: str, diary: Diary) -> None:
        """Nothing is pushed yet."""
        self._cx = cx
        self._node = node
        self._diary = diary
        self._jobs: list[Job] = []

    def push(self, count: int, *, queue: str | None = None) -> None:
        """Push so many more."""
        command = Command("bash", {"script": self._diary.script()}, queue=queue)
        self._jobs += self._cx.submit_many([(self._node, command)] * count)

    def ran(self, count: int) -> bool:
        """Whether so many ran."""
        return self._diary.has(count)

    def assert_each_ran_once(self) -> None:
        """See that each has exactly one result, which this client hears, and ran once."""
        results: dict[str, JobResult] = {}
        for job, result in self._cx.as_completed(self._jobs, timeout=WAIT):
            assert job.id not in results
            results[job.id] = result
        assert {result.state for result in results.values()} == {"SUCCESS"}
        assert set(results) == {job.id for job in self._jobs}
        assert self._diary.runs() == dict.fromkeys(results, 1)

    def order(self) -> list[str]:
        """IDs in the order in which they were pushed."""
        return [job.id for job in self._jobs]
