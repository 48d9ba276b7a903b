"""Where a job is."""

from __future__ import annotations

from corex.status import read_status
from corex.ticket import Ticket
from corex_shared.states import JobState
from tests.unit.client.playing import make_core, packed, play, result_of

OURS = Ticket("a", "n1", "corex:{node:n1}:commands", b"payload")


def test_a_finished_job() -> None:
    """A job with a result is finished, with its state and times."""
    state = {b"node": b"n1", b"stage": b"finished", b"claimed": b"5", b"finished": b"9"}
    status = play(read_status(make_core(), OURS), [state, packed(result_of("a"))]).value
    assert (status.stage, status.node, status.state) == ("finished", "n1", JobState.SUCCESS)
    assert (status.claimed, status.finished) == (5, 9)


def test_a_running_job() -> None:
    """The stage is what its node wrote."""
    status = play(
        read_status(make_core(), OURS), [{b"node": b"n2", b"stage": b"running"}, None]
    ).value
    assert (status.stage, status.node, status.state) == ("running", "n2", None)


def test_a_job_in_its_list() -> None:
    """A command that no node has taken is queued."""
    played = play(read_status(make_core(), OURS), [{}, None], [0])
    assert played.value.stage == "queued"
    assert played.effects[1].calls == [("LPOS", OURS.queue_key, b"payload")]


def test_a_job_that_nobody_knows() -> None:
    """Neither state, nor result, nor place in a list: unknown."""
    assert play(read_status(make_core(), OURS), [{}, None], [None]).value.stage == "unknown"
    assert play(read_status(make_core(), Ticket("b")), [{}, None]).value.stage == "unknown"


def test_a_field_that_makes_no_sense() -> None:
    """Odd times count as not known."""
    state = {b"stage": b"running", b"claimed": b"soon"}
    assert play(read_status(make_core(), OURS), [state, None]).value.claimed == 0
