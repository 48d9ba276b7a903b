"""Events of a real node, followed with the library and at the command line."""

from __future__ import annotations

import getpass
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from corex import AsyncClient, Client, Event, EventGap, WaitTimeout
from corex_shared.keys import Keys
from tests.conftest import RunNode
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, start_together
from tests.helpers.proxy import Proxy
from tests.integration.client.hand import meanwhile

ALWAYS = {"COREX_NODE_EVENTS_JOBS": "always"}


@pytest.fixture
def listening(raw: redis.Redis, keys: Keys) -> Callable[[int], None]:
    """Returns when so many listen."""

    def wait(count: int = 1) -> None:
        channel = keys.events()
        eventually(lambda: raw.pubsub_numsub(channel) == [(channel.encode(), count)], "listeners")

    return wait


@contextmanager
def command_line(url: str, namespace: str, *arguments: str) -> Iterator[Callable[[], list[str]]]:
    """Run `corex events`; gives what it has printed so far."""
    process = subprocess.Popen(
        [COREX, "--url", url, "--namespace", namespace, "events", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        lines.extend(process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: lines
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
        reader.join(20)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
    assert (code, said) == (130, "")


def test_the_command_line_tells_who_ran_what(
    redis_url: str,
    namespace: str,
    run_node: RunNode,
    listening: Callable[[int], None],
) -> None:
    """For people a line each, as JSON each as it was told; nodes and kinds are chosen."""
    start_together([run_node(name, env=ALWAYS, start=False) for name in ("web-1", "db-1")])
    options = (redis_url, namespace)
    with (
        command_line(*options, "web-*") as plain,
        command_line(*options, "--json", "--kind", "job.finished", "--kind", "node") as as_json,
    ):
        listening(2)
        run = [str(COREX), "--url", redis_url, "--namespace", namespace, "run"]
        assert subprocess.run([*run, "web-1", "--", "sh", "-c", "exit 3"], check=False).returncode
        with Client(redis_url, namespace=namespace, name="deployer") as cx:
            cx.node("db-1").submit("core.ping", id="mine").wait(10)
            me = cx.id
        eventually(lambda: len(plain()) >= 2 and len(as_json()) >= 2)
    who = f"{getpass.getuser()}:{socket.gethostname().partition('.')[0]}"
    started, finished = (line.split() for line in plain())
    assert started[1:3] == ["web-1", "job.started"]
    assert started[4:] == [who, "core.system(sh)"]
    assert finished[1:3] == ["web-1", "job.finished"]
    assert finished[3:5] == [started[3], who]
    assert finished[5:8] == ["core.system", "ERROR", "1003"]
    ran, pinged = (json.loads(line) for line in as_json())
    assert (ran["node"], ran["event"], ran["code"]) == ("web-1", "job.finished", 1003)
    assert ran["reply_to"].startswith(f"{who}:")
    assert (pinged["node"], pinged["job"], pinged["reply_to"]) == ("db-1", "mine", me)
    assert me.startswith("deployer:")


def test_a_reader_that_leaves_ends_it(
    redis_url: str,
    namespace: str,
    run_node: RunNode,
    listening: Callable[[int], None],
) -> None:
    """`corex events | head -1` says nothing of a broken pipe."""
    run_node("n1", env=ALWAYS)
    line = f"{COREX} --url {redis_url} --namespace {namespace} events | head -1"
    with Client(redis_url, namespace=namespace) as cx:
        shell = subprocess.Popen(
            line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        listening(1)
        for _ in range(20):
            cx.node("n1").ping()
            if shell.poll() is not None:
                break
            time.sleep(0.1)
        out, err = shell.communicate(timeout=20)
    assert out.count("\n") == 1
    assert "Traceback" not in err


def test_who_killed_it(cx: Client, run_node: RunNode, listening: Callable[[int], None]) -> None:
    """With the library: the killer is the client that called `kill`."""
    run_node("n1", env=ALWAYS)
    seen: list[Event] = []

    def follow() -> None:
        for event in cx.events(kinds=["job.finished"], timeout=30):
            seen.append(event)
            if event.command == "bash":
                return

    def act() -> None:
        listening(1)
        job = cx.node("n1").bash("sleep 60")
        eventually(lambda: job.state().stage == "running")
        assert job.kill()

    with meanwhile(act):
        follow()
    assert (seen[-1].state, seen[-1].code) == ("KILLED", 499)
    assert seen[-1].killed_by == seen[-1].reply_to == cx.id


def test_what_is_not_heard_is_told(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """After a loss of the connection: that there was one, and how many of each node are missing."""
    run_node("n1", env=ALWAYS)
    with (
        Proxy.before(redis_url) as proxy,
        Client(proxy.url(redis_url), namespace=namespace) as far,
        Client(redis_url, namespace=namespace) as cx,
    ):
        seen: list[Event] = []
        done: list[bool] = []

        def keep_on() -> None:
            while not done:
                cx.node("n1").ping()

        with meanwhile(keep_on):
            for event in far.events(timeout=40):
                seen.append(event)
                if len(seen) == 3:
                    proxy.cut()
                if isinstance(event, EventGap) and event.count:
                    break
            done.append(True)
    lost, back, missing = (event for event in seen if isinstance(event, EventGap))
    assert "nothing is heard" in lost.why
    assert "connected again" in back.why
    assert (missing.node, missing.event) == ("n1", "gap")
    numbers = [event.seq for event in seen if event.seq is not None]
    assert len(numbers) == len(set(numbers)) >= 3


async def test_the_asyncio_client_follows_events(
    redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """It ends with its time, too."""
    run_node("n1", env=ALWAYS)
    seen: list[Event] = []

    async def follow() -> None:
        async with AsyncClient(redis_url, namespace=namespace, name="robot") as cx:
            async for event in cx.events(kinds=["job"], timeout=3):
                seen.append(event)  # noqa: PERF401 - what came before the error counts

    done: list[bool] = []

    def keep_on() -> None:
        with Client(redis_url, namespace=namespace) as other:
            while not done:
                other.node("n1").ping()

    with meanwhile(keep_on):
        with pytest.raises(WaitTimeout):
            await follow()
        done.append(True)
    assert {event.event for event in seen} == {"job.started", "job.finished"}
    assert {event.command for event in seen} == {"core.ping"}
