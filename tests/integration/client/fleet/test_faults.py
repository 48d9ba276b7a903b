"""What dies, hangs or goes away in the middle of a run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis

from corex import Client, JobState, Note, Outcome
from corex.fleet import absences, ending, watch
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import NodeProcess
from tests.helpers.proxy import Proxy
from tests.helpers.trace import Trace
from tests.integration.client.fleet.conftest import SHORT
from tests.integration.client.hand import HandNode, meanwhile

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def server(leftovers: object) -> Iterator[EmbeddedRedis]:
    """A server that is killed and started again with its data."""
    del leftovers  # looked for after the server is gone
    with EmbeddedRedis(persistent=True) as server:
        yield server


@pytest.fixture(scope="module")
def band(
    server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """Three agents whose end is noticed soon; all are there when a test begins."""
    logs = tmp_path_factory.mktemp("band")
    with ExitStack() as stack:
        nodes = []
        for name in ("n1", "n2", "n3"):
            env = {**SHORT, "ME": name}
            node = NodeProcess(name, server.url, "band", logs / f"{name}.log", env=env)
            stack.callback(node.finish)
            node.start(wait=False)
            nodes.append(node)
        for node in nodes:
            node.wait_present(60)
        yield nodes


@pytest.fixture
def own(server: EmbeddedRedis, band: list[NodeProcess]) -> Iterator[Client]:
    """A client of the three, which are there."""
    with Client(server.url, namespace="band") as client:
        eventually(
            lambda: [node.id for node in client.nodes() if node.alive] == ["n1", "n2", "n3"],
            seconds=30,
        )
        yield client
    assert all(node.running for node in band)


def kill_all(node: NodeProcess) -> None:
    """Kill the agent and its spawners, none of which lives to see another die."""
    processes = [psutil.Process(node.process.pid), *psutil.Process(node.process.pid).children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for process in processes:
        process.kill()
    node.wait()


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """What jobs say of their runs."""
    return Trace(tmp_path / "trace")


def test_one_node_hangs_and_one_is_killed(
    own: Client, band: list[NodeProcess], trace: Trace
) -> None:
    """There are three outcomes, with reasons, long before the run's time is up."""
    nodes = band
    begun = time.monotonic()
    script = trace.script("test $ME = n1 || sleep 300")
    run = own.fleet("*").bash(script, timeout=40)
    eventually(lambda: trace.begun() == 3)
    nodes[1].signal(signal.SIGSTOP)
    kill_all(nodes[2])
    try:
        outcomes = run.results()
        assert time.monotonic() - begun < 35
        assert [outcome.node for outcome in outcomes] == ["n1", "n2", "n3"]
        assert outcomes[0].ok
        for outcome in outcomes[1:]:  # the first one's agent has settled their jobs
            assert outcome.result is not None
            assert outcome.result.state is JobState.LOST
            assert "LOST 503" in outcome.reason
    finally:
        nodes[1].signal(signal.SIGCONT)
        for process in marked_with(run.jobs[1:]):  # what its spawners could not end any more
            process.kill()
        nodes[2].start(wait=False)
        nodes[2].wait_present(60)


def test_nobody_settles_what_gone_nodes_had(
    cx: Client, raw: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are unreachable, with when they were seen last; it does not hold up the batch."""
    monkeypatch.setattr(absences, "GONE", 0.5)
    monkeypatch.setattr(absences, "LOST_WAIT", 0.5)
    first, second, third = hands = [HandNode(raw, keys, name) for name in ("h1", "h2", "h3")]
    for hand in hands:
        hand.announce()
        raw.pexpire(keys.presence(hand.id), 60_000)
    run = cx.fleet("*").submit("core.ping", batch=1, timeout=30)
    outcomes = run.outcomes()
    first.start(first.take())
    raw.delete(keys.presence("h1"))
    gone = next(outcomes)
    assert (gone.node, gone.status, gone.job) == ("h1", "unreachable", run.jobs[0])
    assert gone.reason == "it went away while it had its job, which may still run there"
    assert gone.last_seen is not None
    assert abs(gone.last_seen / 1000 - time.time()) < 60
    raw.delete(keys.presence("h2"))
    gone = next(outcomes)
    assert (gone.node, gone.status) == ("h2", "unreachable")
    assert gone.reason == "it went away before it took the command"
    assert second.take_all() == []  # it is never run
    with meanwhile(lambda: third.finish(third.take())):
        assert next(outcomes).ok


def test_a_node_that_comes_back_in_time_is_waited_for(
    cx: Client, raw: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat that was missed for a moment says nothing."""
    monkeypatch.setattr(absences, "GONE", 3.0)
    hand = HandNode(raw, keys)
    hand.announce()
    run = cx.fleet("h1").submit("core.ping", timeout=20)

    def play() -> None:
        raw.delete(keys.presence("h1"))
        time.sleep(2.2)  # in which two looks find it missing
        hand.announce()
        time.sleep(2.2)
        hand.finish(hand.take())

    with meanwhile(play):
        assert run.ok


def test_what_does_not_answer_when_the_time_is_up(
    many: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreachable, within bounded time; what answers has its job killed."""
    monkeypatch.setattr(ending, "END_WAIT", 1.0)
    run = many.fleet("s1,s2,s3").submit(
        "sim", {"seconds": 100, "ignore": ["s2"]}, timeout=1, batch=2
    )
    begun = time.monotonic()
    first, second, third = run.results()
    assert time.monotonic() - begun < 6
    assert first.result is not None
    assert first.result.state is JobState.KILLED
    assert first.reason == "the run's time (1 s) was up"
    assert second.status == "unreachable"
    assert second.reason.startswith("it did not answer when the run's time (1 s) was up")
    assert (third.status, third.reason) == ("skipped", "not started: the run's time (1 s) was up")


def test_a_job_of_which_nothing_is_left(
    cx: Client, raw: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hold up the run: its node is there, and nobody knows the job."""
    monkeypatch.setattr(watch, "FORGOTTEN_AFTER", 1.0)
    monkeypatch.setattr(watch, "TRACE_TICKS", 1)
    hand = HandNode(raw, keys)
    hand.announce()
    run = cx.fleet("h1").submit("core.ping", timeout=30)
    hand.take()
    (outcome,) = run.results()
    assert outcome.status == "unreachable"
    assert outcome.reason == "nothing is known of its job any more; it may have run"


DRIVER = """
import sys
from corex import Client
url, namespace, run, script = sys.argv[1:]
with Client(url, namespace="band") as cx:
    run = cx.fleet("*").bash(script, batch=1, id=run, timeout=60)
    print("begun", flush=True)
    run.results()
"""


def test_another_process_goes_on_when_the_driver_is_killed(
    server: EmbeddedRedis, own: Client, trace: Trace
) -> None:
    """It follows while the first one drives, then drives; no node runs the command twice."""
    script = trace.script("sleep 0.8")
    name = f"r-{uuid.uuid4().hex[:8]}"
    arguments = [server.url, own.core.keys.namespace, name, script]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "begun\n"
    run = own.run(name)
    events = run.events()
    while not isinstance(next(events), Outcome):
        assert driver.poll() is None
    driver.kill()
    driver.wait()
    driver.stdout.close()
    rest = list(events)
    assert "nobody drives the run any more: going on with it" in [
        event.text for event in rest if isinstance(event, Note)
    ]
    assert [outcome.node for outcome in run.results()] == ["n1", "n2", "n3"]
    assert run.ok
    lines = trace.lines()
    assert sorted(line.job for line in lines if line.begins) == sorted(run.jobs)
    assert [line.begins for line in lines] == [True, False] * 3


def test_two_wait_for_one_run(server: EmbeddedRedis, own: Client, trace: Trace) -> None:
    """One drives, the other follows; both hear the same, and nothing runs twice."""
    run = own.fleet("*").bash(trace.script("sleep 0.2; echo $ME"), batch=1, stream=True)
    with Client(server.url, namespace="band") as other:
        heard: list[str] = []
        picked = other.run(run.id)
        follower = threading.Thread(
            target=lambda: heard.extend(message.text for message in picked.stream())
        )
        follower.start()
        ours = [message.text for message in run.stream()]
        follower.join(20)
        assert "".join(heard) == "".join(ours) == "n1\nn2\nn3\n"
        assert picked.results() == run.results()
    assert trace.begun() == 3


@pytest.mark.parametrize("stream", [False, True])
def test_redis_is_killed_and_started_in_the_middle(
    server: EmbeddedRedis, own: Client, trace: Trace, stream: bool
) -> None:
    """The run goes on; each node runs once, and its output has no gaps."""
    script = trace.script("echo $ME a; sleep 0.7; echo $ME b")
    run = own.fleet("*").bash(script, batch=1, stream=stream, timeout=60)
    events = run.events() if stream else run.outcomes()
    seen = [next(events)]
    while not isinstance(seen[-1], Outcome):
        seen.append(next(events))
    server.kill()
    restart = threading.Timer(1.0, server.start)
    restart.start()
    seen += events
    restart.join()
    assert run.ok
    assert [outcome.node for outcome in run.results()] == ["n1", "n2", "n3"]
    assert trace.begun() == 3
    if stream:
        text = "".join(getattr(event, "text", "") for event in seen if not isinstance(event, Note))
        assert text == "n1 a\nn1 b\nn2 a\nn2 b\nn3 a\nn3 b\n"


def test_connections_are_cut_again_and_again(
    server: EmbeddedRedis, own: Client, trace: Trace
) -> None:
    """Answers get lost on the way: nothing runs twice, nobody is left out."""
    with (
        Proxy.before(server.url) as proxy,
        Client(proxy.url(server.url), namespace="band") as client,
    ):
        assert own.nodes()
        ends = threading.Event()

        def cut() -> None:
            while not ends.wait(0.6):
                proxy.lose_answers(1)
                ends.wait(0.6)
                proxy.cut()

        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            runs = [
                client.fleet("*").bash(trace.script("sleep 0.1"), batch=1, timeout=75)
                for _ in range(2)
            ]
            assert all(run.ok for run in runs)
        finally:
            ends.set()
            cutter.join()
    begun = [line.job for line in trace.lines() if line.begins]
    assert sorted(begun) == sorted(job for run in runs for job in run.jobs)


def test_redis_is_away_when_the_time_is_up(
    server: EmbeddedRedis,
    own: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every node has an outcome all the same, soon after."""
    monkeypatch.setattr(ending, "END_WAIT", 1.0)
    run = own.fleet("*").bash("sleep 20", batch=2, timeout=2)
    server.stop(keep_data=True)
    try:
        begun = time.monotonic()
        outcomes = run.results()
        assert time.monotonic() - begun < 12
        assert [outcome.status for outcome in outcomes] == ["unreachable", "unreachable", "skipped"]
        assert {outcome.reason for outcome in outcomes} == {
            "it did not answer when Redis could not be reached; its job may still run",
            "not started: Redis could not be reached",
        }
    finally:
        server.start()
    outcomes = own.run(run.id).results()  # now what runs is killed
    assert [outcome.result and outcome.result.state for outcome in outcomes[:2]] == [
        JobState.KILLED,
        JobState.KILLED,
    ]


def test_cancelled_by_another_process(server: EmbeddedRedis, own: Client, trace: Trace) -> None:
    """Whoever drives the run ends it; both hear of it."""
    run = own.fleet("*").bash(trace.script("sleep 300"), batch=2)
    heard: list[Outcome] = []
    waiter = threading.Thread(target=lambda: heard.extend(run.results()))
    waiter.start()
    eventually(lambda: trace.begun() == 2)
    with Client(server.url, namespace="band") as other:
        outcomes = other.run(run.id).cancel()
    waiter.join(20)
    assert heard == outcomes
    assert [outcome.status for outcome in outcomes] == ["finished", "finished", "skipped"]
    assert all(f"cancelled by {other.id}" in outcome.reason for outcome in outcomes)
    assert not marked_with(run.jobs)
    assert trace.begun() == 2
