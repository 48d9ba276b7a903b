"""What a user may do, and whether that is what it is for. Pure: facts in, findings out.

Users are made for one thing each (ops/redis/acl.py): to push commands and hear of them, to look,
or to serve a node. What they are for is told by what they may do; what another kind of user may do
besides is no lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from corex.doctor.facts import ServerFacts
from corex.doctor.findings import Finding, fine, problem, some, unknown, warning
from corex.doctor.permissions import (
    HEARING,
    JOB_WRITING,
    LOOKING,
    NOT_OF_NODES,
    TAKING_BACK,
    Asking,
)

_ALLOW = "ACL SETUSER: allow these commands, keys and channels (ops/redis/acl.py writes users)"
_WITHDRAW = "may not withdraw commands that wait: acl.py --withdraw gives that"


class _Use(Enum):
    """What a user is for."""

    CLIENT = "client"
    OPERATOR = "operator"
    NODE = "node"


def judge_permissions(facts: ServerFacts) -> list[Finding]:
    """Judge what this user may do: as a client, and as a node."""
    use = _use_of(facts)
    return [_judge_client(facts, use), _judge_node(facts, use)]


def _use_of(facts: ServerFacts) -> _Use:
    """Tell what a user is for; whoever may do too little for anything, for a client."""
    refused = facts.refused.keys()
    if JOB_WRITING not in facts.refused_to_serve and refused >= NOT_OF_NODES:
        return _Use.NODE
    if refused >= HEARING | {TAKING_BACK} and not refused & LOOKING:
        return _Use.OPERATOR
    return _Use.CLIENT


def _judge_client(facts: ServerFacts, use: _Use) -> Finding:
    check, user = "client permissions", _user(facts)
    if use is _Use.OPERATOR:
        return fine(check, f"{user} may look at everything, as an operator; may not push commands")
    if use is _Use.NODE:
        return fine(check, f"{user} serves a node; may not do what a client does")
    if facts.refused:
        refused = {**facts.refused, **facts.refused_to_withdraw}
        return problem(check, f"{user} may not: {_refusals(refused)}", _ALLOW)
    if facts.refused_to_withdraw:
        return fine(check, f"{user} may do what a client does; {_WITHDRAW}")
    return fine(check, f"{user} may do what a client does")


def _judge_node(facts: ServerFacts, use: _Use) -> Finding:
    check, user = "node permissions", _user(facts)
    if use is _Use.NODE and facts.refused_to_serve:
        return problem(check, f"{user} may not: {_refusals(facts.refused_to_serve)}", _ALLOW)
    if facts.refused_of_nodes is None:
        why = _why_not_asked(facts)
        if use is _Use.NODE:
            text = f"{user} may do with jobs and inboxes what a node does"
            return fine(check, f"{text}; the keys of its own node were not tried, and {why}")
        text = "what a node needs cannot be tried without harm"
        return unknown(check, f"unknown: {text}, and {why}")
    if use is _Use.NODE:
        # Asked was about a node that there is not, whose keys are another's to this one.
        return fine(check, f"{user} may do with jobs and inboxes what a node does")
    if facts.refused_of_nodes:
        text = f"{user} may not: {_refusals(facts.refused_of_nodes)}"
        return warning(check, text, "nothing, unless a node is to use this URL")
    return fine(check, f"{user} may do what a node does")


def _why_not_asked(facts: ServerFacts) -> str:
    """Say why the server was not asked what this user may do."""
    version = facts.info.get("redis_version", "")
    major = version.partition(".")[0]
    if facts.asking is Asking.MISSING or (major.isdigit() and int(major) < 7):
        return f"this server has no ACL DRYRUN (Redis 7.0 and later have), it is {version or '?'}"
    return "this user is not permitted ACL DRYRUN (which Redis 7.0 and later have)"


def _user(facts: ServerFacts) -> str:
    return f"user {facts.user}" if facts.user else "this user"


def _refusals(refused: Mapping[str, str]) -> str:
    return some([f"{name} ({why})" for name, why in refused.items()], most=4)
