"""What a node has to tell of one queue of the fleet."""

from __future__ import annotations

from corex_node.manager.jobs import Demand, Job
from corex_node.manager.registry import Entry, Kind
from corex_node.queue_line import Line, Place
from corex_node.queue_store import Entering, Leaving
from corex_shared.models import Command

_ENTRY = Entry("c", Kind.INLINE, dict, dict)


def _place(job_id: str) -> Place:
    command = Command("c", id=job_id, queue="q", queue_scope="fleet")
    return Place(Job(command, _ENTRY, Demand(False, frozenset()), None), "q", adopts=True)


def _line(*job_ids: str) -> tuple[Line, list[Place]]:
    line, places = Line("q"), [_place(job_id) for job_id in job_ids]
    for place in places:
        line.enter(place)
    return line, places


def test_who_enters_is_told_once() -> None:
    """In order; then there is only the question whose turn it is."""
    line, _ = _line("a", "b")
    request = line.request()
    assert request is not None
    assert request.entering == (Entering("a", True), Entering("b", True))
    assert request.waits
    assert line.request() == request, "until it is answered"
    line.was_told(request, "")
    again = line.request()
    assert again is not None
    assert (again.entering, again.waits) == ((), True)


def test_who_enters_or_leaves_meanwhile_is_told_next() -> None:
    """An answer is about what was asked."""
    line, _ = _line("a")
    line.leaving.append(Leaving("x", 3))
    request = line.request()
    assert request is not None
    line.enter(_place("b"))
    line.leaving.append(Leaving("y", 0))
    line.was_told(request, "")
    assert line.has_more
    following = line.request()
    assert following is not None
    assert following.leaving == (Leaving("y", 0),)
    assert following.entering == (Entering("b", True),)


def test_all_who_wait_enter_again_in_order() -> None:
    """But those who were granted the queue."""
    line, places = _line("a", "b", "c")
    request = line.request()
    assert request is not None
    line.was_told(request, "")
    line.forget(places[0])
    line.enter_again()
    again = line.request()
    assert again is not None
    assert [item.job for item in again.entering] == ["b", "c"]


def test_many_who_leave_are_told_in_parts_before_anybody_enters() -> None:
    """One who leaves and enters again is not taken for the holder that it was."""
    line, _ = _line("back")
    line.leaving = [Leaving(f"j{number}", 0) for number in range(500)] + [Leaving("back", 7)]
    all_of_them = list(line.leaving)
    told: list[Leaving] = []
    parts: list[int] = []
    while len(line.leaving) > 200:
        request = line.request()
        assert request is not None
        assert (request.entering, request.waits) == ((), False)
        told += request.leaving
        parts.append(len(request.leaving))
        line.was_told(request, "")
    last = line.request()
    assert last is not None
    assert [item.job for item in last.entering] == ["back"]
    assert (*told, *last.leaving) == tuple(all_of_them)
    assert parts == [200, 200]


def test_a_refusal_is_told_once_and_asked_again_later() -> None:
    """Somebody else's key may come right again."""
    line, _ = _line("a")
    request = line.request()
    assert request is not None
    assert line.was_told(request, "WRONGTYPE")
    assert not line.was_told(request, "WRONGTYPE")
    assert not line.has_more
    assert line.request() == request
    assert not line.was_told(request, "")
    assert line.was_told(request, "WRONGTYPE")


def test_nothing_is_asked_when_nobody_waits() -> None:
    """A line that is empty is forgotten by who keeps it."""
    assert not _line("a")[0].is_empty
    line, places = _line("a")
    line.forget(places[0])
    assert line.is_empty
    assert line.request() is None
