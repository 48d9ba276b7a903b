"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How bad it is. `UNKNOWN` is what could not be looked at; it is no problem by itself."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(Struct, frozen=True):
    """What one check found.

    Attributes:
        check: its name.
        verdict: how bad it is.
        text: what is so.
        advice: what to change; empty if nothing is.
    """

    check: str
    verdict: Verdict
    text: str
    advice: str = ""


class Diagnosis(Struct, frozen=True):
    """What all checks found.

    Attributes:
        answered: whether there was any answer from a server.
        findings: one for each check.
    """

    answered: bool
    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        """Whether nothing is a problem."""
        return all(finding.verdict is not Verdict.PROBLEM for finding in self.findings)


def fine(check: str, text: str) -> Finding:
    """Say that all is well."""
    return Finding(check, Verdict.OK, text)


def unknown(check: str, text: str) -> Finding:
    """Say that it could not be looked at."""
    return Finding(check, Verdict.UNKNOWN, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """Say what may become a problem."""
    return Finding(check, Verdict.WARNING, text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """Say what has to be changed."""
    return Finding(check, Verdict.PROBLEM, text, advice)


def some(names: Sequence[str], most: int = 5) -> str:
    """List names, the first few of many."""
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
