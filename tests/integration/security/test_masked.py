"""A password in a URL is seen nowhere: not in logs, errors, or lists of processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

import corex
from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess, RunNode
from tests.helpers.servers import Server
from tests.helpers.users import SECRET, Users


def command_lines(pid: int) -> str:
    """The command lines of a process and all below it."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return "\n".join(" ".join(one.cmdline()) for one in family if one.is_running())


def settled(node: NodeProcess) -> bool:
    """Whether an agent is what it will be: the program that the command line becomes."""
    return "--url" not in command_lines(node.process.pid)


def test_a_node_shows_its_password_to_nobody(
    guarded: Server, users: Users, run_node: RunNode, namespace: str
) -> None:
    """Neither the agent nor what it starts, though the URL was an option; nor does its log."""
    url = guarded.url_of(users.add("node", "n1"))
    node = run_node("n1", url=url)
    eventually(lambda: settled(node), "the agent's own command line")
    login = users.add("client", "c1")
    with corex.Client(guarded.url_of(login), namespace=namespace) as client:
        job = client.node("n1").bash("tr '\\0' '\\n' < /proc/self/environ; sleep 60")
        eventually(lambda: job.state().stage == "running")
        eventually(lambda: "sleep 60" in command_lines(node.process.pid))
        assert SECRET not in command_lines(node.process.pid)
        job.kill()
        assert SECRET not in job.wait(timeout=10).stdout
        shown = client.node("n1").call("config.get", timeout=10)
        assert SECRET not in repr(shown)
        assert SECRET not in repr(client)
        assert "c1:***@" in repr(client)
    assert "n1:***@" in node.log_text()
    assert SECRET not in node.log_text()


@pytest.mark.parametrize("name", ["COREX_URL", "COREX_NODE_URL"])
def test_a_node_whose_url_is_in_the_environment(
    guarded: Server, users: Users, namespace: str, tmp_path: Path, name: str
) -> None:
    """It is in no command line, not even for a moment."""
    url = guarded.url_of(users.add("node", "n1"))
    log = tmp_path / "log"
    with log.open("wb") as output:
        node = subprocess.Popen(
            [COREX, "node", "run", "--id", "n1"],
            env={**os.environ, name: url, "COREX_NODE_NAMESPACE": namespace},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: b"node.ready" in log.read_bytes(), seconds=20)
        assert SECRET not in command_lines(node.pid)
    finally:
        node.terminate()
        node.wait(20)
    assert SECRET not in log.read_text()


def test_a_node_whose_redis_is_away() -> None:
    """Its log says where it looks for it, and no password."""
    url = f"redis+sentinel://u:{SECRET}@127.0.0.1:1/m?sentinel_password={SECRET}"
    with subprocess.Popen(
        [COREX, "--url", url, "node", "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as node:
        assert node.stdout is not None
        first = node.stdout.readline()
        node.terminate()
        shown = first + node.stdout.read()
    assert b"redis+sentinel://u:***@127.0.0.1:1/m?sentinel_password=***" in first
    assert SECRET.encode() not in shown


def test_dev_shows_no_password(redis_server: EmbeddedRedis) -> None:
    """The URL that it prints has none, as its Redis wants none."""
    del redis_server
    with subprocess.Popen(
        [COREX, "dev"],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "COREX_URL": f"redis://u:{SECRET}@127.0.0.1:1/0",
            "PYTHONUNBUFFERED": "1",
        },
    ) as dev:
        assert dev.stdout is not None
        try:
            lines = [dev.stdout.readline() for _ in range(9)]
        finally:
            dev.terminate()
        rest = dev.stdout.read()
    assert lines[0].startswith("Redis:  redis://127.0.0.1:")
    assert SECRET not in "".join(lines) + rest
