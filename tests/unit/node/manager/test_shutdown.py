"""The end of all jobs, or of all but some."""

from __future__ import annotations

import asyncio

import pytest

from corex_node.manager.flags import JobFlags
from corex_node.manager.manager import is_kept
from corex_shared.models import Command
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench


def _sleep(job_id: str, **fields: object) -> Command:
    return Command("bash", {"script": "echo up; sleep 30"}, id=job_id, **fields)  # type: ignore[arg-type]


async def test_without_exceptions_everything_ends(bench: Bench) -> None:
    """Running, queued, waiting for its next run, and protected."""
    manager = bench.manager
    handles = [
        manager.start(_sleep("running", queue="q")),
        manager.start(_sleep("queued", queue="q")),
        manager.start(Command("bash", {"script": "true"}, id="recurring", recurring_period=60)),
        manager.start(_sleep("protected"), flags=JobFlags(protected=True)),
    ]
    await eventually_async(lambda: handles[2].attempts == 1 and not handles[2].process)
    await asyncio.wait_for(manager.shutdown(), 10)
    assert manager.jobs == {}
    assert [handle.result and handle.result.state for handle in handles] == [JobState.KILLED] * 4


async def test_exceptions_go_on(bench: Bench) -> None:
    """Exact IDs, and beginnings with a star."""
    manager = bench.manager
    names = ["keep", "keeper", "svc.web", "svc.db", "other"]
    for name in names:
        manager.start(_sleep(name))
    await asyncio.wait_for(manager.shutdown(keep=["keep", "svc.*"]), 10)
    assert sorted(manager.jobs) == ["keep", "svc.db", "svc.web"]


async def test_ranks_end_one_after_the_other(bench: Bench) -> None:
    """Whoever depends on others ends before them, and is waited for."""
    ended: list[str] = []
    notes: list[asyncio.Task[None]] = []
    manager = bench.manager
    slow = "trap 'sleep 0.2; exit 0' TERM; echo up; sleep 30 & wait"
    for name in ("db", "web", "other"):
        handle = manager.start(Command("bash", {"script": slow}, id=name, grace=5))
        notes.append(asyncio.create_task(_note(handle.wait(20), name, ended)))
        await eventually_async(lambda name=name: manager.jobs[name].messages)  # type: ignore[misc]
    await asyncio.wait_for(manager.shutdown(ranks=[["web"], ["db"]]), 20)
    await asyncio.gather(*notes)
    assert ended == ["web", "db", "other"]


async def _note(end: object, name: str, ended: list[str]) -> None:
    await end  # type: ignore[misc]
    ended.append(name)


@pytest.mark.parametrize(
    "job, keep, kept",
    [
        ("a", ["a"], True),
        ("ab", ["a"], False),
        ("ab", ["a*"], True),
        ("a", ["*"], True),
        ("a", ["b*", "a"], True),
        ("a", [], False),
        ("a*", ["a*"], True),
    ],
)
def test_what_is_an_exception(job: str, keep: list[str], kept: bool) -> None:
    """An exact ID, or what begins so."""
    assert is_kept(job, keep) is kept
