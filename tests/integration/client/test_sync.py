"""The blocking client against a real Redis and a node played by hand."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corex import (
    Client,
    Command,
    JobFailed,
    JobState,
    NoSuchNodeError,
    WaitTimeout,
)
from corex.effects import Do, Plan
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.integration.client.hand import HandNode, meanwhile


def test_a_command_and_its_result(cx: Client, hand: HandNode) -> None:
    """What was submitted arrives as it is, and its result comes back, again and again."""
    job = cx.node("h1").system("ls", args=["-l"], dir="/tmp", queue="q", tags=["t"])
    command = hand.take()
    assert (command.command, command.id, command.queue) == ("core.system", job.id, "q")
    assert command.arguments == {"name": "ls", "args": ["-l"], "dir": "/tmp"}
    written = hand.finish(command, streams=("out", "err"), tags=["t"])
    result = job.wait(timeout=10)
    assert result == written
    assert result.ok
    assert (result.stdout, result.stderr) == ("out", "err")
    assert result.check() is result
    assert job.wait(timeout=10) is result
    assert job.result() is result


def test_a_result_comes_while_it_is_waited_for(cx: Client, hand: HandNode) -> None:
    """The wait ends as soon as the result is there, not at the end of a slice."""
    job = cx.node("h1").bash("x")
    command = hand.take()

    def later() -> None:
        time.sleep(0.2)
        hand.finish(command)

    start = time.monotonic()
    with meanwhile(later):
        assert job.wait(timeout=10).ok
    assert time.monotonic() - start < 3


def test_a_large_result_is_fetched(cx: Client, hand: HandNode) -> None:
    """When the inbox tells only the ID, the result is read from its key."""
    job = cx.node("h1").bash("x")
    hand.finish(hand.take(), hint="id", streams=("x" * 100_000, ""))
    assert len(job.wait(timeout=10).stdout) == 100_000


def test_a_lost_hint_costs_a_few_seconds(cx: Client, hand: HandNode) -> None:
    """A result that the inbox does not tell of is found by its key."""
    job = cx.node("h1").bash("x")
    command = hand.take()

    def later() -> None:
        time.sleep(0.2)
        hand.finish(command, hint="none")

    with meanwhile(later):
        assert job.wait(timeout=20).ok


def test_a_job_of_others_is_waited_for_by_its_id(
    cx: Client, hand: HandNode, redis_url: str, namespace: str
) -> None:
    """Many may wait for one result, before and after it came, and it stays where it is."""
    job = cx.node("h1").bash("x")
    with Client(redis_url, namespace=namespace) as other:

        def later() -> None:
            time.sleep(0.2)
            hand.finish(hand.take())

        with meanwhile(later):
            assert other.job(job.id).wait(timeout=10).ok
        assert other.job(job.id).wait(timeout=0).ok
        found = other.job(job.id).result()
        assert found is not None
        assert found.ok
    assert job.wait(timeout=10).ok


def test_waits_are_bounded(cx: Client) -> None:
    """Nothing waits for longer than it was told to."""
    job = cx.node("h1").bash("x")
    start = time.monotonic()
    with pytest.raises(WaitTimeout, match=job.id):
        job.wait(timeout=0.3)
    with pytest.raises(WaitTimeout, match="nope"):
        cx.job("nope").wait(timeout=0.3)
    with pytest.raises(WaitTimeout, match="1 of 1"):
        list(cx.as_completed([job], timeout=0.3))
    with pytest.raises(WaitTimeout):
        job.wait(timeout=0)
    assert 0.8 < time.monotonic() - start < 5


def test_many_jobs(cx: Client, hand: HandNode) -> None:
    """Thousands are pushed in order in few round trips, and their results come over one list."""
    jobs = cx.submit_many([("h1", Command("core.ping"))] * 2500)
    commands = hand.take_all()
    assert [command.id for command in commands] == [job.id for job in jobs]
    for command in commands[:1500]:
        hand.finish(command)
    seen = []
    for job, result in cx.as_completed(jobs, timeout=30):
        assert result.id == job.id
        seen.append(job)
        if len(seen) == 1500:
            for command in commands[1500:]:
                hand.finish(command)
    assert set(seen) == set(jobs)


def test_completed_jobs_need_no_redis(cx: Client, hand: HandNode) -> None:
    """What a job object knows already is given at once."""
    job = cx.node("h1").bash("x")
    hand.finish(hand.take())
    result = job.wait(timeout=10)
    assert list(cx.as_completed([job], timeout=0)) == [(job, result)]


def test_many_threads_wait_over_one_inbox(cx: Client, hand: HandNode) -> None:
    """Each thread gets its own result, whoever reads the inbox."""
    jobs = cx.submit_many([("h1", Command("core.ping"))] * 60)
    commands = hand.take_all()
    with ThreadPoolExecutor(60) as pool:
        waits = [pool.submit(job.wait, 20) for job in jobs]
        for command in reversed(commands):
            hand.finish(command)
            time.sleep(0.002)
        results = [wait.result(timeout=20) for wait in waits]
    assert [result.id for result in results] == [job.id for job in jobs]


def test_a_thread_that_gives_up_hands_over(cx: Client, hand: HandNode) -> None:
    """When the thread that reads the inbox ends its wait, another one goes on reading."""
    short, long = cx.node("h1").bash("x"), cx.node("h1").bash("y")
    hand.take()
    command = hand.take()
    started = threading.Event()

    def lead() -> None:
        started.set()
        with pytest.raises(WaitTimeout):
            short.wait(timeout=0.5)

    def later() -> None:
        time.sleep(1.0)
        hand.finish(command)

    start = time.monotonic()
    with meanwhile(lead), meanwhile(later):
        started.wait(5)
        assert long.wait(timeout=10).ok
    assert time.monotonic() - start < 4


def test_a_used_id_is_refused_for_the_second_sender(
    cx: Client, hand: HandNode, redis_url: str, namespace: str
) -> None:
    """The duplicate's sender hears so; the first job's result is untouched and not mistaken."""
    first = cx.node("h1").bash("x", id="a1")
    with Client(redis_url, namespace=namespace) as other:
        hand.start(hand.take())
        second = other.node("h1").bash("y", id="a1")
        command = hand.take()
        hand.finish(command, JobState.DUPLICATE_ID, code=409)
        assert second.wait(timeout=10).state is JobState.DUPLICATE_ID
    hand.finish(Command("bash", id="a1", reply_to=cx.id))
    assert first.wait(timeout=10).ok


def test_an_id_used_twice_by_one_client(cx: Client, hand: HandNode) -> None:
    """Each of the two jobs gets its own result, in whatever order they come."""
    first, second = cx.node("h1").bash("x", id="a1"), cx.node("h1").bash("y", id="a1")
    commands = [hand.take(), hand.take()]
    hand.finish(commands[1], JobState.DUPLICATE_ID, code=409)
    hand.finish(commands[0])
    assert second.wait(timeout=10).state is JobState.DUPLICATE_ID
    assert first.wait(timeout=10).state is JobState.SUCCESS
    third = cx.node("h1").bash("z", id="a1")
    hand.finish(hand.take(), JobState.DUPLICATE_ID, code=409)
    assert third.wait(timeout=10).state is JobState.DUPLICATE_ID


def test_a_call_returns_its_answer(cx: Client, hand: HandNode) -> None:
    """`call` submits, waits and decodes; a failure is raised with its result."""

    def answer() -> None:
        hand.finish(hand.take(), data='{"a":1}', level=20)
        hand.finish(hand.take(), streams=("text", ""))
        hand.finish(hand.take(), JobState.ERROR, code=404, data='"nope"', level=20)

    with meanwhile(answer):
        assert cx.node("h1").call("info.os", {"x": 1}, timeout=10) == {"a": 1}
        assert cx.node("h1").call("bash", {"script": "x"}, timeout=10) is None
        with pytest.raises(JobFailed, match="nope") as caught:
            cx.node("h1").call("x", timeout=10)
    assert caught.value.result.code == 404


def test_ping_waits_behind_nothing(cx: Client, hand: HandNode) -> None:
    """A ping goes to the control list."""

    def answer() -> None:
        hand.finish(hand.take(control=True), data='"PONG Version: 0"', level=20)

    with meanwhile(answer):
        assert cx.node("h1").ping(timeout=10) == "PONG Version: 0"


def test_nodes(cx: Client, hand: HandNode, keys: Keys) -> None:
    """Nodes are listed with what they say of themselves, the dead ones too."""
    hand.announce(labels='{"zone":"eu"}', slots="9")
    hand.redis.zadd(keys.nodes(), {"dead": 5})
    dead, alive = cx.nodes()
    assert (dead.id, dead.alive, dead.last_seen) == ("dead", False, 5)
    assert (alive.id, alive.alive, alive.slots) == ("h1", True, 9)
    assert cx.node("h1").presence().labels == {"zone": "eu"}
    with pytest.raises(NoSuchNodeError):
        cx.node("never").presence()


def test_the_life_of_a_job(cx: Client, hand: HandNode) -> None:
    """`state` follows a job from its list to its end."""
    job = cx.node("h1").bash("x")
    assert job.state().stage == "queued"
    command = hand.take()
    assert job.state().stage == "unknown"  # between the list and the node's table
    hand.start(command)
    assert (job.state().stage, job.state().node) == ("running", "h1")
    hand.finish(command)
    assert (job.state().stage, job.state().state) == ("finished", JobState.SUCCESS)
    assert cx.job("nope").state().stage == "unknown"


def test_an_unclaimed_job_is_withdrawn(cx: Client, keys: Keys, hand: HandNode) -> None:
    """Killing what no node has taken removes it and gives it a result, for all who wait."""
    job = cx.node("h1").bash("x", stream=True, tags=["t"])
    assert job.kill()
    assert hand.redis.llen(keys.commands("h1")) == 0
    result = job.wait(timeout=10)
    assert (result.state, result.code, result.tags) == (JobState.KILLED, 499, ["t"])
    assert cx.job(job.id).wait(timeout=10) == result
    assert hand.redis.ttl(keys.result(job.id)) > 0
    assert [message.is_last for message in cx.job(job.id).stream(timeout=10)] == [True]
    assert not job.kill()


def test_a_running_job_is_killed_by_its_node(cx: Client, hand: HandNode) -> None:
    """The node is asked over its control list."""
    job = cx.node("h1").bash("x")
    command = hand.take()
    hand.start(command)

    def node() -> None:
        ask = hand.take(control=True)
        assert (ask.command, ask.arguments) == ("job.kill", {"id": job.id, "signal": 9})
        hand.finish(ask, data="true", level=20)
        hand.finish(command, JobState.KILLED, code=499)

    with meanwhile(node):
        assert cx.job(job.id).kill(signal=9)
    assert job.wait(timeout=10).state is JobState.KILLED


def test_a_node_that_does_not_answer_a_kill(cx: Client, hand: HandNode, keys: Keys) -> None:
    """The wait for its answer is bounded, and the question does not stay in the list."""
    job = cx.node("h1").bash("x")
    hand.start(hand.take())
    with pytest.raises(WaitTimeout, match=f"kill of job {job.id}"):
        job.kill(timeout=0.3)
    assert hand.redis.llen(keys.control("h1")) == 0


def test_a_closed_client_says_so(redis_url: str) -> None:
    """Using a closed client is an error of the program."""
    client = Client(redis_url)
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.nodes()


def test_json_commands(redis_url: str, namespace: str, hand: HandNode, keys: Keys) -> None:
    """With `encoding="json"` the list holds plain JSON."""
    with Client(redis_url, namespace=namespace, encoding="json") as client:
        client.node("h1").bash("x", stdin=b"text")
    payload = eventually(lambda: hand.redis.lindex(keys.commands("h1"), 0))
    assert payload.startswith(b"{")
    assert b'"stdin":"text"' in payload


def test_local_files_are_worked_with_where_the_caller_is(cx: Client) -> None:
    """No thread is needed, and errors are the plan's."""

    def plan() -> Plan[int]:
        try:
            yield Do(Path("/no/such/file").read_bytes)
        except FileNotFoundError:
            ident: int = yield Do(threading.get_ident)
            return ident
        raise AssertionError

    assert cx.perform(plan()) == threading.get_ident()
