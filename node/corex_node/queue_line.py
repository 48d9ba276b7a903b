"""One queue of the fleet as one node stands in it. Pure bookkeeping; nothing is sent here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from corex_node.manager.jobs import Job
from corex_node.queue_store import Entering, Leaving, Request

_AT_ONCE = 200
"""Places given back in one call: each is looked for in the whole line."""


@dataclass(slots=True, eq=False)
class Place:
    """A job that holds a queue or waits for it.

    Attributes:
        job: whose place it is.
        queue: its name.
        adopts: whether the place of an earlier agent's job of that ID is its own.
        token: by which it holds the queue, 0 while it waits.
        until: when its lease runs out unless it is renewed, in seconds of the monotonic clock.
    """

    job: Job
    queue: str
    adopts: bool
    token: int = 0
    until: float = 0.0

    def as_held(self, token: int) -> Place:
        """Make a copy for those who look later."""
        return replace(self, token=token)


class Line:
    """What a node has to tell of one queue, and who waits for it.

    Attributes:
        queue: its name.
        waiting: places that are not granted, by job, in order.
        entering: those of them of which Redis does not know yet, or may not.
        leaving: jobs that have left, of which Redis does not know yet, in order.
    """

    def __init__(self, queue: str) -> None:
        """Begin with none."""
        self.queue = queue
        self.waiting: dict[str, Place] = {}
        self.entering: dict[str, Place] = {}
        self.leaving: list[Leaving] = []
        self._refused = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be told and nobody waits."""
        return not self.waiting and not self.leaving

    @property
    def has_more(self) -> bool:
        """Whether something is to be told that was not in the last request."""
        return bool(self.leaving or self.entering) and not self._refused

    def enter(self, place: Place) -> None:
        """Have a job stand at the end of the line."""
        self.waiting[place.job.id] = place
        self.entering[place.job.id] = place

    def enter_again(self) -> None:
        """Have all who wait stand in line, in order, unless they do."""
        self.entering = dict(self.waiting)

    def forget(self, place: Place) -> None:
        """Take a job out that is granted the queue, or leaves."""
        for places in (self.waiting, self.entering):
            if places.get(place.job.id) is place:
                del places[place.job.id]

    def is_leaving(self, job_id: str, token: int) -> bool:
        """Whether a job gives back the queue that it held by a token, and Redis may not know."""
        return any(item.job == job_id and item.token == token for item in self.leaving)

    def request(self, *, leaving_only: bool = False) -> Request | None:
        """Make what is to be told and asked now; None when there is nothing.

        Nobody enters, and nothing is taken, before all who leave have left: a job may do both.

        Args:
            leaving_only: whether nobody may enter, and nothing may be taken, now.
        """
        leaving = tuple(self.leaving[:_AT_ONCE])
        if len(self.leaving) > _AT_ONCE or (leaving and leaving_only):
            return Request(self.queue, leaving, (), False)
        entering = tuple(Entering(place.job.id, place.adopts) for place in self.entering.values())
        if leaving_only or (not leaving and not self.waiting):
            return None
        return Request(self.queue, leaving, entering, bool(self.waiting))

    def was_told(self, request: Request, refusal: str) -> bool:
        """Take note that a request was answered.

        Args:
            request: the last that was made.
            refusal: why Redis would not do it, if it did not.

        Returns:
            Whether it was refused, and the one before was not.
        """
        del self.leaving[: len(request.leaving)]
        was_refused, self._refused = self._refused, bool(refusal)
        if not refusal:
            for item in request.entering:
                self.entering.pop(item.job, None)
        return self._refused and not was_refused
