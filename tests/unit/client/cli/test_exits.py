"""Exit codes."""

from __future__ import annotations

import pytest

from corex.cli.exits import exit_code, exit_code_of_all, exit_code_of_error
from corex_shared import errors
from corex_shared.states import JobState
from tests.unit.client.playing import result_of


@pytest.mark.parametrize(
    "state,code,expected",
    [
        (JobState.SUCCESS, 0, 0),
        (JobState.ERROR, 1003, 3),
        (JobState.ERROR, 1255, 255),
        (JobState.ERROR, 1137, 137),
        (JobState.ERROR, 404, 1),
        (JobState.ERROR, 500, 1),
        (JobState.TIMEOUT, 504, 124),
        (JobState.KILLED, 499, 137),
        (JobState.UNKNOWN_CMD, 404, 1),
        (JobState.DUPLICATE_ID, 409, 1),
        (JobState.EXPIRED, 410, 1),
        (JobState.REJECTED, 400, 1),
        (JobState.LOST, 503, 1),
    ],
)
def test_one_target(state: JobState, code: int, expected: int) -> None:
    """The remote exit code where there is one, else what shells use, else 1."""
    assert exit_code(result_of("a", state, code=code)) == expected
    assert exit_code_of_all([result_of("a", state, code=code)]) == expected


def test_several_targets() -> None:
    """0 when all succeeded, 1 when any did not, whatever its own code."""
    good, bad = result_of("a"), result_of("b", JobState.ERROR, code=1003)
    assert exit_code_of_all([good, good]) == 0
    assert exit_code_of_all([good, bad]) == 1


@pytest.mark.parametrize(
    "error,expected",
    [
        (errors.ConfigError("TARGET", "", "x"), 2),
        (errors.InvalidIdError("job", "a b"), 2),
        (errors.PayloadTooLargeError(2, 1), 2),
        (errors.NoSuchNodeError("x"), 3),
        (errors.StoreUnavailableError("x"), 3),
        (errors.StoreRefusedError("x"), 3),
        (errors.WaitTimeout("x", 1), 3),
        (errors.InternalError("x"), 1),
    ],
)
def test_errors(error: errors.CorexError, expected: int) -> None:
    """Usage is 2; nothing there or no answer is 3."""
    assert exit_code_of_error(error) == expected
