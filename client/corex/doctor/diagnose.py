"""All checks, one after the other."""

from __future__ import annotations

from corex.core import Core, checked_timeout
from corex.doctor.examine import examine_fleet, examine_server
from corex.doctor.findings import Diagnosis, Finding, problem
from corex.doctor.judge_fleet import judge_fleet
from corex.doctor.judge_server import judge_server
from corex.effects import Plan
from corex_shared.errors import StoreError, StoreUnavailableError

_PASSWORD = ("WRONGPASS", "NOAUTH", "uthentication", "invalid username", "invalid password")


def diagnose(core: Core, timeout: float) -> Plan[Diagnosis]:
    """Examine and judge the server and the nodes; it raises nothing that Redis does.

    Args:
        core: the client's surroundings.
        timeout: seconds for the nodes to answer.

    Raises:
        ValueError: the timeout is not a number of seconds, 0 or more.
    """
    timeout = checked_timeout(timeout)
    findings: list[Finding] = []
    try:
        server = yield from examine_server(core)
        findings += judge_server(server)
        fleet = yield from examine_fleet(core, timeout, may_ask=server.may_ask_nodes)
        findings += judge_fleet(fleet)
    except StoreError as error:
        answered = bool(findings) or not isinstance(error, StoreUnavailableError)
        return _cut_short(findings, str(error), answered=answered)
    return Diagnosis(answered=True, findings=findings)


def _cut_short(findings: list[Finding], error: str, *, answered: bool) -> Diagnosis:
    """Say what kept the checks from going on."""
    if any(mark in error for mark in _PASSWORD):
        advice = "give the right user and password in the URL: redis://USER:PASSWORD@HOST:PORT"
        return Diagnosis(True, [*findings, problem("reachable", error, advice)])
    if not answered:
        advice = "start the server, or give its URL (--url, COREX_URL); see firewalls and `bind`"
        return Diagnosis(False, [*findings, problem("reachable", error, advice)])
    advice = "see what the server says, and its log"
    return Diagnosis(True, [*findings, problem("nodes", error, advice)])
