"""How one attempt of a job ended, as a value."""

from __future__ import annotations

from msgspec import Struct

from corex_node.process.exit_status import ExitStatus
from corex_shared import codec
from corex_shared.errors import CommandError
from corex_shared.states import (
    CODES,
    EXIT_CODE_BASE,
    SIGNAL_CODE_BASE,
    JobState,
    Level,
)

_LONGEST_REASON = 2000
"""Characters of a reason: it may repeat what a caller sent."""


class Outcome(Struct, frozen=True):
    """State and code of an attempt, with what it answered."""

    state: JobState
    code: int
    signal: int = 0
    data: str = ""
    level: int = 0

    @property
    def ok(self) -> bool:
        """Whether the attempt succeeded."""
        return self.state is JobState.SUCCESS


def of_state(state: JobState, why: str = "") -> Outcome:
    """Make the outcome of a state that has one code only, with a reason for people."""
    if not why:
        return Outcome(state, CODES[state])
    return Outcome(state, CODES[state], data=_reason(why), level=Level.JSON)


def of_rejection(why: str) -> Outcome:
    """Make the outcome of a command that is not taken for what it says."""
    return Outcome(JobState.REJECTED, 400, data=_reason(why), level=Level.JSON)


def of_exit(status: ExitStatus) -> Outcome:
    """Make the outcome of a process that nobody ended on purpose."""
    if status.signal:
        return Outcome(JobState.ERROR, SIGNAL_CODE_BASE + status.signal, status.signal)
    if status.code:
        return Outcome(JobState.ERROR, EXIT_CODE_BASE + status.code)
    return Outcome(JobState.SUCCESS, 0)


def of_answer(value: object) -> Outcome:
    """Make the outcome of a built-in that returned.

    Raises:
        TypeError: the value has no form in JSON.
    """
    return Outcome(JobState.SUCCESS, 0, data=codec.encode_data(value), level=Level.JSON)


def of_error(error: BaseException) -> Outcome:
    """Make the outcome of a command that raised: its own code, or 500."""
    if isinstance(error, CommandError):
        code, text = error.code, _told(error)
    else:
        code, text = 500, f"{type(error).__name__}: {_told(error)}"
    return Outcome(JobState.ERROR, code, data=_reason(text), level=Level.JSON)


def _told(error: BaseException) -> str:
    """What an error says; whatever it is, it has a form in JSON then."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - it cannot even be told
        return "it cannot be shown"
    return text.encode("utf-8", "backslashreplace").decode()


def _reason(text: str) -> str:
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "…"
    return codec.encode_data(text)
