"""Whether a job that nobody knows may still wait in a list.

A command that no node has claimed is nowhere but in the list that it was pushed to. Who has its
ID only, and not the payload, has to look into all lists; so that is bounded.
"""

from __future__ import annotations

from corex.core import Core
from corex.effects import Plan, Run
from corex.nodes import list_nodes
from corex_shared.codec import decode_command
from corex_shared.errors import DecodeError

SEARCHED = 2000
"""Commands that are looked at, at most."""
_PAGE = 50


def may_be_queued(core: Core, job: str) -> Plan[bool]:
    """Look for a job in the lists of all nodes and groups.

    Returns:
        False when it is in none of them; True when it was found, or they are too long to search.
    """
    left = SEARCHED
    for key in (yield from _lists(core)):
        start = 0
        while True:
            if left <= 0:
                return True
            (payloads,) = yield Run([("LRANGE", key, start, start + _PAGE - 1)])
            if any(_is_of(payload, job, core.limit) for payload in payloads):
                return True
            left -= len(payloads)
            start += _PAGE
            if len(payloads) < _PAGE:
                break
    return False


def _lists(core: Core) -> Plan[list[str]]:
    """Name the lists that are not empty."""
    keys = core.keys
    nodes = yield from list_nodes(core)
    groups = sorted({group for node in nodes for group in node.groups})
    names = [key(node.id) for node in nodes for key in (keys.control, keys.commands)]
    names += [keys.group_commands(group) for group in groups]
    lengths = yield Run([("LLEN", name) for name in names])
    return [name for name, length in zip(names, lengths, strict=True) if length]


def _is_of(payload: bytes, job: str, limit: int) -> bool:
    if job.encode() not in payload:
        return False
    try:
        command, _ = decode_command(payload, limit)
    except DecodeError:
        return True  # signed, or newer than this client: its ID may be in there
    return command.id == job
