"""Gathering facts about a server and the nodes: cheap questions, each answered or refused.

Nothing here holds anybody up: no KEYS, no blocking command, bounded samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from corex.core import SLICE, Core
from corex.doctor import permissions
from corex.doctor.facts import FleetFacts, NodeFacts, ServerFacts
from corex.doctor.permissions import Asking
from corex.effects import Plan, ReadInbox, Run
from corex.nodes import list_nodes
from corex.submit import prepare, send
from corex.ticket import Ticket
from corex_shared.errors import StoreForbiddenError, StoreRefusedError
from corex_shared.models import Command, NodeInfo
from corex_shared.scripts import Call

PINGS = 50
PING_SECONDS = 5.0
"""Seconds after which no more PINGs are sent."""
ASKED = 1000
"""Nodes that are asked to answer, at most."""
SCANS, SCAN_COUNT = 10, 500
"""Steps of a SCAN for one kind of key, and keys that each looks at, about."""
_CHUNK = 200

_SETTINGS = (
    "appendfsync",
    "client-output-buffer-limit",
    "maxclients",
    "maxmemory-policy",
    "min-replicas-to-write",
    "save",
)


def examine_server(core: Core) -> Plan[ServerFacts]:
    """Gather what there is to know of the server.

    Raises:
        StoreError: it cannot be reached, or refuses even a PING.
    """
    pings = yield from _ping(core)
    info = yield from _info()
    ahead, error = yield from _clock(core)
    user = _text((yield from _ask("ACL", "WHOAMI"))) or None
    return ServerFacts(
        pings=pings,
        info=info,
        config=(yield from _config()),
        clock_ahead=ahead,
        clock_error=error,
        cluster_state=(yield from _cluster_state()) if info.get("cluster_enabled") == "1" else None,
        user=user,
        **(yield from _permissions(core, user)),
    )


def examine_fleet(core: Core, timeout: float, *, may_ask: bool) -> Plan[FleetFacts]:
    """Gather what there is to know of the nodes.

    Args:
        core: the client's surroundings.
        timeout: seconds for the nodes to answer.
        may_ask: whether this user may put questions to them.

    Raises:
        StoreError: Redis cannot be reached.
    """
    try:
        infos = yield from list_nodes(core)
    except StoreForbiddenError:
        return FleetFacts(now_ms=core.now_ms(), nodes=[], listed=False)
    counts = yield from _counts(core, infos)
    # Counted first: what we ask them is in their lists, too.
    asked = [node for node in infos if node.alive] if may_ask else []
    answers = yield from _ask_nodes(core, asked, timeout)
    sampled, lasting = yield from _lasting(core)
    return FleetFacts(
        now_ms=(yield from _now_ms(core)),
        nodes=[
            NodeFacts(
                info,
                **counts[info.id],
                answered=answers[info.id] is not None if info.id in answers else None,
                clock_ahead=answers.get(info.id) or 0.0,
            )
            for info in infos
        ],
        sampled=sampled,
        lasting=lasting,
    )


def _ask(*call: str | int) -> Plan[Any]:
    """Ask one thing; None if it is refused."""
    try:
        (answer,) = yield Run([call])
    except StoreRefusedError:
        return None
    return answer


def _ping(core: Core) -> Plan[list[float]]:
    took: list[float] = []
    begun = core.clock()
    while len(took) < PINGS and core.clock() - begun < PING_SECONDS:
        before = core.clock()
        yield Run([("PING",)])
        took.append(core.clock() - before)
    return took


def _info() -> Plan[dict[str, str]]:
    answer = yield from _ask("INFO")
    if isinstance(answer, dict):  # as redis-py reads it
        return {str(name): str(value) for name, value in answer.items()}
    return dict(_lines(answer))


def _lines(answer: Any) -> list[tuple[str, str]]:
    """Read lines of `name:value`."""
    parts = [line.partition(":") for line in _text(answer).splitlines() if ":" in line]
    return [(name, value) for name, _, value in parts]


def _config() -> Plan[dict[str, str] | None]:
    config: dict[str, str] = {}
    for name in _SETTINGS:
        answer = yield from _ask("CONFIG", "GET", name)
        if answer is None:
            return None
        if isinstance(answer, dict):
            pairs = list(answer.items())
        else:
            pairs = list(zip(answer[::2], answer[1::2], strict=False))
        config.update((_text(key), _text(value)) for key, value in pairs)
    return config


def _cluster_state() -> Plan[str | None]:
    answer = yield from _ask("CLUSTER", "INFO")
    if isinstance(answer, dict):
        return str(answer.get("cluster_state"))
    return dict(_lines(answer)).get("cluster_state")


def _clock(core: Core) -> Plan[tuple[float | None, float]]:
    before = core.now_ms()
    server = yield from _server_ms()
    after = core.now_ms()
    if server is None:
        return None, 0.0
    return (server - (before + after) / 2) / 1000, (after - before) / 2000 + 0.001


def _server_ms() -> Plan[float | None]:
    answer = yield from _ask("TIME")
    return None if answer is None else int(answer[0]) * 1000 + int(answer[1]) / 1000


def _now_ms(core: Core) -> Plan[int]:
    server = yield from _server_ms()
    return core.now_ms() if server is None else int(server)


def _permissions(core: Core, user: str | None) -> Plan[dict[str, Any]]:
    """Find out what is refused: of what a client needs, and of what a node needs besides."""
    calls = {
        "refused": permissions.client_calls(core),
        "refused_to_withdraw": permissions.withdrawal_calls(core),
        "refused_to_serve": permissions.serving_calls(core),
    }
    asking = Asking.FORBIDDEN if user is None else (yield from permissions.may_ask(user))
    found: dict[str, Any] = {"asking": asking}
    if asking is not Asking.POSSIBLE or user is None:
        for name, some in calls.items():
            found[name] = yield from permissions.try_out(some)
        found["refused"] |= yield from permissions.try_subscribing(core)
        return found
    calls["refused"] |= permissions.subscriptions(core)
    calls["refused_of_nodes"] = permissions.node_calls(core)
    for name, some in calls.items():
        found[name] = yield from permissions.look_up(user, some)
    return found


def _counts(core: Core, nodes: Sequence[NodeInfo]) -> Plan[dict[str, dict[str, Any]]]:
    """Count what each node has; None in place of what may not be looked at."""
    keys = core.keys
    commands = yield from _of_each(nodes, lambda node: ("LLEN", keys.commands(node)))
    control = yield from _of_each(nodes, lambda node: ("LLEN", keys.control(node)))
    claimed = yield from _of_each(nodes, lambda node: ("HLEN", keys.claimed(node)))
    rejected = yield from _of_each(nodes, lambda node: ("LLEN", keys.rejected(node)))
    left = yield from _of_each(nodes, lambda node: ("PTTL", keys.presence(node)))
    counts: dict[str, dict[str, Any]] = {}
    for at, node in enumerate(nodes):
        waiting, urgent, ttl = commands[at], control[at], left[at]
        counts[node.id] = {
            "queued": None if waiting is None or urgent is None else waiting + urgent,
            "claimed": claimed[at],
            "rejected": rejected[at],
            "lease_left": ttl / 1000 if ttl is not None and ttl >= 0 else None,
        }
    return counts


def _of_each(nodes: Sequence[NodeInfo], make: Callable[[str], Call]) -> Plan[Sequence[int | None]]:
    """Ask one thing about each node; None for all if it is refused."""
    answers: list[int | None] = []
    for start in range(0, len(nodes), _CHUNK):
        try:
            answers += yield Run([make(node.id) for node in nodes[start : start + _CHUNK]])
        except StoreForbiddenError:
            return [None] * len(nodes)
    return answers


def _ask_nodes(
    core: Core, nodes: Sequence[NodeInfo], timeout: float
) -> Plan[dict[str, float | None]]:
    """Ping nodes past their backlog.

    Returns:
        Node → seconds by which its clock is surely off; None when it did not answer. What was
        not answered is taken back.
    """
    ping = Command("core.ping")
    asked = [prepare(core, node.id, ping, control=True) for node in nodes[:ASKED]]
    before = yield from _server_ms()
    tickets: list[Ticket] = []
    with suppress(StoreRefusedError):
        tickets = yield from send(core, asked)
    heard = yield from _hear(core, tickets, timeout, before)
    silent = [ticket for ticket in tickets if ticket.id not in heard]
    with suppress(StoreRefusedError):  # else they are answered when their node is there
        yield Run([("LREM", ticket.queue_key, 0, ticket.payload) for ticket in silent])
    return {ticket.node or "": heard.get(ticket.id) for ticket in tickets}


def _hear(
    core: Core, tickets: Sequence[Ticket], timeout: float, before: float | None
) -> Plan[dict[str, float]]:
    """Take what nodes answer, and read their clocks by when they say that they began.

    Returns:
        Job → seconds by which the clock of its node is surely off; none for silent ones.
    """
    heard: dict[str, float] = {}
    end = core.clock() + timeout
    waiter = core.mailbox.open(ticket.id for ticket in tickets)
    try:
        while len(heard) < len(tickets) and (left := end - core.clock()) > 0:
            yield ReadInbox(waiter, min(SLICE, left))
            mails = waiter.take()
            after = (yield from _server_ms()) if mails else None
            for mail in mails:
                began = mail.result.starttime if mail.result else 0
                heard[mail.job] = clock_off(before, began, after)
    finally:
        core.mailbox.close(waiter)
    return heard


def clock_off(before: float | None, began: int, after: float | None) -> float:
    """Say by how much a clock is surely off.

    Args:
        before: the server's time before something was asked, in ms.
        began: when it began, by the clock in question; 0 if it did not say.
        after: the server's time after it was answered.

    Returns:
        Seconds that it is ahead, negative if behind; 0 when it may be right.
    """
    if before is None or after is None or not began:
        return 0.0
    if began > after:
        return (began - after) / 1000
    return min(0.0, (began - before) / 1000)


def _lasting(core: Core) -> Plan[tuple[int | None, list[str]]]:
    """Look among the first keys for some that have no TTL and should have one."""
    keys = core.keys
    sampled = 0
    lasting: list[str] = []
    for pattern in (keys.result("*"), keys.log("*"), keys.inbox("*"), keys.presence("*")):
        cursor: Any = 0
        for _ in range(SCANS):
            answer = yield from _ask("SCAN", int(cursor), "MATCH", pattern, "COUNT", SCAN_COUNT)
            if answer is None:
                return None, []
            cursor, found = answer
            ttls = yield Run([("PTTL", key) for key in found])
            sampled += len(found)
            lasting += [_text(key) for key, ttl in zip(found, ttls, strict=True) if ttl == -1]
            if not int(cursor):
                break
    return sampled, lasting


def _text(answer: Any) -> str:
    if isinstance(answer, bytes):
        return answer.decode(errors="replace")
    return "" if answer is None else str(answer)
