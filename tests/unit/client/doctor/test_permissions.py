"""Asking the server what a user may do."""

from __future__ import annotations

import pytest

from corex.doctor.permissions import Asking, client_calls, may_ask, try_out
from corex_shared.connection import translate
from corex_shared.errors import StoreForbiddenError, StoreRefusedError, StoreUnavailableError
from tests.unit.client.playing import make_core, play

REFUSED = StoreForbiddenError("this user has no permissions to run the 'x' command")


@pytest.mark.parametrize(
    "answer,asking",
    [
        ([b"OK"], Asking.POSSIBLE),
        ([b"This user has no permissions to run the 'ping' command"], Asking.POSSIBLE),
        (StoreRefusedError("ERR Unknown subcommand or wrong number …"), Asking.MISSING),
        (translate(Exception("NOPERM this user has no permissions …")), Asking.FORBIDDEN),
    ],
)
def test_whether_it_can_be_asked(answer: object, asking: Asking) -> None:
    """Not there, and not permitted, are two things."""
    assert play(may_ask("u"), answer).value is asking


def test_a_server_that_takes_no_writes_says_nothing_of_permissions() -> None:
    """One that is full, or a replica; one that does not even answer a PING is away."""
    calls = {"LPOP": client_calls(make_core())["LPOP"]}
    full, away = StoreUnavailableError("OOM command not allowed"), StoreUnavailableError("gone")
    assert play(try_out(calls), full, [True]).value == {}
    with pytest.raises(StoreUnavailableError, match="gone"):
        play(try_out(calls), full, away)


def test_what_cannot_be_taken_back_is_not_pushed() -> None:
    """Where LREM is refused, nothing is left in the list of a node that there is not."""
    calls = {name: client_calls(make_core())[name] for name in ("RPUSH", "LREM")}
    refused = play(try_out(calls), REFUSED, REFUSED)
    assert refused.value == {"LREM": "command"}
    assert [effect.calls[0][0] for effect in refused.effects] == ["LREM", "LREM"]
    allowed = play(try_out(calls), [0], [1], [1])
    assert allowed.value == {}
    assert [effect.calls[0][0] for effect in allowed.effects] == ["LREM", "RPUSH", "LREM"]
