"""Where a job is."""

from __future__ import annotations

import corex.testing
from corex.status import read_status
from corex.testing.answers import FOREVER
from corex.ticket import Ticket
from corex_shared.states import JobState
from tests.helpers.eventually import eventually
from tests.unit.client.playing import make_core, play

OURS = Ticket("a", "n1", "corex:{node:n1}:commands", b"payload")


def test_a_job_in_every_stage() -> None:
    """In its list, waiting for its queue, running, finished; by those who do not have it, too."""
    with corex.testing.fleet(["n1"]) as cx:
        node = cx.memory_node("n1")
        node.answer("bash", delay=FOREVER)
        node.pause()
        first, second = (cx.node("n1").bash("x", queue="q") for _ in range(2))
        assert (first.state().stage, first.state().node) == ("queued", "n1")
        assert cx.job(first.id).state().stage == "unknown"
        node.resume()
        eventually(lambda: (first.state().stage, second.state().stage) == ("running", "waiting"))
        status = cx.job(first.id).state()
        assert (status.stage, status.node, status.state) == ("running", "n1", None)
        assert first.kill()
        status = cx.job(first.id).state()
        assert (status.stage, status.node, status.state) == ("finished", "n1", JobState.KILLED)
        assert 0 < status.claimed <= status.finished


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
