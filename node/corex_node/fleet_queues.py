"""This node's places in the queues that all nodes share: one job at a time, in order of entry.

* Tells Redis who enters and who leaves, in the order in which that happened, for all queues in one
  round trip; while that is under way, the next gathers.
* Takes a queue when it is the turn of a job of this node, and tells the manager. It looks when it
  hears that a queue has become free, and about once a second otherwise.
* Has the heartbeat renew the leases of jobs that hold a queue, and has the manager stop a job that
  has lost its queue to another.
* Stands in line again when it finds that its places are lost: it was taken for dead, or Redis has
  forgotten them.

What it knows is never behind what it told: an answer about a job that has left meanwhile is
answered by giving the queue back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import structlog

from corex_node.manager.jobs import Job
from corex_node.manager.ports import FleetQueue
from corex_node.queue_line import Line, Place
from corex_node.queue_news import QueueNews
from corex_node.queue_store import Answer, Leaving, QueueStore, Request
from corex_shared.endings import end
from corex_shared.errors import (
    ServiceUnavailableError,
    StoreError,
    StoreRefusedError,
)
from corex_shared.identifiers import is_valid_id
from corex_shared.scripts import Call

POLL = 1.0
"""Seconds, about, between two looks at the queues that are waited for."""
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 1.0
_END_PATIENCE = 5.0
_HELD, _LOST, _RELEASED = 1, 0, 2  # answers of lua/queue_renew.lua

_log = structlog.get_logger()

T = TypeVar("T")


class Holders(Protocol):
    """Whoever has the jobs."""

    def granted(self, job: Job, token: int) -> None:
        """A job holds its queue now."""

    def ousted(self, job: Job, why: str) -> None:
        """A job has lost its queue to another."""


class NodeFleetQueues:
    """The places of one node's jobs; a renewal of its heartbeat.

    Attributes:
        holders: whoever has the jobs; to be set before any enters.
    """

    holders: Holders

    def __init__(
        self,
        store: QueueStore,
        make_news: Callable[[Callable[[str], object]], QueueNews],
        node: str,
        lease: float,
    ) -> None:
        """Begin with no place. To be made within a running event loop.

        Args:
            store: Redis.
            make_news: makes what hears of queues that are free, given what to call then.
            node: whose jobs these are.
            lease: in seconds.
        """
        self._store = store
        self._news = make_news(self._look_at)
        self._node = node
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._places: dict[str, Place] = {}  # by job; read by the heartbeat's thread
        self._lines: dict[str, Line] = {}
        self._due: set[str] = set()  # queues of which there is something to tell or to ask
        self._wake = asyncio.Event()
        self._told = asyncio.Event()
        self._told.set()
        self._next_poll = 0.0
        self._pause = 0.0
        self._successor = False
        self._asked: list[tuple[str, list[Place]]] = []  # by the heartbeat, with its last question
        self._asked_at = 0.0
        self._served_until = 0.0  # when the node's own lease runs out, monotonic

    # -- what the manager asks ----------------------------------------------------------------

    def enter(self, job: Job) -> None:
        """Have a job stand in line for its queue."""
        place = Place(job, job.fleet_queue or "", adopts=not job.attempts)
        self._places[job.id] = place
        self._line(place.queue).enter(place)
        self._look_at(place.queue)

    def leave(self, job: Job) -> None:
        """Give back a job's queue or its place in the line, if it has any."""
        place = self._places.get(job.id)
        if place is None or place.job is not job:
            return
        del self._places[job.id]
        line = self._line(place.queue)
        line.forget(place)
        if place.token or not self._successor:
            line.leaving.append(Leaving(job.id, place.token))
            self._tell_of(place.queue)

    def disown(self, queue: str, job_id: str) -> None:
        """Give back what a predecessor's job has, of which no job was made again."""
        self._line(queue).leaving.append(Leaving(job_id, 0, anybodys=True))
        self._tell_of(queue)

    def holds(self, job: Job) -> bool:
        """Whether a job holds its queue, for certain."""
        place = self._places.get(job.id)
        if place is None or place.job is not job or not place.token:
            return False
        return time.monotonic() < place.until

    async def held(self) -> list[FleetQueue]:
        """Show the queues in which jobs of this node hold or wait, by name.

        Raises:
            ServiceUnavailableError: Redis cannot be asked.
        """
        queues = sorted({place.queue for place in self._places.values()})
        return await self._asking(self._store.show(queues))

    async def shown(self, queue: str) -> FleetQueue:
        """Show one queue.

        Raises:
            ServiceUnavailableError: Redis cannot be asked.
        """
        [entry] = await self._asking(self._store.show([queue]))
        return entry

    async def release(self, queue: str) -> bool:
        """Take a queue from the job that holds it, of whatever node; False when none does.

        Raises:
            ServiceUnavailableError: it is not known whether it was done.
        """
        if not is_valid_id(queue):
            return False
        freed = await self._asking(self._store.free(queue))
        if freed is None:
            return False
        node, job_id, token = freed
        _log.warning("queue.released_by_hand", queue=queue, node=node, job=job_id, token=token)
        place = self._places.get(job_id)
        if node == self._node and place is not None and place.token == token:
            self._released(place)
        return True

    @staticmethod
    async def _asking(question: Coroutine[Any, Any, T]) -> T:
        try:
            return await question
        except StoreError as error:
            raise ServiceUnavailableError(f"queue: Redis did not answer: {error}") from error

    # -- what the agent asks ------------------------------------------------------------------

    def yield_places(self) -> None:
        """Leave places in lines to the node's next agent, which stands there by the same name."""
        self._successor = True

    async def flushed(self) -> None:
        """Return when nothing is left to be given back; the caller bounds the wait."""
        await self._told.wait()

    # -- renewal, in the heartbeat's thread ---------------------------------------------------

    def calls(self) -> list[Call]:
        """Make the commands that renew what the node has, one for each queue.

        To be called whenever the node's own lease was renewed.
        """
        places: dict[str, list[Place]] = {}
        for place in list(self._places.values()):
            places.setdefault(place.queue, []).append(place)
        self._asked_at = time.monotonic()
        self._served_until = self._asked_at + self._lease
        self._asked, calls = [], []
        for queue, some in places.items():
            tokens = [(place, place.token) for place in some]
            held = [place.as_held(token) for place, token in tokens if token]
            self._asked.append((queue, held))
            waits = len(held) < len(some)
            calls.append(
                self._store.renewal(queue, waits, [(item.job.id, item.token) for item in held])
            )
        return calls

    def heard(self, answers: list[Any]) -> None:
        """Take the answers, and pass them on to the event loop."""
        for (queue, held), answer in zip(self._asked, answers, strict=True):
            if isinstance(answer, StoreRefusedError):
                _log.error("queue.refused", queue=queue, reason=str(answer))
            elif held:
                self._loop.call_soon_threadsafe(
                    self._renewed, held, answer, self._asked_at + self._lease
                )

    def _renewed(self, held: list[Place], answers: list[int], until: float) -> None:
        for asked, answer in zip(held, answers, strict=True):
            place = self._places.get(asked.job.id)
            if place is None or place.token != asked.token:
                continue  # it was given back meanwhile
            if answer == _HELD:
                place.until = max(place.until, until)
            elif answer == _RELEASED:
                self._released(place)
            else:
                self._lost(place)

    def _released(self, place: Place) -> None:
        """The queue was taken from a job by hand: it goes on without."""
        del self._places[place.job.id]
        _log.warning("queue.released", queue=place.queue, job=place.job.id, token=place.token)
        self._line(place.queue).leaving.append(Leaving(place.job.id, place.token))
        self._tell_of(place.queue)

    def _lost(self, place: Place) -> None:
        del self._places[place.job.id]
        why = (
            f"queue {place.queue}: the lease ran out, and another job holds it or has held it "
            f"since (fencing token {place.token})"
        )
        self.holders.ousted(place.job, why)

    # -- component ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell and ask whatever there is; to be cancelled."""
        parts = [
            asyncio.create_task(self._serve(), name="queues"),
            asyncio.create_task(self._news.run(), name="news"),
        ]
        try:
            # Not `gather`: it would cancel them, and `end` another time, in their last moments.
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            await end(parts, _END_PATIENCE)

    async def _serve(self) -> None:
        while True:
            await self._wait()
            requests = self._requests()
            if not requests:
                continue
            try:
                await self._ask(requests)
            except StoreError as error:
                await self._fall_back(requests, error)

    async def _wait(self) -> None:
        """Return when there is something to tell, or it is time to look."""
        waits = any(line.waiting for line in self._lines.values())
        left = max(0.0, self._next_poll - time.monotonic()) if waits else None
        try:
            async with asyncio.timeout(left):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        now = time.monotonic()
        if now >= self._next_poll:
            self._due.update(queue for queue, line in self._lines.items() if line.waiting)
            self._next_poll = now + POLL * random.uniform(0.8, 1.2)

    def _requests(self) -> list[Request]:
        due, self._due = self._due, set()
        # An agent that hung may have a successor, whose places these are. The heartbeat will tell.
        is_unsure = time.monotonic() >= self._served_until
        requests = []
        for queue in due:
            line = self._lines.get(queue)
            if line is None:
                continue
            if line.waiting:
                self._news.want(queue)
            request = line.request(leaving_only=is_unsure)
            if request is not None:
                requests.append(request)
        return requests

    async def _ask(self, requests: list[Request]) -> None:
        counts = {request.queue: len(self._lines[request.queue].waiting) for request in requests}
        asked_at = time.monotonic()
        answers = await self._store.tell(requests)
        if self._pause:
            _log.info("queue.back")
        self._pause = 0.0
        for request, answer in zip(requests, answers, strict=True):
            self._learn(request, answer, counts[request.queue], asked_at + self._lease)
        self._note_told()

    async def _fall_back(self, requests: list[Request], error: StoreError) -> None:
        """Some or all may have been done: all of it is told again, which changes nothing then."""
        if not self._pause:
            _log.warning("queue.away", reason=str(error))
        for request in requests:
            line = self._lines.get(request.queue)
            if line is not None:
                line.enter_again()
            self._look_at(request.queue)
        self._pause = min(max(self._pause * 2, _FIRST_RETRY), _LONGEST_RETRY)
        await asyncio.sleep(self._pause)

    def _learn(self, request: Request, answer: Answer, waiting: int, until: float) -> None:
        line = self._lines[request.queue]
        if line.was_told(request, answer.refusal):
            _log.error("queue.refused", queue=request.queue, reason=answer.refusal)
        for job_id, token in answer.grants:
            self._grant(line, job_id, token, until)
        if not answer.refusal and request.waits:
            short = answer.length + len(answer.grants) < waiting
            if line.waiting and (answer.is_new or short):
                _log.warning("queue.places_lost", queue=line.queue, jobs=len(line.waiting))
                line.enter_again()
                self._look_at(line.queue)
        if line.has_more:
            self._look_at(line.queue)
        if line.is_empty:
            del self._lines[line.queue]

    def _grant(self, line: Line, job_id: str, token: int, until: float) -> None:
        """Take a queue for a job; give it back when the job wants it no more."""
        if line.is_leaving(job_id, token):
            return
        place = self._places.get(job_id)
        if place is not None and place.queue == line.queue and place.token == token:
            return  # known
        if place is None or place.queue != line.queue or place.token:
            line.leaving.append(Leaving(job_id, token))
            self._tell_of(line.queue)
            return
        line.forget(place)
        place.until = until
        place.token = token
        _log.debug("queue.granted", queue=line.queue, job=job_id, token=token)
        self.holders.granted(place.job, token)

    def _line(self, queue: str) -> Line:
        line = self._lines.get(queue)
        if line is None:
            line = self._lines[queue] = Line(queue)
        return line

    def _look_at(self, queue: str) -> None:
        self._due.add(queue)
        self._wake.set()

    def _tell_of(self, queue: str) -> None:
        self._told.clear()
        self._look_at(queue)

    def _note_told(self) -> None:
        if not any(line.leaving for line in self._lines.values()):
            self._told.set()
