"""Copying files while connections are cut, Redis restarts, and the agent dies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from corex import AsyncClient, Client, Node, WaitTimeout
from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode

BLOCK = 512 * 1024
DATA = hashlib.sha512(b"x").digest() * (20 * BLOCK // 64) + b"end"

At = Callable[[int, int], None]


@pytest.fixture
def agent(own_redis: EmbeddedRedis, run_node: RunNode) -> NodeProcess:
    """An agent with a Redis of this test alone."""
    return run_node("n1", url=own_redis.url)


@pytest.fixture
def node(agent: NodeProcess) -> Iterator[Node]:
    """Its node."""
    with Client(agent.url, namespace=agent.namespace) as client:
        yield client.node(agent.id)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A file of more than 20 blocks."""
    path = tmp_path / "here"
    path.write_bytes(DATA)
    return path


def _once(action: Callable[[], object], *, after: int = 5 * BLOCK) -> At:
    """Do something once, when so much was copied."""
    done: list[object] = []

    def at(count: int, total: int) -> None:
        if count >= after and not done:
            done.append(True)
            action()

    return at


def _cut(server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)


def _restart(agent: NodeProcess) -> None:
    agent.kill()
    agent.start(wait=False)


def _copy(node: Node, way: str, here: Path, there: Path, at: At, timeout: float = 40) -> None:
    if way == "up":
        node.fs.upload(here, str(there), progress=at, timeout=timeout)
    else:
        node.fs.download(str(here), there, progress=at, timeout=timeout)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".log")


@pytest.mark.parametrize("way", ["up", "down"])
def test_cut_connections_do_not_end_it(
    own_redis: EmbeddedRedis, node: Node, here: Path, tmp_path: Path, way: str
) -> None:
    """All of them, the agent's and the client's, again and again."""

    def at(count: int, total: int) -> None:
        if count and count // BLOCK % 4 == 0:
            _cut(own_redis)

    _copy(node, way, here, tmp_path / "there", at)
    assert (tmp_path / "there").read_bytes() == DATA
    assert _names(tmp_path) == ["here", "there"]


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_restart_of_redis_does_not_end_it(
    own_redis: EmbeddedRedis, node: Node, here: Path, tmp_path: Path, way: str
) -> None:
    def restart() -> None:
        own_redis.stop(keep_data=True)
        own_redis.start()

    _copy(node, way, here, tmp_path / "there", _once(restart))
    assert (tmp_path / "there").read_bytes() == DATA
    assert _names(tmp_path) == ["here", "there"]


@pytest.mark.parametrize("way", ["up", "down"])
def test_it_goes_on_when_the_agent_dies_and_is_started_again(
    agent: NodeProcess, node: Node, here: Path, tmp_path: Path, way: str
) -> None:
    _copy(node, way, here, tmp_path / "there", _once(lambda: _restart(agent)))
    assert (tmp_path / "there").read_bytes() == DATA
    assert _names(tmp_path) == ["here", "there"]
    agent.wait_present()


@pytest.mark.parametrize("way", ["up", "down"])
def test_it_goes_on_when_the_agent_is_stopped_and_started_again(
    agent: NodeProcess, node: Node, here: Path, tmp_path: Path, way: str
) -> None:
    """What it had not begun it gives back."""

    def restart() -> None:
        agent.stop()
        agent.start(wait=False)

    _copy(node, way, here, tmp_path / "there", _once(restart))
    assert (tmp_path / "there").read_bytes() == DATA
    agent.wait_present()


def test_when_the_agent_stays_away_there_is_no_file_and_in_the_end_no_part(
    agent: NodeProcess, node: Node, here: Path, tmp_path: Path
) -> None:
    """What is left is removed by the next agent of the node."""
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(WaitTimeout, match=r"\(\d+ of 10485763 bytes were copied\): not within 2 s"):
        _copy(node, "up", here, tmp_path / "there", _once(agent.kill), timeout=2)
    assert (tmp_path / "there").read_bytes() == b"old"
    assert len(list(tmp_path.glob("*.part"))) == 1
    agent.start()
    eventually(lambda: _names(tmp_path) == ["here", "there"], "the part is removed")
    assert (tmp_path / "there").read_bytes() == b"old"


def test_when_the_agent_stays_away_a_download_leaves_nothing(
    agent: NodeProcess, node: Node, here: Path, tmp_path: Path
) -> None:
    with pytest.raises(WaitTimeout, match=r"\(\d+ of 10485763 bytes were copied\): not within 2 s"):
        _copy(node, "down", here, tmp_path / "there", _once(agent.kill), timeout=2)
    assert _names(tmp_path) == ["here"]
    agent.start()


async def test_coroutines_go_on_when_the_agent_dies(
    agent: NodeProcess, here: Path, tmp_path: Path
) -> None:
    async with AsyncClient(agent.url, namespace=agent.namespace) as client:
        fs = client.node("n1").fs
        at = _once(lambda: _restart(agent))
        await fs.upload(here, str(tmp_path / "there"), progress=at, timeout=40)
        await fs.download(str(tmp_path / "there"), tmp_path / "back", timeout=40)
    assert (tmp_path / "back").read_bytes() == DATA
    agent.wait_present()
