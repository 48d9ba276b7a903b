"""How one who waits for a run hears of it."""

from __future__ import annotations

from corex.effects import Listen, Run, Subscribe
from corex.fleet.ears import InboxEar, StreamEar
from corex.fleet.outcome import Outcome, finished
from corex.fleet.record import RunRecord
from corex_shared.models import Command, Message
from corex_shared.states import JobState
from tests.unit.client.playing import make_core, message_of, packed, play, result_of

RECORD = RunRecord("r", Command("core.ping", stream=True), ("a", "b"), "msgpack", 60.0, 0, "me")


def test_after_a_lost_connection_it_is_subscribed_anew() -> None:
    """And what was not heard meanwhile is read in the logs of what has begun."""
    ear = StreamEar(make_core(), RECORD)
    assert isinstance(play(ear.wait(1.0, driving=True), None).effects[0], Subscribe)
    play(ear.started([0]), [[]])
    assert isinstance(play(ear.wait(1.0, driving=True), []).effects[0], Listen)
    ear.lost()
    played = play(ear.wait(1.0, driving=True), None, [[(b"1-0", {b"m": packed(_said(0))})]])
    assert [type(effect) for effect in played.effects] == [Subscribe, Run]
    assert [message.text for message in played.emitted] == ["0"]


def test_a_last_message_tells_that_a_job_has_ended() -> None:
    """Also of one of which nothing else was heard yet."""
    ear = StreamEar(make_core(), RECORD)
    play(ear.wait(1.0, driving=True), None)
    play(ear.started([0]), [[]])
    played = play(ear.wait(1.0, driving=True), [packed(_said(0, flags=2))])
    assert played.value == {0: None}
    assert [message.seq for message in played.emitted] == [0]


def test_what_is_left_is_told_before_an_outcome() -> None:
    """From the log; nothing is asked for nodes that were skipped."""
    ear = StreamEar(make_core(), RECORD)
    entry = (b"1-0", {b"m": packed(_said(0, flags=2))})
    outcomes = {0: finished("a", result_of("r.0")), 1: Outcome("b", "skipped")}
    played = play(ear.ended(outcomes), [[entry]])
    assert played.done
    assert [message.seq for message in played.emitted] == [0]


def test_mail_tells_results() -> None:
    """But that a second copy was refused says nothing of the first."""
    core = make_core()
    ear = InboxEar(core, RECORD, [0, 1])
    core.mailbox.put([packed(result_of("r.0")), packed(result_of("r.1", JobState.DUPLICATE_ID))])
    heard = play(ear.wait(1.0, driving=True), None).value
    assert heard == {0: result_of("r.0"), 1: None}
    ear.close()


def _said(seq: int, flags: int = 1) -> Message:
    return message_of("r.0", seq, flags=flags)
