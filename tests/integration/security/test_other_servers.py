"""The same on the oldest Redis that is promised, and on Valkey.

Valkey's server is looked for on PATH; none of what the tests install brings it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import corex
from corex_node.process.embedded import find_server
from corex_shared.keys import Keys
from tests.helpers.nodes import RunNode
from tests.helpers.servers import Server, bundled_server, valkey_server
from tests.helpers.users import Users
from tests.helpers.wire import Wire
from tests.integration.security import story
from tests.integration.security.conftest import hardened


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """One with the settings and the users of ops/redis."""
    programs = {"Redis 6.2": bundled_server, "Valkey": valkey_server, "machine's": find_server}
    program = programs[request.param]()
    if program is None:
        pytest.skip("there is no valkey-server on PATH")
    # By `everysec` a server that is killed may lose what it was told while its disk was busy.
    server = hardened(tmp_path / "redis", program, "--appendfsync", "always")
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("server", ["Redis 6.2", "Valkey"], indirect=True)
def test_a_node_and_a_client_do_all_that_they_do(
    server: Server, run_node: RunNode, namespace: str, tmp_path: Path
) -> None:
    """With users of their own, to whom nothing is refused; the agent is killed, too."""
    with server.client() as admin:
        users = Users(admin, namespace, tmp_path)
        node = run_node("n1", url=server.url_of(users.add("node", "n1")))
        url = server.url_of(users.add("client", "c1", "--withdraw"))
        wire = Wire(admin, Keys(namespace), "n1")
        with corex.Client(url, namespace=namespace) as client:
            story.told(node, wire, client, tmp_path)
        story.told_of_a_death(node, wire)
        assert story.refused(admin, "n1") == []
        assert story.refused(admin, "c1") == []
    assert "refused" not in node.log_text()


@pytest.mark.parametrize("server", ["machine's", "Redis 6.2", "Valkey"], indirect=True)
def test_the_server_is_killed_and_started_with_its_data(
    server: Server, run_node: RunNode, namespace: str
) -> None:
    """Every command that it took has one result. (The user `default` is switched off: a server that
    took its rights, too, would not read what scripts have written.)"""
    node = run_node("n1", url=server.url)
    with server.client() as admin:
        wire = Wire(admin, Keys(namespace), "n1")
        jobs = [wire.script("sleep 0.3; echo done", queue=f"q{at % 10}") for at in range(40)]
        wire.wait_stage(jobs[0], "running")
        server.kill()
        server.start()
    with server.client() as admin:
        wire = Wire(admin, Keys(namespace), "n1")
        results = wire.results(jobs)
    assert [found["streams"][0] for found in results.values()] == ["done\n"] * len(jobs)
    assert node.running
