"""Which commands this user may call: asked of the server, or tried where that does no harm."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from corex.core import Core
from corex.effects import Effect, Plan, Run, Subscribe
from corex_shared.errors import StoreForbiddenError, StoreRefusedError, StoreUnavailableError
from corex_shared.scripts import Call, script

PROBE = "corex-doctor"
"""ID of a node, a job and so on that there are not, with whose keys is asked."""

_PUSHED = b"{}"
_DENIED = ("NOPERM", "no permission", "has no permissions", "can't run", "can't access")

LOOKING = frozenset(
    {
        *("EXISTS", "HGET", "HGETALL", "LINDEX", "LLEN", "LPOS"),
        *("XRANGE", "XREVRANGE", "ZRANGE", "ZSCORE"),
        *("SUBSCRIBE", "PSUBSCRIBE"),
    }
)
"""What whoever looks at jobs and nodes calls; operators need no more."""
HEARING = frozenset({"BLPOP", "LPOP"})
"""What whoever hears of results calls on an inbox of its own."""
TAKING_BACK = "LREM"
"""What whoever pushes commands may call on their lists; operators may not."""
JOB_WRITING = "HDEL"
"""What only nodes may call on the state of a job."""
NOT_OF_NODES = frozenset({"BLPOP", "PSUBSCRIBE"})
"""What clients call, and no node may: by the rules for Redis 6.2, which has one set of them for all
keys, a reaper may do all else that a client does."""
ASKING = HEARING | {TAKING_BACK, "RPUSH"}
"""What it takes to put a question to a node."""


def client_calls(core: Core) -> dict[str, Call]:
    """What a client calls, by the name of the command; harmless to call, too, in this order."""
    keys = core.keys
    run = [keys.run_record(PROBE), keys.run_journal(PROBE), keys.run_driver(PROBE)]
    run += [keys.run_token(PROBE), keys.run_cancel(PROBE)]
    result, log, inbox = keys.result(PROBE), keys.log(PROBE), core.inbox
    commands = keys.commands(PROBE)
    return {
        "RPUSH": ("RPUSH", commands, _PUSHED),  # of a node that there is not; see `try_out`
        TAKING_BACK: (TAKING_BACK, commands, 0, _PUSHED),
        "LPOP": ("LPOP", inbox),
        "BLPOP": ("BLPOP", inbox, "0.01"),
        "LINDEX": ("LINDEX", result, 0),
        "LLEN": ("LLEN", result),
        "EXISTS": ("EXISTS", result),
        "LPOS": ("LPOS", commands, "x"),
        "HGET": ("HGET", keys.state(PROBE), "node"),
        "HGETALL": ("HGETALL", keys.presence(PROBE)),
        "ZRANGE": ("ZRANGE", keys.nodes(), 0, 0),
        "ZSCORE": ("ZSCORE", keys.nodes(), PROBE),
        "XRANGE": ("XRANGE", log, "1-0", "1-0", "COUNT", 1),
        "XREVRANGE": ("XREVRANGE", log, "+", "-", "COUNT", 1),
        "TIME": ("TIME",),
        "ZREM": ("ZREM", keys.nodes(), PROBE),
        "GET run": ("GET", keys.run_record(PROBE)),
        "SET run": ("SET", keys.run_cancel(PROBE), "x", "PX", 1),
        # of a run that there is not
        "EVALSHA run": script("run_drive").call(run, [PROBE, 0, 0, 0, 0]),
    }


def withdrawal_calls(core: Core) -> dict[str, Call]:
    """What a client calls besides that ends commands which no node has claimed; as harmless."""
    keys = core.keys
    finish, result = script("finish"), keys.result(PROBE)
    return {
        "SCRIPT LOAD": ("SCRIPT", "LOAD", finish.text),
        "EVALSHA": finish.call([], []),  # of no job
        "LRANGE": ("LRANGE", keys.commands(PROBE), 0, 0),
        "BLMOVE": ("BLMOVE", result, result, "LEFT", "LEFT", "0.01"),
        "PEXPIRE": ("PEXPIRE", core.inbox, 1),
    }


def serving_calls(core: Core) -> dict[str, Call]:
    """What a node calls on what all nodes share: jobs and inboxes; harmless to call, too."""
    keys = core.keys
    finish, state, result = script("finish"), keys.state(PROBE), keys.result(PROBE)
    return {
        "INFO": ("INFO",),
        "TIME": ("TIME",),
        "SCRIPT LOAD": ("SCRIPT", "LOAD", finish.text),
        "EVALSHA": finish.call([], []),
        "HMGET": ("HMGET", state, "a"),
        JOB_WRITING: (JOB_WRITING, state, "a"),
        "BLMOVE": ("BLMOVE", result, result, "LEFT", "LEFT", "0.01"),
        "LTRIM": ("LTRIM", keys.inbox(PROBE), 0, 0),
        "PEXPIRE": ("PEXPIRE", keys.inbox(PROBE), 1),
        "PUBLISH": ("PUBLISH", keys.stream(PROBE), "x"),
    }


def subscriptions(core: Core) -> dict[str, Call]:
    """What a client subscribes to."""
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


class Asking(Enum):
    """Whether the server can be asked what a user may do."""

    POSSIBLE = "possible"
    FORBIDDEN = "forbidden"
    """This user may not ask; there may be nothing to ask either."""
    MISSING = "missing"
    """There is no `ACL DRYRUN`: the server is older than 7.0."""


def may_ask(user: str) -> Plan[Asking]:
    """Find out whether the server can be asked what a user may do."""
    try:
        yield Run([("ACL", "DRYRUN", user, "PING")])
    except StoreForbiddenError:
        return Asking.FORBIDDEN
    except StoreRefusedError:
        return Asking.MISSING
    return Asking.POSSIBLE


def look_up(user: str, calls: Mapping[str, Call]) -> Plan[dict[str, str]]:
    """Ask the server which of some commands a user may not call.

    Returns:
        Command → why not.

    Raises:
        StoreRefusedError: the server cannot be asked.
    """
    refused: dict[str, str] = {}
    for name, call in calls.items():
        (answer,) = yield Run([("ACL", "DRYRUN", user, *call)])
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        if text not in ("OK", "True"):
            refused[name] = _short(text)
    return refused


def try_out(calls: Mapping[str, Call]) -> Plan[dict[str, str]]:
    """Call harmless commands and see which are refused for want of permission."""
    refused: dict[str, str] = {}
    for name, call in calls.items():
        if name == "RPUSH" and (yield from _refusal(Run([calls["LREM"]]))):
            continue  # what could not be taken back is not pushed
        if name == "EVALSHA" and "SCRIPT LOAD" in refused:
            continue  # the server may not know the script
        if why := (yield from _refusal(Run([call]))):
            refused[name] = why
    return refused


def try_subscribing(core: Core) -> Plan[dict[str, str]]:
    """See which subscriptions are refused; each is tried on a connection of its own."""
    refused: dict[str, str] = {}
    for name, (_, channel) in subscriptions(core).items():
        effect = Subscribe([str(channel)], patterns=name == "PSUBSCRIBE")
        if why := (yield from _refusal(effect)):
            refused[name] = why
    return refused


def _refusal(effect: Effect) -> Plan[str]:
    """Do something; say what of it is not permitted, nothing if it is."""
    try:
        yield effect
    except StoreRefusedError as error:
        text = str(error)
        if isinstance(error, StoreForbiddenError) or any(mark in text for mark in _DENIED):
            return _short(text)
    except StoreUnavailableError:
        # A server that is full, or a replica: it says so whoever asks. One that is away does not.
        yield Run([("PING",)])
    return ""


def _short(text: str) -> str:
    """Tell of a refusal only what it is about: the command, the key or the channel."""
    for what in ("channel", "key", "command"):
        if what in text.lower():
            return what
    return text[:60]
