"""What nodes say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from corex.core import Core
from corex.effects import Plan, Run
from corex_shared.errors import NodeAliveError, NoSuchNodeError
from corex_shared.identifiers import check_id, is_valid_id
from corex_shared.models import NodeInfo
from corex_shared.scripts import Call

_CHUNK = 500


def list_nodes(core: Core) -> Plan[list[NodeInfo]]:
    """Read what is known of every node, by ID."""
    (members,) = yield Run([("ZRANGE", core.keys.nodes(), 0, -1, "WITHSCORES")])
    seen = sorted(_scores(members).items())
    nodes: list[NodeInfo] = []
    for start in range(0, len(seen), _CHUNK):
        chunk = seen[start : start + _CHUNK]
        replies = yield Run([("HGETALL", core.keys.presence(node)) for node, _ in chunk])
        nodes += [
            read_presence(node, last, fields)
            for (node, last), fields in zip(chunk, replies, strict=True)
        ]
    return nodes


def read_nodes(core: Core, ids: Sequence[str]) -> Plan[list[NodeInfo]]:
    """Read what is known of some nodes, leaving out those that were never seen."""
    nodes: list[NodeInfo] = []
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        calls: list[Call] = [("ZSCORE", core.keys.nodes(), node) for node in chunk]
        calls += [("HGETALL", core.keys.presence(node)) for node in chunk]
        answers = yield Run(calls)
        for node, score, fields in zip(chunk, answers, answers[len(chunk) :], strict=False):
            if score is not None or fields:
                nodes.append(read_presence(node, int(float(score or 0)), fields))
    return nodes


def forget_node(core: Core, node: str) -> Plan[None]:
    """Take a node that is gone for good out of the list of nodes.

    It is no more than that: a node that comes back is in the list again, and finds the commands
    that wait for it.

    Raises:
        InvalidIdError: no node can have that ID.
        NoSuchNodeError: it was never seen, or is forgotten already.
        NodeAliveError: it is there.
    """
    known = yield from read_node(core, check_id("node", node))
    if known.alive:
        where = f" on {known.host}" if known.host else ""
        raise NodeAliveError(f"node {node} is there{where}: stop its agent first")
    yield Run([("ZREM", core.keys.nodes(), node)])


def nodes_of_group(nodes: Iterable[NodeInfo], group: str) -> list[NodeInfo]:
    """Choose the nodes that are alive and take part in a group."""
    return [node for node in nodes if node.alive and group in node.groups]


def read_node(core: Core, node: str) -> Plan[NodeInfo]:
    """Read what is known of one node.

    Raises:
        NoSuchNodeError: nothing is.
    """
    score, fields = yield Run(
        [("ZSCORE", core.keys.nodes(), node), ("HGETALL", core.keys.presence(node))]
    )
    if score is None and not fields:
        raise NoSuchNodeError(f"no such node: {node}")
    return read_presence(node, int(float(score or 0)), fields)


def _scores(members: Any) -> dict[str, int]:
    """Read a sorted set as redis-py gives it: flat, or in pairs."""
    flat = [part for pair in members for part in pair] if _paired(members) else members
    pairs = zip(flat[::2], flat[1::2], strict=True)
    named = ((member.decode(errors="replace"), score) for member, score in pairs)
    return {node: int(float(score)) for node, score in named if is_valid_id(node)}


def _paired(members: Any) -> bool:
    return bool(members) and isinstance(members[0], list | tuple)


def read_presence(node: str, last_seen: int, fields: Mapping[bytes, bytes]) -> NodeInfo:
    """Read a presence hash; a node without one is not alive.

    A field that makes no sense counts as absent: an odd node must not hide the others.
    """
    known = {key.decode(errors="replace"): value for key, value in fields.items()}
    if not known:
        return NodeInfo(id=node, alive=False, last_seen=last_seen)
    return NodeInfo(
        id=node,
        alive=True,
        last_seen=last_seen,
        incarnation=_text(known, "incarnation"),
        version=_text(known, "version"),
        host=_text(known, "host"),
        pid=_int(known, "pid"),
        started=_int(known, "started"),
        groups=_json(known, "groups", list[str], []),
        labels=_json(known, "labels", dict[str, str], {}),
        load=_json(known, "load", float, 0.0),
        slots=_int(known, "slots"),
        running=_int(known, "running"),
        queued=_int(known, "queued"),
        quiet=_text(known, "quiet") == "1",
        lease=_int(known, "lease_ms") / 1000,
        heartbeat=_int(known, "heartbeat_ms") / 1000,
    )


def _text(known: Mapping[str, bytes], name: str) -> str:
    return known.get(name, b"").decode(errors="replace")


def _int(known: Mapping[str, bytes], name: str) -> int:
    number: int = _json(known, name, int, 0)
    return number


def _json(known: Mapping[str, bytes], name: str, kind: Any, absent: Any) -> Any:
    try:
        return msgspec.json.decode(known.get(name, b""), type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return absent
