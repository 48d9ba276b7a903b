"""Delivery on one server, by Sentinels, and on a Cluster: node and client, real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterator

import msgpack
import pytest

from corex import AsyncClient, Client, Command, Job, JobState
from corex.fleet import absences
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually, eventually_async
from tests.helpers.nodes import COREX, NodeProcess, RunNode
from tests.helpers.wire import Wire
from tests.integration.client.hand import meanwhile
from tests.integration.topologies.conftest import Topology

COMMANDS = 500


@pytest.fixture(scope="module")
def namespace(topology: Topology) -> str:
    """The namespace of all tests of one topology, which share an agent."""
    del topology
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module", autouse=True)
def agent(
    topology: Topology, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """Node n1, whose agent answers after each test as it did before."""
    log = tmp_path_factory.mktemp("agent") / "node.log"
    node = NodeProcess("n1", topology.url, namespace, log, env={"COREX_NODE_MAX_JOBS": "8"})
    node.start()
    yield node
    node.finish()


def test_plain_commands_of_both_encodings(wire: Wire) -> None:
    """Each has one result, in the encoding of the command; nothing stays claimed."""
    script = {"script": "echo out; echo err >&2; exit 3"}
    jobs = [wire.push("bash", script, encode=encode) for encode in (None, msgpack.packb)]
    pings = [wire.push("core.ping", control=True) for _ in range(5)]
    for job in jobs:
        result = wire.result(job)
        assert (result["state"], result["code"]) == ("ERROR", 1003)
        assert result["streams"] == ["out\n", "err\n"]
    assert [wire.result_bytes(job)[:1] == b"{" for job in jobs] == [True, False]
    assert {wire.result(ping)["state"] for ping in pings} == {"SUCCESS"}
    wire.wait_unclaimed()
    assert wire.presence()["slots"]


def test_a_queue_is_run_in_order(wire: Wire, diary: Diary) -> None:
    """One at a time, in the order in which they were pushed."""
    jobs = [wire.script(diary.script(), queue="q") for _ in range(30)]
    wire.results(jobs)
    assert diary.lines() == jobs


@pytest.mark.usefixtures("by_inbox")
def test_many_commands_and_one_inbox(cx: Client) -> None:
    """All results come, each once, by the inbox."""
    jobs = cx.submit_many([("n1", Command("core.ping"))] * COMMANDS)
    ended = [(job.id, result.id, result.ok) for job, result in cx.as_completed(jobs, timeout=30)]
    assert sorted(ended) == sorted((job.id, job.id, True) for job in jobs)
    assert "n1" in [node.id for node in cx.nodes() if node.alive]


def test_a_stream_without_a_gap(cx: Client) -> None:
    """Live and afterwards, output comes in order, and the last message ends it."""
    job = cx.node("n1").bash("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done", stream=True)
    live = list(job.stream(timeout=20))
    assert [message.seq for message in live] == list(range(len(live)))
    assert "".join(message.message for message in live) == "1\n2\n3\n4\n5\n"
    assert live[-1].is_last
    assert list(cx.job(job.id).stream(timeout=20)) == live
    assert cx.job(job.id).wait(timeout=20).ok


@pytest.mark.usefixtures("by_inbox")
def test_kill(cx: Client) -> None:
    """A running job is ended by its node; one that no node has claimed is withdrawn."""
    running = cx.node("n1").bash("echo on; sleep 30", stream=True)
    assert next(iter(running.stream(timeout=20))).message == "on\n"
    assert running.kill()
    assert running.wait(timeout=10).state is JobState.KILLED
    waiting = cx.node("nobody").bash("true")
    assert waiting.kill()
    assert waiting.wait(timeout=20).state is JobState.KILLED


def test_a_run_on_many_nodes(cx: Client, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """One runs it, one goes away, thirty never take it; each has one outcome."""
    monkeypatch.setattr(absences, "GONE", 1.0)
    idle = [f"idle{number}" for number in range(31)]
    for name in idle:
        wire.redis.hset(wire.keys.presence(name), "version", "0")
        wire.redis.zadd(wire.keys.nodes(), {name: 1_000_000})
    run = cx.fleet("n1,idle*").bash("echo x", stream=True, timeout=60)
    messages = run.stream()
    assert next(messages).text == "x\n"
    messages.close()
    wire.redis.delete(wire.keys.presence("idle0"))
    outcomes = run.outcomes()
    assert next(outcomes).ok
    gone = next(outcomes)
    assert (gone.node, gone.status, gone.last_seen) == ("idle0", "unreachable", 1_000_000)
    outcomes.close()
    assert cx.run(run.id).nodes == run.nodes
    ended = run.cancel()
    assert [outcome.node for outcome in ended] == list(run.nodes)
    assert {outcome.result.state for outcome in ended[2:] if outcome.result} == {JobState.KILLED}
    assert not any(wire.waiting(name) for name in idle)
    for name in idle:
        wire.redis.delete(wire.keys.presence(name))
        cx.forget_node(name)


def test_a_duplicate(cx: Client, wire: Wire) -> None:
    """The second sender is told, the first one's result stays."""
    first = cx.node("n1").bash("echo first", id="d1")
    assert first.wait(timeout=10).stdout == "first\n"
    second = cx.node("n1").bash("echo second", id="d1")
    assert second.wait(timeout=10).state is JobState.DUPLICATE_ID
    assert wire.wait_rejected(lambda entry: entry.get("id") == "d1")["code"] == 409
    assert wire.result("d1")["streams"][0] == "first\n"


def test_chosen_ids_are_looked_up_before_they_are_used(cx: Client) -> None:
    """However quick the node is, a free ID is not taken for a used one."""
    jobs = cx.submit_many([("n1", Command("core.ping", id=f"free{n}")) for n in range(COMMANDS)])
    ended = [job.id for job, result in cx.as_completed(jobs, timeout=10) if result.ok]
    assert sorted(ended) == sorted(job.id for job in jobs)


def test_an_agent_is_killed(
    run_node: RunNode, topology: Topology, wire: Wire, diary: Diary
) -> None:
    """What ran is LOST or runs again, what waited is started, by the next one."""
    wire.node = "n2"
    node = run_node("n2", url=topology.url, env={"COREX_NODE_MAX_JOBS": "3"})
    ran = [wire.script(diary.script("sleep 5")) for _ in range(2)]
    again = wire.script(diary.script("sleep 0.5"), on_lost="retry")
    eventually(lambda: len(diary.lines()) == 3)
    rest = [wire.script(diary.script()) for _ in range(20)]
    node.kill()
    node.start()
    assert {result["state"] for result in wire.results(ran).values()} == {"LOST"}
    later = wire.results([again, *rest])
    assert {result["state"] for result in later.values()} == {"SUCCESS"}
    runs = diary.runs()
    assert [runs[job] for job in (*ran, again, *rest)] == [1, 1, 2, *[1] * len(rest)]
    wire.wait_unclaimed()


def test_a_subscriber_of_the_log(cx: Client, wire: Wire) -> None:
    """Records come over the node's list, which goes with the subscription."""
    key = cx.node("n1").call("logger.subscribe", {"queue": "q", "levels": [1]}, timeout=10)
    job = cx.node("n1").bash("echo here")
    taken = wire.redis.blpop([key], timeout=10)
    assert taken is not None
    assert job.id.encode() in taken[1]
    cx.node("n1").call("logger.unsubscribe", {"queue": "q"}, timeout=10)
    assert not wire.redis.exists(key)


@pytest.mark.usefixtures("by_inbox")
async def test_coroutines(topology: Topology, namespace: str, diary: Diary) -> None:
    """The asyncio client: many waiters, a stream, a kill, a batch."""
    async with AsyncClient(topology.url, namespace=namespace) as cx:
        node = cx.node("n1")
        jobs = await asyncio.gather(*(node.bash(f"echo {n}") for n in range(40)))
        results = await asyncio.gather(*(job.wait(timeout=20) for job in jobs))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(40)]
        told = await node.bash("echo a; sleep 0.2; echo b", stream=True)
        assert [message.seq async for message in told.stream(timeout=20)] == [0, 1, 2]
        hangs = await node.bash(diary.script("sleep 30"))
        await eventually_async(lambda: diary.has(1))
        assert await hangs.kill()
        assert (await hangs.wait(timeout=10)).state is JobState.KILLED
        many = await cx.submit_many([("n1", Command("core.ping"))] * COMMANDS)
        ended = [job.id async for job, result in cx.as_completed(many, timeout=30) if result.ok]
        assert sorted(ended) == sorted(job.id for job in many)


def test_the_command_line(topology: Topology, namespace: str) -> None:
    """`corex run` with that URL streams the output and exits as the command does."""
    done = subprocess.run(
        [str(COREX), "--url", topology.url, "sh", "n1", "echo out; exit 3"],
        env={**os.environ, "COREX_NAMESPACE": namespace},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "out\n" in done.stdout
    assert done.returncode == 3, done.stderr


def test_jobs_of_others_are_waited_for(cx: Client, topology: Topology, namespace: str) -> None:
    """By their keys, which block in their slots."""
    job: Job = cx.node("n1").bash("sleep 0.3; echo done")
    with Client(topology.url, namespace=namespace) as other:
        assert other.job(job.id).wait(timeout=10).stdout == "done\n"


def test_events_are_heard_in_order_wherever_somebody_listens(
    topology: Topology, namespace: str, cx: Client
) -> None:
    """On a Cluster too, whose servers do not know of each other's listeners."""
    heard: dict[str, list[str]] = {}
    done: list[bool] = []

    def work() -> None:
        with Client(topology.url, namespace=namespace) as other:
            while not done:
                other.node("n1").bash("true").wait(timeout=20)

    with meanwhile(work):
        for event in cx.events(kinds=["job"], timeout=30):
            heard.setdefault(event.job, []).append(event.event)
            if len(heard) > 10:
                break
        done.append(True)
    whole = [order for order in heard.values() if len(order) > 1]
    assert len(whole) > 5
    assert {tuple(order) for order in whole} == {("job.started", "job.finished")}
