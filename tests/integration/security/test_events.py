"""Events under ACLs: a node tells them, a client hears them, and nobody else may tell any."""

from __future__ import annotations

import pytest
import redis

import corex
from corex_shared.keys import Keys
from corex_shared.scripts import script
from tests.helpers.nodes import RunNode
from tests.helpers.servers import Server
from tests.helpers.users import Users
from tests.integration.client.hand import meanwhile
from tests.integration.security import story


@pytest.mark.parametrize("role", ["node", "reaper"])
def test_a_node_tells_and_a_client_hears(
    guarded: Server, users: Users, admin: redis.Redis, run_node: RunNode, namespace: str, role: str
) -> None:
    """By a name of the client's own, whose inbox the node reaches too; nothing is refused."""
    admin.acl_log_reset()
    node = run_node(
        "n1",
        url=guarded.url_of(users.add(role, "n1")),
        env={"COREX_NODE_LIMITS_REAP": "0"},  # a node that is no reaper may not look for others
    )
    url = guarded.url_of(users.add("client", "c1"))
    done: list[bool] = []

    def work() -> None:
        with corex.Client(url, namespace=namespace, name="alice:laptop") as cx:
            while not done:
                assert cx.node("n1").bash("true").wait(timeout=10).ok

    with meanwhile(work), corex.Client(url, namespace=namespace) as listener:
        for event in listener.events(kinds=["job.finished"], timeout=30):
            done.append(True)
            assert event.reply_to.startswith("alice:laptop:")
            break
    assert node.stop() == 0
    assert story.refused(admin, "n1") == story.refused(admin, "c1") == []
    assert "refused" not in node.log_text()


def test_whose_events_may_be_told(guarded: Server, users: Users, keys: Keys) -> None:
    """A node those of its namespace, by a script or without; clients and operators none."""
    tell = script("tell")
    with guarded.client() as admin:
        admin.execute_command("SCRIPT", "LOAD", tell.text)
    own, others = keys.events(), Keys("other").events()
    with redis.Redis.from_url(guarded.url_of(users.add("node", "n1"))) as node:
        assert node.publish(own, "{}") == 0
        assert node.execute_command(*tell.call([keys.claimed("n1")], [own, 1, "{}"])) == 0
        forbidden = [
            ("PUBLISH", others, "{}"),
            tell.call([keys.claimed("n1")], [others, 1, "{}"]),
            tell.call([keys.claimed("n2")], [own, 1, "{}"]),
        ]
        for attempt in forbidden:
            with pytest.raises(redis.exceptions.ResponseError, match=r"permission|can't publish"):
                node.execute_command(*attempt)
    for role, *more in (["client"], ["client", "--withdraw"], ["operator"]):
        login = users.add(role, "x1", *more)
        with (
            redis.Redis.from_url(guarded.url_of(login)) as other,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            other.publish(own, "{}")


def test_a_node_that_may_not_tell_serves_all_the_same(
    guarded: Server, users: Users, run_node: RunNode, namespace: str, keys: Keys
) -> None:
    """It says so in its log, once, and delivers results."""
    login = users.add("node", "n1", without=[f"&{keys.events()}"])
    node = run_node("n1", url=guarded.url_of(login), env={"COREX_NODE_EVENTS_JOBS": "always"})
    url = guarded.url_of(users.add("client", "c1"))
    with corex.Client(url, namespace=namespace) as cx:
        for _ in range(20):
            assert cx.node("n1").bash("true").wait(timeout=10).ok
    assert node.stop() == 0
    said = [line for line in node.log_text().splitlines() if "redis.refused" in line]
    assert len(said) == 1
    assert "script tell" in said[0]
