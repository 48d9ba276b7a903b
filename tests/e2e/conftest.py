"""The command line on terminals and in pipes, before a fleet of real agents."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from corex import Client
from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.nodes import COREX, NodeProcess, start_together
from tests.helpers.terminal import Terminal

Corex = Callable[..., "subprocess.CompletedProcess[str]"]
OnTerminal = Callable[..., Terminal]


@pytest.fixture(scope="module")
def namespace() -> str:
    """The namespace of all tests of a module, which share their agents."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def fleet(
    redis_server: EmbeddedRedis, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """Two agents, `web-1` and `web-2`, of the group `build`; the first in the zone `eu`."""
    logs = tmp_path_factory.mktemp("fleet")
    options = {"web-1": ["--label", "zone=eu"], "web-2": ["--label", "zone=us"]}
    with ExitStack() as stack:
        nodes = []
        for name, args in options.items():
            log = logs / f"{name}.log"
            more = [*args, "--group", "build"]
            node = NodeProcess(name, redis_server.url, namespace, log, more)
            stack.callback(node.finish)
            nodes.append(node)
        start_together(nodes)
        yield nodes


@pytest.fixture
def cx(fleet: list[NodeProcess], redis_url: str, namespace: str) -> Iterator[Client]:
    """A client of the fleet; at the end of a test all jobs are killed."""
    with Client(redis_url, namespace=namespace) as client:
        yield client
        for node in fleet:
            if node.running:
                client.node(node.id).jobs.killall()


@pytest.fixture
def environment(redis_url: str, namespace: str) -> dict[str, str]:
    """What the command line finds in its environment."""
    return {**os.environ, "COREX_URL": redis_url, "COREX_NAMESPACE": namespace}


@pytest.fixture
def corex(environment: dict[str, str]) -> Corex:
    """Run the command line, or a script of a shell, in a pipe to its end."""

    def run(*arguments: str, script: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: PLW1510 - it is among the options
            ["bash", "-c", script] if script else [COREX, *arguments],
            **{
                "stdin": subprocess.DEVNULL,
                "capture_output": True,
                "text": True,
                "timeout": 60,
                "check": False,
                "env": environment,
                **options,
            },
        )

    return run


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> OnTerminal:
    """Make a terminal on which the command line is started; to be used by `with`."""

    def make(*arguments: str, **options: Any) -> Terminal:
        return Terminal([COREX, *arguments], **{"env": environment, **options})

    return make
