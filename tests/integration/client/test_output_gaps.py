"""Output that got lost on the way, over real servers and agents: found again, or told of."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis

from corex import AsyncClient, Client, Gap, Message
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.conftest import RunNode
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX
from tests.integration.client.hand import meanwhile
from tests.integration.client.stranding import StrandingProxy


@pytest.fixture
def proxy(redis_url: str) -> Iterator[StrandingProxy]:
    """A proxy before the shared server, for clients only."""
    with StrandingProxy.before(redis_url) as proxy:
        assert isinstance(proxy, StrandingProxy)
        yield proxy


@pytest.fixture
def far(proxy: StrandingProxy, redis_url: str, namespace: str) -> Iterator[Client]:
    """A client behind the proxy."""
    with Client(proxy.url(redis_url), namespace=namespace) as client:
        yield client


def _logs(
    url: str, namespace: str, *arguments: str, seconds: float = 50
) -> subprocess.CompletedProcess[str]:
    options = ["--url", url, "--namespace", namespace, "logs"]
    return subprocess.run(
        [COREX, *options, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _text(messages: list[Message]) -> str:
    return "".join(message.text for message in messages if message.level == 1)


def _check_order(messages: list[Message]) -> None:
    """See that every number is there once, and the end once and last."""
    assert [message.seq for message in messages] == list(range(len(messages)))
    assert [message.is_last for message in messages] == [False] * (len(messages) - 1) + [True]


_TICKS = "for i in $(seq 40); do echo $i; sleep 0.05; done"
_TICKED = "".join(f"{number}\n" for number in range(1, 41))


def test_half_open_connections_are_noticed(
    far: Client, proxy: StrandingProxy, run_node: RunNode
) -> None:
    """When all connections go dead without a word, nothing of the output is missing, and the
    end comes once, within the time that a dead connection may take to be noticed.
    """
    node = run_node()
    job = far.node(node.id).bash(_TICKS, stream=True)
    seen: list[Message] = []
    begun = time.monotonic()
    for message in job.stream(timeout=50):
        seen.append(message)
        if len(seen) == 3:
            assert proxy.strand() >= 1
            begun = time.monotonic()
    assert time.monotonic() - begun < 25  # and some for a busy machine
    assert _text(seen) == _TICKED
    _check_order(seen)


def test_a_wait_on_half_open_connections(
    far: Client, proxy: StrandingProxy, run_node: RunNode
) -> None:
    """A client whose connections go dead while it waits has its result within 20 seconds."""
    node = run_node()
    job, other = (far.node(node.id).bash("sleep 0.5") for _ in range(2))
    begun = time.monotonic()

    def accident() -> None:
        time.sleep(0.3)
        assert proxy.strand() >= 1

    with meanwhile(accident):
        assert job.wait(timeout=30).ok
    assert far.job(other.id).wait(timeout=30).ok
    assert time.monotonic() - begun < 25  # and some for a busy machine


def test_cut_connections(far: Client, proxy: StrandingProxy, run_node: RunNode) -> None:
    """Connections that are reset again and again cost nothing of the output."""
    node = run_node()
    job = far.node(node.id).bash(_TICKS, stream=True)
    seen: list[Message] = []
    for message in job.stream(timeout=50):
        seen.append(message)
        if len(seen) % 5 == 0:
            proxy.cut()
    assert _text(seen) == _TICKED
    _check_order(seen)


def test_killed_subscriptions(
    redis_url: str, namespace: str, run_node: RunNode, raw: redis.Redis
) -> None:
    """`CLIENT KILL TYPE pubsub` under a follower costs nothing of the output."""
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash(_TICKS, stream=True)
        seen: list[Message] = []
        for message in job.stream(timeout=50):
            seen.append(message)
            if len(seen) % 7 == 0:
                raw.client_kill_filter(_type="pubsub")
    assert _text(seen) == _TICKED
    _check_order(seen)


@pytest.fixture
def tight_redis() -> Iterator[EmbeddedRedis]:
    """A server that cuts subscribers off which lag behind by a quarter of a megabyte."""
    limit = {"client-output-buffer-limit": "pubsub 262144 65536 1"}
    with EmbeddedRedis(settings=limit) as server:
        yield server


def test_a_slow_reader_of_much_output(tight_redis: EmbeddedRedis, run_node: RunNode) -> None:
    """A reader that lags behind is cut off by the server; nothing of 200,000 lines is missing,
    though the log keeps only the last of them: what is gone is counted exactly.
    """
    node = run_node(
        url=tight_redis.url,
        env={"COREX_NODE_LIMITS_LOG": "65536", "COREX_NODE_NAMESPACE": "corex"},
        start=False,
    )
    node.namespace = "corex"
    node.start()
    with Client(tight_redis.url) as cx, redis.Redis.from_url(tight_redis.url) as plain:
        job = cx.node(node.id).bash("seq 200000; echo done >&2", stream=True)
        seen: list[Message] = []
        for message in job.stream(timeout=50):
            seen.append(message)
            if len(seen) < 4:
                time.sleep(0.4)
        last = plain.xrevrange(Keys().log(job.id), count=1)[0][0]
        total = int(last.split(b"-")[0])
        gaps = [message for message in seen if isinstance(message, Gap)]
        assert gaps, "the log was not trimmed: the test shows nothing"
        assert len(seen) - len(gaps) + sum(gap.count or 0 for gap in gaps) == total
        assert seen[-1].is_last
        assert _text(seen[-3:]).endswith("199999\n200000\n")
        told = _logs(tight_redis.url, "corex", job.id)
        assert "messages are no longer in the log" in told.stderr
        assert told.stdout.endswith("200000\n")


def test_much_output_in_a_log_that_holds_it(
    redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """A reader that takes its time gets all of 200,000 lines from a log that is large enough."""
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash("seq 200000", stream=True)
        seen: list[Message] = []
        for message in job.stream(timeout=50):
            seen.append(message)
            if len(seen) < 3:
                time.sleep(0.3)
        late = list(cx.job(job.id).stream(timeout=10))
    assert _text(seen) == "".join(f"{number}\n" for number in range(1, 200_001))
    _check_order(seen)
    assert late == seen


def test_a_job_whose_agent_was_killed(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """The successor of a killed agent writes the end; who follows meanwhile gets it once."""
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash("echo a; sleep 60", stream=True)
        seen: list[Message] = []

        def accident() -> None:
            eventually(lambda: seen)
            node.kill()
            node.start()

        with meanwhile(accident):
            seen.extend(job.stream(timeout=30))
        assert seen[0].text == "a\n"
        _check_order(seen)
        assert job.wait(timeout=10).state == "LOST"
        told = _logs(redis_url, namespace, "-f", job.id)
    assert (told.stdout, told.returncode) == ("a\n", 1)
    assert f"corex: {node.id}: LOST 503: " in told.stderr


def test_logs_end_when_another_agent_settles_the_job(
    redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """Whoever follows a job whose agent was killed is told on stderr that it was lost."""
    short = {
        "COREX_NODE_LIMITS_LEASE": "1.5",
        "COREX_NODE_LIMITS_HEARTBEAT": "0.3",
        "COREX_NODE_LIMITS_REAP": "1",
    }
    node = run_node("n1", env=short)
    run_node("n2", env=short)
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node("n1").bash("sleep 60", stream=True)
        eventually(lambda: job.state().stage == "running")
        with meanwhile(node.kill):
            told = _logs(redis_url, namespace, "-f", job.id)
        result = job.wait(timeout=1)
    assert result.state == "LOST"
    assert (told.stdout, told.returncode) == ("", 1)
    assert told.stderr == f"corex: n1: LOST 503: {json.loads(result.data)}\n"


def test_jobs_that_never_ran_end_their_followers(
    redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """Expired, refused, unknown, killed before they started: each ends with its last message."""
    with Client(redis_url, namespace=namespace) as cx:
        node = cx.node("n1")
        withdrawn = node.bash("true", stream=True)
        assert withdrawn.kill()
        agent = run_node("n1")
        first = node.bash("sleep 30", queue="q", stream=True)
        waiting = node.bash("true", queue="q", stream=True)
        eventually(lambda: waiting.state().stage == "waiting")
        assert waiting.kill()
        jobs = {
            "KILLED": [withdrawn, waiting],
            "EXPIRED": [node.bash("true", stream=True, expires_at=1)],
            "UNKNOWN_CMD": [node.submit("no.such", stream=True)],
            "ERROR": [node.submit("job.kill", {"id": 5}, stream=True)],
        }
        for state, several in jobs.items():
            for job in several:
                messages = list(job.stream(timeout=10))
                assert [message.is_last for message in messages] == [True], state
                assert job.wait(timeout=10).state.name == state
        assert first.kill()
        assert list(first.stream(timeout=10))[-1].is_last
        del agent


def test_a_job_without_live_output(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """It has no log: following it ends when it ends, and says what there was."""
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash("echo hello; sleep 0.5")
        (gap,) = job.stream(timeout=20)
        silent = cx.node(node.id).bash("true")
        assert list(silent.stream(timeout=20)) == []
        assert isinstance(gap, Gap)
        assert (gap.size, gap.count, gap.is_last) == (6, None, False)
        for options in ([], ["-f"]):
            told = _logs(redis_url, namespace, *options, job.id)
            assert (told.stdout, told.returncode) == ("", 0)
            assert "it wrote 6 bytes, the last of which are in its result" in told.stderr
        told = _logs(redis_url, namespace, "-f", silent.id)
        assert "finished SUCCESS; no log: it wrote nothing" in told.stderr


def test_a_log_that_has_gone(
    redis_url: str, namespace: str, keys: Keys, run_node: RunNode, raw: redis.Redis
) -> None:
    """When the log has gone and the result has not, it is said how much that is; when all has
    gone, nobody knows the job, and nothing waits for it.
    """
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash("echo hello", stream=True)
        assert job.wait(timeout=10).ok
        assert raw.delete(keys.log(job.id))
        (gap,) = job.stream(timeout=10)
        assert isinstance(gap, Gap)
        assert gap.size == 6
        assert raw.delete(keys.state(job.id), keys.result(job.id))
        told = _logs(redis_url, namespace, "-f", job.id)
        assert "nobody knows it" in told.stderr
        assert told.returncode == 3


def test_a_queued_job_is_waited_for(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """`corex logs -f` finds a job that waits in the list of a node which is not there yet."""
    node = run_node("n1")
    node.stop()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node("n1").bash("echo hello", stream=True)

        def late() -> None:
            time.sleep(6)
            node.start()

        with meanwhile(late):
            told = _logs(redis_url, namespace, "-f", job.id)
    assert (told.stdout, told.returncode) == ("hello\n", 0)


def test_the_log_of_a_running_job(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """Without `-f` what is there is printed, though the job writes faster than it is read."""
    node = run_node()
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node(node.id).bash("echo first; while :; do seq 100; done", stream=True)
        eventually(lambda: next(iter(job.stream(timeout=10))).text)
        told = _logs(redis_url, namespace, job.id, seconds=40)
        assert job.state().stage == "running"
        assert job.kill()
        assert job.wait(timeout=10).state.name == "KILLED"
    assert told.returncode == 0
    assert told.stdout


@pytest.mark.usefixtures("quick_pulse")
async def test_the_asyncio_client_fills_gaps_too(
    proxy: StrandingProxy, redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """The same for coroutines, with connections that are cut and some that go dead."""
    node = run_node()
    async with AsyncClient(proxy.url(redis_url), namespace=namespace) as cx:
        job = await cx.node(node.id).bash(_TICKS, stream=True)
        seen: list[Message] = []
        async for message in job.stream(timeout=50):
            seen.append(message)
            if len(seen) == 4:
                proxy.cut()
            if len(seen) == 8:
                proxy.strand()
    assert _text(seen) == _TICKED
    _check_order(seen)
