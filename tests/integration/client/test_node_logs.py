"""What nodes log, followed live."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest

from corex import AsyncClient, Client, Gap, Message, WaitTimeout
from tests.conftest import RunNode
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX
from tests.integration.client.hand import meanwhile
from tests.integration.client.stranding import StrandingProxy

SCRIPT = "echo out; echo err >&2; echo '9::bad'"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[StrandingProxy]:
    """A proxy before the shared server."""
    with StrandingProxy.before(redis_url) as proxy:
        assert isinstance(proxy, StrandingProxy)
        yield proxy


def _again(client: Client, node: str, until: list[bool]) -> None:
    """Run the script until it was heard: nobody can know when somebody else listens."""
    for _ in range(100):
        assert client.node(node).bash(SCRIPT).wait(timeout=10).ok
        if until:
            return
        time.sleep(0.1)
    raise AssertionError("it was never heard")


def test_the_command_line_follows_nodes(redis_url: str, namespace: str, run_node: RunNode) -> None:
    """Lines bear node and job; nodes and levels are chosen."""
    run_node("web-1")
    run_node("db-1")
    options = ["--url", redis_url, "--namespace", namespace, "logs", "-f", "--node", "web-*"]
    with Client(redis_url, namespace=namespace) as cx:
        process = subprocess.Popen(
            [COREX, *options, "--level", "critical,2", "--json"], stdout=subprocess.PIPE, text=True
        )
        plain = subprocess.Popen([COREX, *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert plain.stdout is not None
        done: list[bool] = []

        def nodes() -> None:
            _again(cx, "db-1", [True])
            _again(cx, "web-1", done)

        with meanwhile(nodes):
            messages = [json.loads(process.stdout.readline()) for _ in range(2)]
            line = plain.stdout.readline()
            done.append(True)
        for running in (process, plain):
            running.kill()
            running.communicate()
    assert {message["node"] for message in messages} == {"web-1"}
    assert sorted(message["level"] for message in messages) == [2, 9]
    assert line.split(" | ")[0] == "web-1"
    assert line.split(" | ")[2] in ("err\n", "bad\n")


@pytest.mark.parametrize(
    "arguments", [["-f"], ["--node", "*"], ["-f", "j", "--node", "*"], ["j", "--level", "2"]]
)
def test_usage(redis_url: str, arguments: list[str]) -> None:
    """A job or nodes; nodes only live."""
    done = subprocess.run(
        [COREX, "--url", redis_url, "logs", *arguments], capture_output=True, check=False
    )
    assert done.returncode == 2


@pytest.mark.usefixtures("quick_pulse")
def test_a_connection_that_died_is_noticed(
    proxy: StrandingProxy, redis_url: str, namespace: str, run_node: RunNode
) -> None:
    """When it goes dead without a word this is noticed, and told."""
    node = run_node()
    with (
        Client(proxy.url(redis_url), namespace=namespace) as far,
        Client(redis_url, namespace=namespace) as cx,
    ):
        done: list[bool] = []
        seen = []
        begun = 0.0
        with meanwhile(lambda: _again(cx, node.id, done)):
            for message in far.follow_nodes(timeout=60):
                seen.append(message)
                if not done:
                    done.append(True)
                    begun = time.monotonic()
                    assert proxy.strand() == 1
                if isinstance(message, Gap):
                    break
        assert time.monotonic() - begun < 20
        assert "the connection was lost" in seen[-1].text


@pytest.mark.usefixtures("quick_pulse")
async def test_the_asyncio_client_follows_nodes(
    proxy: StrandingProxy, redis_url: str, namespace: str
) -> None:
    """It notices a dead connection too, and ends with its time."""
    seen: list[Message] = []

    async def follow() -> None:
        async with AsyncClient(proxy.url(redis_url), namespace=namespace) as cx:
            async for message in cx.follow_nodes(timeout=8):
                seen.append(message)  # noqa: PERF401 - what came before the error counts

    def accident() -> None:
        eventually(lambda: proxy.connections)
        time.sleep(2)  # it is asked meanwhile, and answers
        assert seen == []
        proxy.strand()

    with meanwhile(accident), pytest.raises(WaitTimeout):
        await follow()
    assert [type(message) for message in seen] == [Gap]
