"""How attempts end, as values."""

from __future__ import annotations

import json

import pytest

from corex_node.manager.outcome import of_answer, of_error, of_exit, of_rejection, of_state
from corex_node.process.exit_status import ExitStatus
from corex_shared.errors import CommandError, InternalError
from corex_shared.states import CODES, JobState


@pytest.mark.parametrize(
    "status, state, code, signal",
    [
        (ExitStatus(0, 0), JobState.SUCCESS, 0, 0),
        (ExitStatus(1, 0), JobState.ERROR, 1001, 0),
        (ExitStatus(255, 0), JobState.ERROR, 1255, 0),
        (ExitStatus(0, 9), JobState.ERROR, 1137, 9),
        (ExitStatus(0, 15), JobState.ERROR, 1143, 15),
    ],
)
def test_an_exit(status: ExitStatus, state: JobState, code: int, signal: int) -> None:
    """Exit n is 1000 + n, death by signal s is 1128 + s."""
    outcome = of_exit(status)
    assert (outcome.state, outcome.code, outcome.signal) == (state, code, signal)
    assert outcome.ok is (state is JobState.SUCCESS)


@pytest.mark.parametrize("kind", CommandError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_a_commands_own_error(kind: type[CommandError]) -> None:
    """It has its code, and its message as JSON."""
    outcome = of_error(kind("why"))
    assert (outcome.state, outcome.code, outcome.level) == (JobState.ERROR, kind.code, 20)
    assert json.loads(outcome.data) == "why"


def test_another_error() -> None:
    """It is a 500 that names its type."""
    outcome = of_error(KeyError("a"))
    assert outcome.code == InternalError.code
    assert json.loads(outcome.data) == "KeyError: 'a'"


def test_an_answer() -> None:
    """It is JSON; what has no form there is an error of whoever answers so."""
    assert json.loads(of_answer({"a": [1, None]}).data) == {"a": [1, None]}
    with pytest.raises(TypeError):
        of_answer(object())


@pytest.mark.parametrize("state", list(CODES))
def test_a_state_with_one_code(state: JobState) -> None:
    """It has that code, and a reason if there is one."""
    assert (of_state(state).code, of_state(state).data) == (CODES[state], "")
    assert json.loads(of_state(state, "why").data) == "why"


def test_a_rejection() -> None:
    """It is a 400 with its reason."""
    outcome = of_rejection("why")
    assert (outcome.state, outcome.code) == (JobState.REJECTED, 400)
    assert json.loads(outcome.data) == "why"
