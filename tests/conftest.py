"""Fixtures of all tests: real Redis servers and real agents."""

from __future__ import annotations

import itertools
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.bytecode import compile_packages
from tests.helpers.eventually import eventually
from tests.helpers.leftovers import Leftovers
from tests.helpers.nodes import NodeProcess, RunNode

__all__ = ["RunNode"]  # what tests call the type of `run_node`


_ROOT = Path(__file__).parents[1]
_SLOWEST_FIRST = ("tests/faults", "tests/guide", "tests/integration", "tests/e2e")
"""Folders whose files take long, each in one worker: begun late, they would be waited for."""


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what all tests have use for, once, and not in each worker of xdist."""
    if not hasattr(config, "workerinput"):
        compile_packages(_ROOT)
    # By itself xdist takes files with many tests first; ours of few tests are the slow ones.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the slow files begin first; the order is kept otherwise."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    folders = enumerate(_SLOWEST_FIRST)
    slow = (turn for turn, folder in folders if item.path.is_relative_to(_ROOT / folder))
    return next(slow, len(_SLOWEST_FIRST))


@pytest.fixture(scope="session", autouse=True)
def _heard_signals() -> None:
    """Hear what a shell has had programs ignore that it starts in the background.

    Whatever tests start would ignore it too, and tests interrupt programs.
    """
    for number, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def leftovers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leftovers]:
    """See at the end of all tests that no process and no temporary file is left."""
    found = Leftovers(tmp_path_factory.mktemp("tmp"))
    yield found
    with suppress(AssertionError):
        eventually(lambda: not found.processes())
    assert found.processes() == []
    assert found.files() == []


@pytest.fixture(scope="session", autouse=True)
def no_profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the profiles of whoever runs the tests out of them, also where programs are started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("COREX_CONFIG", raising=False)
        patch.delenv("COREX_PROFILE", raising=False)
        yield


@pytest.fixture(scope="session")
def redis_server(leftovers: Leftovers) -> Iterator[EmbeddedRedis]:
    """One server for all tests that do it no harm."""
    del leftovers  # looked for after the server is gone
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """URL of the shared server; `namespace` keeps tests apart."""
    return redis_server.url


@pytest.fixture
def namespace() -> str:
    """A namespace of this test alone."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def keys(namespace: str) -> Keys:
    """The keys of this test's namespace."""
    return Keys(namespace)


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client of the shared server; answers are bytes."""
    # Longer than any wait on the server: the library's own limit is shorter than ours.
    with redis.Redis.from_url(redis_url, socket_timeout=120) as client:
        yield client


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """A server of this test alone, with an append-only file: to be stopped, killed, paused."""
    with EmbeddedRedis(persistent=True) as server:
        yield server


@pytest.fixture
def run_node(redis_url: str, namespace: str, tmp_path: Path) -> Iterator[RunNode]:
    """Start agents; each must end well when it is stopped after the test."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def run(
            node_id: str | None = None,
            *,
            url: str | None = None,
            args: Sequence[str] = (),
            env: Mapping[str, str] | None = None,
            prefix: Sequence[str] = (),
            start: bool = True,
        ) -> NodeProcess:
            name = node_id or f"n{next(numbers)}"
            log = tmp_path / f"node-{name}.log"
            node = NodeProcess(name, url or redis_url, namespace, log, args, env, prefix)
            stack.callback(node.finish)
            if start:
                node.start()
            return node

        yield run
