"""`node.jobs`, `node.queues` and `node.stats` with a real agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from corex import AsyncNode, Client, Job, JobFailed, JobState, Node, WaitTimeout
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess


def _listed(node: Node, job: str) -> bool:
    return job in [entry.id for entry in node.jobs.list()]


def _run(node: Node, script: str) -> Job:
    """Start a job, and wait until the node has it."""
    job = node.bash(script)
    eventually(lambda: _listed(node, job.id))
    return job


def _knows(agent: NodeProcess, job: str) -> bool:
    with Client(agent.url, namespace=agent.namespace) as client:
        return _listed(client.node(agent.id), job)


def _commands(node: Node) -> list[str]:
    return [entry.cmd.command for entry in node.jobs.list()]


def _code(call: Callable[[], object]) -> int:
    with pytest.raises(JobFailed) as caught:
        call()
    return caught.value.result.code


def test_jobs_are_listed_with_their_commands_until_they_end(node: Node) -> None:
    job = node.system("sleep", args=["30"], queue="listed", tags=["t"])
    waiting = node.system("true", queue="listed")
    eventually(lambda: _listed(node, waiting.id))
    eventually(lambda: node.jobs.list(job.id)[0].pid > 0)
    entry = node.jobs.list(job.id)[0]
    assert (entry.id, entry.stage) == (job.id, "running")
    assert entry.cmd.arguments == {"name": "sleep", "args": ["30"]}
    assert (entry.cmd.command, entry.cmd.queue, entry.cmd.tags) == ("core.system", "listed", ["t"])
    assert entry.rss > 0
    assert entry.starttime > 1_600_000_000_000
    (entry,) = node.jobs.list(waiting.id)
    assert (entry.stage, entry.pid) == ("waiting", 0)
    assert node.jobs.kill(job.id)
    assert job.wait(timeout=10).state is JobState.KILLED
    assert waiting.wait(timeout=10).ok
    assert _code(lambda: node.jobs.list(job.id)) == 404


def test_killing_what_is_not_there_and_with_what_is_no_signal(node: Node) -> None:
    assert node.jobs.kill("nobody") is False
    assert node.jobs.unschedule("nobody") is False
    assert _code(lambda: node.jobs.kill("nobody", 99)) == 400


def test_a_recurring_job_that_is_unscheduled_ends_with_its_run(node: Node) -> None:
    job = node.bash("sleep 0.2", recurring_period=0.01)
    eventually(lambda: job.state().stage == "running")
    assert node.jobs.unschedule(job.id) is True
    assert job.wait(timeout=10).ok


def test_a_job_is_followed_that_does_not_stream(node: Node, tmp_path: Path) -> None:
    """What it wrote before is given, then what it writes."""
    gate = tmp_path / "gate"
    job = _run(node, f"echo first; until [ -e {gate} ]; do sleep 0.02; done; echo second >&2")
    found = []
    for message in node.jobs.subscribe(job.id, timeout=20):
        found.append((message.level, message.text))
        gate.touch()
    assert found == [(1, "first\n"), (2, "second\n")]
    assert job.wait(timeout=10).ok


def test_following_a_job_that_is_not_there(node: Node) -> None:
    assert _code(lambda: list(node.jobs.subscribe("nobody", timeout=20))) == 404


def test_a_follower_that_leaves_is_no_longer_served(node: Node) -> None:
    job = _run(node, "echo one; exec sleep 30")
    with contextlib.closing(node.jobs.subscribe(job.id, timeout=20)) as messages:
        assert next(messages).text == "one\n"
        assert "core.subscribe" in _commands(node)
    eventually(lambda: "core.subscribe" not in _commands(node))
    assert _listed(node, job.id)
    job.kill()


def test_a_follower_whose_client_is_closed_ends_quietly(live_agent: NodeProcess) -> None:
    with Client(live_agent.url, namespace=live_agent.namespace) as client:
        node = client.node(live_agent.id)
        job = _run(node, "echo one; exec sleep 30")
        messages = node.jobs.subscribe(job.id, timeout=20)
        assert next(messages).text == "one\n"
        job.kill()
    messages.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        node.jobs.list()


def test_a_follower_waits_no_longer_than_it_was_told_to(node: Node) -> None:
    job = _run(node, "exec sleep 30")
    with pytest.raises(WaitTimeout, match="end of job"):
        list(node.jobs.subscribe(job.id, timeout=0.3))
    job.kill()


def test_a_queue_of_the_fleet_is_listed_and_released_by_hand(node: Node) -> None:
    holder = node.bash("exec sleep 30", queue="shared", queue_scope="fleet")
    eventually(lambda: [entry.holder for entry in node.queues.list()] == [holder.id])
    waiter = node.bash("echo $COREX_FENCING_TOKEN", queue="shared", queue_scope="fleet")
    eventually(lambda: [e.waiters for e in node.queues.list()] == [[f"{node.id}/{waiter.id}"]])
    (entry,) = node.queues.list()
    assert (entry.queue, entry.scope, entry.node) == ("shared", "fleet", node.id)
    assert entry.token > 0
    assert entry.since > 1_600_000_000_000
    assert node.queues.release("shared") is False, "it is none of the node's own"
    assert node.queues.release("shared", scope="fleet") is True
    assert int(waiter.wait(timeout=10).stdout) > entry.token
    holder.kill()


def test_a_queue_is_listed_with_its_holder_and_released_by_hand(node: Node) -> None:
    holder = node.bash("exec sleep 30", queue="stuck")
    waiter = node.bash("exit 0", queue="stuck")
    eventually(lambda: [entry.waiters for entry in node.queues.list()] == [[waiter.id]])
    (entry,) = node.queues.list()
    assert (entry.queue, entry.holder, entry.scope) == ("stuck", holder.id, "node")
    assert node.queues.release("stuck") is True
    assert waiter.wait(timeout=10).ok
    assert node.queues.release("stuck") is False
    holder.kill()


def test_what_jobs_measure_is_read_by_key_and_by_tags(node: Node) -> None:
    node.bash("echo '10::live.one:5|A|who=me'; echo '10::live.two:7|A'").wait(timeout=10).check()
    found = eventually(lambda: node.stats.query("live.one"))
    assert list(found) == ["live.one"]
    stat = found["live.one"]
    assert (stat.op, stat.last_value) == ("A", 5.0)
    assert [(tag.key, tag.value) for tag in stat.tags] == [("who", "me")]
    assert stat.current[300].count == 1
    assert stat.current[3600].max == 5.0
    assert stat.history[300] == []
    assert set(node.stats.query(tags={"who": "me"})) == {"live.one"}
    assert {"live.one", "live.two"} <= set(node.stats.query())
    assert node.stats.query("live.three") == {}


def test_the_machine_is_measured_when_asked(node: Node) -> None:
    node.stats.monitor("memory")
    assert any(name.startswith("machine.memory") for name in node.stats.query())
    assert _code(lambda: node.stats.monitor("weather")) == 400


def test_what_the_agent_and_its_jobs_use(node: Node) -> None:
    usage = node.stats.state()
    assert usage.rss > 1_000_000
    assert usage.vms > usage.rss
    assert usage.cpu >= 0


def test_all_jobs_are_killed_together(node: Node) -> None:
    jobs = [node.bash("exec sleep 30") for _ in range(3)]
    eventually(lambda: all(_listed(node, job.id) for job in jobs))
    assert node.jobs.killall() is True
    assert {job.wait(timeout=10).state for job in jobs} == {JobState.KILLED}


async def test_the_coroutines_do_the_same(anode: AsyncNode, live_agent: NodeProcess) -> None:
    job = await anode.bash("echo one; exec sleep 30", queue="async")

    assert await asyncio.to_thread(eventually, lambda: _knows(live_agent, job.id))
    async with contextlib.aclosing(anode.jobs.subscribe(job.id, timeout=20)) as messages:
        async for message in messages:
            assert message.text == "one\n"
            break
    assert job.id in [entry.id for entry in await anode.jobs.list()]
    assert (await anode.jobs.list(job.id))[0].stage == "running"
    assert [entry.holder for entry in await anode.queues.list()] == [job.id]
    assert await anode.queues.release("async")
    assert not await anode.jobs.unschedule("nobody")
    assert await anode.jobs.kill(job.id)
    assert (await job.wait(timeout=10)).state is JobState.KILLED
    assert await anode.jobs.killall()
    await anode.stats.monitor("cpu")
    assert await anode.stats.query(tags={"type": "phys"})
    assert (await anode.stats.state()).rss > 0
