"""Which commands this user may call: asked of the server, or tried where that does no harm."""

from __future__ import annotations

from collections.abc import Mapping

from corex.core import Core
from corex.effects import Plan, Run
from corex_shared.errors import StoreRefusedError
from corex_shared.scripts import Call, script

PROBE = "corex-doctor"
"""ID of a node, a job and so on that there are not, with whose keys is asked."""

_DENIED = ("NOPERM", "no permission", "has no permissions", "can't run", "can't access")


def client_calls(core: Core) -> dict[str, Call]:
    """What a client calls, by the name of the command; harmless to call, too."""
    keys = core.keys
    run = [keys.run_record(PROBE), keys.run_journal(PROBE), keys.run_driver(PROBE)]
    run += [keys.run_token(PROBE), keys.run_cancel(PROBE)]
    release = script("release")  # of a node that there is not, and nothing of it
    result, log, inbox = keys.result(PROBE), keys.log(PROBE), core.inbox
    return {
        "RPUSH": ("RPUSH", inbox, b"{}"),
        "LPOP": ("LPOP", inbox),
        "PEXPIRE": ("PEXPIRE", inbox, 1),
        "BLPOP": ("BLPOP", inbox, "0.01"),
        "BLMOVE": ("BLMOVE", result, result, "LEFT", "LEFT", "0.01"),
        "LINDEX": ("LINDEX", result, 0),
        "LLEN": ("LLEN", result),
        "EXISTS": ("EXISTS", result),
        "LPOS": ("LPOS", keys.commands(PROBE), "x"),
        "LREM": ("LREM", keys.commands(PROBE), 0, "x"),
        "LRANGE": ("LRANGE", keys.commands(PROBE), 0, 0),
        "HGET": ("HGET", keys.state(PROBE), "node"),
        "HGETALL": ("HGETALL", keys.presence(PROBE)),
        "ZRANGE": ("ZRANGE", keys.nodes(), 0, 0),
        "ZSCORE": ("ZSCORE", keys.nodes(), PROBE),
        "XRANGE": ("XRANGE", log, "1-0", "1-0", "COUNT", 1),
        "XREVRANGE": ("XREVRANGE", log, "+", "-", "COUNT", 1),
        "EVALSHA": release.call([keys.claimed(PROBE), keys.presence(PROBE)], [PROBE, ""]),
        "SCRIPT LOAD": ("SCRIPT", "LOAD", release.text),
        "TIME": ("TIME",),
        "ZREM": ("ZREM", keys.nodes(), PROBE),
        "GET run": ("GET", keys.run_record(PROBE)),
        "SET run": ("SET", keys.run_cancel(PROBE), "x", "PX", 1),
        # of a run that there is not
        "EVALSHA run": script("run_drive").call(run, [PROBE, 0, 0, 0, 0]),
    }


def subscriptions(core: Core) -> dict[str, Call]:
    """What a client subscribes to. It is not tried: that takes a connection of its own."""
    return {
        "SUBSCRIBE": ("SUBSCRIBE", core.keys.stream(PROBE)),
        "PSUBSCRIBE": ("PSUBSCRIBE", core.keys.node_log("*")),
    }


def node_calls(core: Core) -> dict[str, Call]:
    """What a node calls besides, itself or in a script. None of it is tried."""
    keys = core.keys
    state, claimed, presence = keys.state(PROBE), keys.claimed(PROBE), keys.presence(PROBE)
    return {
        "INFO": ("INFO",),
        "TIME": ("TIME",),
        "BLMOVE": ("BLMOVE", keys.commands(PROBE), keys.commands(PROBE), "LEFT", "LEFT", "1"),
        "LPUSH": ("LPUSH", keys.rejected(PROBE), "x"),
        "LTRIM": ("LTRIM", keys.rejected(PROBE), 0, 0),
        "DEL": ("DEL", presence),
        "HSET": ("HSET", presence, "a", "b"),
        "HDEL": ("HDEL", claimed, "a"),
        "HMGET": ("HMGET", state, "a"),
        "HSCAN": ("HSCAN", claimed, 0),
        "HLEN": ("HLEN", claimed),
        "PTTL": ("PTTL", presence),
        "ZADD": ("ZADD", keys.nodes(), 1, PROBE),
        "XADD": ("XADD", keys.log(PROBE), "1-0", "m", "x"),
        "PUBLISH": ("PUBLISH", keys.stream(PROBE), "x"),
        "PUBLISH events": ("PUBLISH", keys.events(), "x"),
        "PUBLISH log": ("PUBLISH", keys.node_log(PROBE), "x"),
    }


def look_up(core: Core, user: str, calls: Mapping[str, Call]) -> Plan[dict[str, str] | None]:
    """Ask the server which of some commands a user may not call.

    Returns:
        Command → why not; None when the server cannot be asked (before 7.0), or not by us.
    """
    refused: dict[str, str] = {}
    for name, call in calls.items():
        try:
            (answer,) = yield Run([("ACL", "DRYRUN", user, *call)])
        except StoreRefusedError:
            return None
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        if text not in ("OK", "True"):
            refused[name] = _short(text)
    return refused


def try_out(calls: Mapping[str, Call]) -> Plan[dict[str, str]]:
    """Call harmless commands and see which are refused for want of permission."""
    refused: dict[str, str] = {}
    for name, call in calls.items():
        try:
            yield Run([call])
        except StoreRefusedError as error:
            text = str(error)
            if any(mark in text for mark in _DENIED):
                refused[name] = _short(text)
    return refused


def _short(text: str) -> str:
    """Tell of a refusal only what it is about: the command, the key or the channel."""
    for what in ("channel", "key", "command"):
        if what in text.lower():
            return what
    return text[:60]
