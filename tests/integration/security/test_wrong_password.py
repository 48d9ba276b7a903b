"""Redis lets somebody not in."""

from __future__ import annotations

import subprocess

import pytest
import redis

import corex
from corex_shared.errors import CredentialsError
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, RunNode
from tests.helpers.servers import Server
from tests.helpers.users import SECRET, Users
from tests.helpers.wire import Wire


def test_a_node_with_a_wrong_password_ends_with_the_reason(
    guarded: Server, users: Users, run_node: RunNode
) -> None:
    """At once, with exit code 1; no waiting would help."""
    users.add("node", "n1")
    node = run_node("n1", url=guarded.url_of("n1:not-the-password@"), start=False)
    node.start(wait=False)
    assert node.wait() == 1
    assert "node.failed" in node.log_text()
    assert "Redis refuses the user or password of the URL" in node.log_text()
    assert "not-the-password" not in node.log_text()
    assert "Traceback" not in node.log_text()


def test_a_running_node_whose_password_is_changed_keeps_trying(
    guarded: Server, admin: redis.Redis, users: Users, run_node: RunNode, keys: Keys
) -> None:
    """It says why, about once a second at most, and goes on when the password is right again."""
    node = run_node("n1", url=guarded.url_of(users.add("node", "n1")))
    wire = Wire(admin, keys, "n1")
    job = wire.script("sleep 0.5; echo done")
    wire.wait_stage(job, "running")
    admin.acl_setuser("n1", enabled=False)
    admin.client_kill_filter(user="n1")
    eventually(lambda: "Redis refuses the user or password" in node.log_text())
    eventually(lambda: node.log_text().count("Redis refuses the user or password") >= 2)
    users.add("node", "n1")
    assert wire.result(job)["streams"][0] == "done\n"
    assert wire.result(wire.script("echo more"))["streams"][0] == "more\n"
    assert SECRET not in node.log_text()
    assert "Traceback" not in node.log_text()


@pytest.mark.parametrize(
    "login", ["c1:not-the-password@", "nobody:not-the-password@", ":not-the-password@", ""]
)
def test_a_client_is_told_at_once(guarded: Server, users: Users, login: str) -> None:
    """Wrong password, no such user, a password without a user, none at all."""
    users.add("client", "c1")
    with (
        corex.Client(guarded.url_of(login)) as client,
        pytest.raises(CredentialsError, match="refuses the user or password") as caught,
    ):
        client.node("n1").bash("true").wait(timeout=10)
    assert "not-the-password" not in str(caught.value)


def test_the_command_line_says_so_in_one_line(guarded: Server, users: Users) -> None:
    """And exits as it does when Redis cannot be reached."""
    users.add("client", "c1")
    done = subprocess.run(
        [str(COREX), "--url", guarded.url_of("c1:not-the-password@"), "nodes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "refuses the user or password" in done.stderr
    assert "not-the-password" not in done.stderr
