"""`corex doctor` with the users that ops/redis/acl.py makes: each is well for what it is for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

import corex
from corex.doctor.findings import Diagnosis, Finding
from tests.helpers.nodes import RunNode
from tests.helpers.servers import Server
from tests.helpers.users import Users

WITHDRAW = "may not withdraw commands that wait: acl.py --withdraw gives that"
SERVES = "this user may do with jobs and inboxes what a node does"
OLD = ["--server", "6.2"]
NOT_ASKED = "this user is not permitted ACL DRYRUN"


def _examine(guarded: Server, login: str, namespace: str) -> tuple[Diagnosis, dict[str, Finding]]:
    with corex.Client(guarded.url_of(login), namespace=namespace) as client:
        diagnosis = client.doctor()
    return diagnosis, {finding.check: finding for finding in diagnosis.findings}


def _id(value: object) -> str | None:
    if isinstance(value, list):
        return "".join(value)
    if isinstance(value, tuple):
        return "".join([value[0], *value[1]])
    return value if isinstance(value, str) and " " not in value else ""


@pytest.mark.parametrize(
    "case",
    [
        ("client", [], f"may do what a client does; {WITHDRAW}", NOT_ASKED),
        ("client", ["--withdraw"], "this user may do what a client does", NOT_ASKED),
        ("client", OLD, f"may do what a client does; {WITHDRAW}", NOT_ASKED),
        ("client", ["--withdraw", *OLD], "this user may do what a client does", NOT_ASKED),
        ("operator", [], "as an operator; may not push commands", NOT_ASKED),
        ("operator", OLD, "as an operator; may not push commands", NOT_ASKED),
        ("node", [], "serves a node; may not do what a client does", SERVES),
        ("node", OLD, "serves a node; may not do what a client does", SERVES),
        ("reaper", [], "serves a node; may not do what a client does", SERVES),
        ("reaper", OLD, "serves a node; may not do what a client does", SERVES),
        ("admin", [], "user u1 may do what a client does", "user u1 may do what a node does"),
    ],
    ids=_id,
)
def test_a_user_is_well_for_what_it_is_for(
    guarded: Server,
    users: Users,
    namespace: str,
    admin: redis.Redis,
    case: tuple[str, Sequence[str], str, str],
) -> None:
    """Nothing is a problem, or left behind; what it may not do is said where that is of use."""
    role, options, client, node = case
    unknown_here = ["+client|setinfo"] if "6.2" in options else []  # 7.0 refuses the rule
    login = users.add(role, "u1", *options, without=unknown_here)
    diagnosis, found = _examine(guarded, login, namespace)
    assert diagnosis.healthy, found
    assert found["client permissions"].verdict == "ok"
    assert found["client permissions"].text.endswith(client)
    assert node in found["node permissions"].text
    assert list(admin.scan_iter(match="*corex-doctor*")) == []


@pytest.mark.parametrize("role", ["client", "reaper"])
def test_a_healthy_node_with_a_short_lease_is_well(
    guarded: Server, users: Users, namespace: str, run_node: RunNode, role: str
) -> None:
    """Its lease is judged by its own settings; a client asks it, a reaper's user cannot."""
    env = {"COREX_NODE_LIMITS_LEASE": "1.5", "COREX_NODE_LIMITS_HEARTBEAT": "0.3"}
    run_node("n1", url=guarded.url_of(users.add("node", "n1")), env=env)
    _, found = _examine(guarded, users.add(role, "u1"), namespace)
    assert found["nodes"].text == "1 alive"
    assert (found["leases"].verdict, found["leases"].text) == ("ok", "renewed in time")
    assert found["answers"].verdict == ("ok" if role == "client" else "unknown")
    assert found["claimed"].verdict == ("unknown" if role == "client" else "ok")


@pytest.mark.parametrize(
    "role,options,without,check,text",
    [
        ("client", [], ["+rpush"], "client permissions", "may not: RPUSH (command)"),
        ("client", ["--withdraw"], ["+rpush"], "client permissions", "may not: RPUSH (command)"),
        ("client", [], ["+blpop", "+lpop"], "client permissions", "LPOP (command), BLPOP"),
        ("client", [], ["+hgetall"], "client permissions", "may not: HGETALL (command)"),
        ("client", [], ["+subscribe"], "client permissions", "may not: SUBSCRIBE (command)"),
        ("operator", [], ["+hgetall"], "client permissions", "HGETALL (command)"),
        ("node", [], ["+publish"], "node permissions", "may not: PUBLISH (command)"),
        ("node", [], ["+evalsha"], "node permissions", "may not: EVALSHA (command)"),
        ("reaper", [], ["+script|load"], "node permissions", "may not: SCRIPT LOAD (command)"),
    ],
    ids=_id,
)
def test_a_user_that_lacks_what_its_use_needs(
    guarded: Server,
    users: Users,
    namespace: str,
    role: str,
    options: Sequence[str],
    without: Sequence[str],
    check: str,
    text: str,
) -> None:
    """It stays a problem, which names what is refused, and advises to allow it."""
    diagnosis, found = _examine(
        guarded, users.add(role, "u1", *options, without=without), namespace
    )
    assert not diagnosis.healthy
    assert found[check].verdict == "problem", found
    assert text in found[check].text
    assert "acl.py" in found[check].advice
