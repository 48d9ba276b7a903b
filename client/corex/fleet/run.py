"""A run as callers hold it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import TYPE_CHECKING

from corex.core import Core
from corex.effects import Plan
from corex.fleet.events import Event, Started
from corex.fleet.launch import Known
from corex.fleet.outcome import Outcome
from corex.fleet.progress import Progress
from corex.fleet.watch import watch
from corex_shared.identifiers import new_id
from corex_shared.models import Message

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.sync import Client


def new_holder(core: Core) -> str:
    """Make a name for one who waits for a run."""
    return f"{core.client_id}/{new_id()[:12]}"


class _AnyRun:
    """What `FleetRun` and `AsyncFleetRun` have in common."""

    __slots__ = ("_core", "_holders", "_indexes", "_known", "_outcomes")

    def __init__(self, core: Core, known: Known, holder: str = "") -> None:
        self._core = core
        self._known = known
        self._outcomes = dict(known.outcomes)
        self._indexes = {node: index for index, node in enumerate(known.record.nodes)}
        # A wait that was left early may have the lease: the next one goes on under its name.
        self._holders = [holder] if holder else []

    @property
    def id(self) -> str:
        """The run's ID, by which anybody may pick it up."""
        return self._known.record.id

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it is for, in target order; `@` and a group for any one node of it."""
        return self._known.record.nodes

    @property
    def jobs(self) -> tuple[str, ...]:
        """IDs of the nodes' jobs, in the order of `nodes`; there is none where nothing starts."""
        return tuple(self._known.record.job(index) for index in range(len(self.nodes)))

    @property
    def known_outcomes(self) -> list[Outcome]:
        """The outcomes that this object has heard of, in target order; nothing is asked."""
        return [self._outcomes[index] for index in sorted(self._outcomes)]

    def node_of(self, job: str) -> str:
        """Tell which of `nodes` a job, or a message of it, belongs to.

        Raises:
            KeyError: it is none of this run.
        """
        run, _, number = job.rpartition(".")
        if run != self.id or not number.isdecimal() or int(number) >= len(self.nodes):
            raise KeyError(job)
        return self.nodes[int(number)]

    def _is_complete(self) -> bool:
        return len(self._outcomes) == len(self.nodes)

    def _failures(self) -> list[Outcome]:
        return [outcome for outcome in self.known_outcomes if outcome.failed]

    def _told_again(self) -> Iterator[Event]:
        """Tell what is known of a run that has ended."""
        for outcome in self.known_outcomes:
            if outcome.job is not None:
                yield Started(outcome.node, outcome.job)
            yield outcome

    def _watch(self, holder: str, *, messages: bool, cancel: str = "") -> Plan[None]:
        known = self._known
        progress = Progress(known.record, known.marks, self._outcomes, known.pushed)
        return watch(self._core, progress, known.time, holder, messages=messages, cancel=cancel)

    def _note(self, event: Event) -> Event:
        if isinstance(event, Outcome):
            self._outcomes[self._indexes[event.node]] = event
        return event

    @contextlib.contextmanager
    def _holder(self) -> Iterator[str]:
        holder = self._holders.pop() if self._holders else new_holder(self._core)
        try:
            yield holder
        finally:
            self._holders.append(holder)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} on {len(self.nodes)} nodes>"


class FleetRun(_AnyRun):
    """One command on many nodes, begun by `Fleet.system` and so on, or found by `Client.run`.

    It is driven by whoever waits for it: what may not start at once (`batch`, `canary`,
    `max_failures`) is started only while somebody does, in this program or another. While one
    drives a run, others who wait follow.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, known: Known, holder: str = "") -> None:
        super().__init__(client.core, known, holder)
        self._client = client

    def results(self) -> list[Outcome]:
        """Wait for the end of the run.

        Redis may go away meanwhile: the wait goes on. The run's `timeout` bounds it; killing what
        runs then takes ten seconds at most, or the grace of its jobs.

        Returns:
            One outcome for each of `nodes`, in their order, always.

        Raises:
            StoreRefusedError: this user may not drive runs.
        """
        for _ in self.outcomes():
            pass
        return self.known_outcomes

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Give the outcomes as they come, from the first one."""
        with contextlib.closing(self.events(messages=False)) as events:
            for event in events:
                if isinstance(event, Outcome):
                    yield event

    def stream(self) -> Generator[Message, None, None]:
        """Give what the jobs write, of all nodes merged, each node's in order and without gaps.

        `message.node` tells whose it is. The command must have been submitted with `stream=True`;
        see `Job.stream` for what comes in place of messages that cannot be had. The outcomes are
        there afterwards, by `results`.
        """
        with contextlib.closing(self.events(messages=True)) as events:
            for event in events:
                if isinstance(event, Message):
                    yield event

    def events(self, *, messages: bool = True) -> Generator[Event, None, None]:
        """Give all that happens: `Started`, `Message`, `Outcome` and `Note`, from the beginning.

        Who leaves it early may wait again, or cancel the run, at once; others who wait go on with
        the run after some seconds.

        Args:
            messages: whether what the jobs write is wanted.
        """
        if self._is_complete() and not messages:
            yield from self._told_again()
            return
        with self._holder() as holder:
            plan = self._watch(holder, messages=messages)
            with contextlib.closing(self._client.iterate(plan)) as events:
                for event in events:
                    yield self._note(event)

    def cancel(self) -> list[Outcome]:
        """End the run: what was started is killed, what waits is never started.

        It takes some seconds; more if whoever drives the run is gone.

        Returns:
            One outcome for each of `nodes`, in their order, always.
        """
        if not self._is_complete():
            with self._holder() as holder:
                plan = self._watch(holder, messages=False, cancel=self._core.client_id)
                with contextlib.closing(self._client.iterate(plan)) as events:
                    for event in events:
                        self._note(event)
        return self.known_outcomes

    @property
    def ok(self) -> bool:
        """Whether all nodes succeeded; waits for the end of the run."""
        return all(outcome.ok for outcome in self.results())

    @property
    def failed(self) -> list[Outcome]:
        """The nodes that failed or could not be reached; waits for the end of the run."""
        self.results()
        return self._failures()


class AsyncFleetRun(_AnyRun):
    """One command on many nodes, of an `AsyncClient`: `FleetRun` with coroutines."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient, known: Known, holder: str = "") -> None:
        super().__init__(client.core, known, holder)
        self._client = client

    async def results(self) -> list[Outcome]:
        """Wait for the end of the run. See `FleetRun.results`.

        Raises:
            StoreRefusedError: this user may not drive runs.
        """
        async for _ in self.outcomes():
            pass
        return self.known_outcomes

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Give the outcomes as they come, from the first one."""
        async with contextlib.aclosing(self.events(messages=False)) as events:
            async for event in events:
                if isinstance(event, Outcome):
                    yield event

    async def stream(self) -> AsyncGenerator[Message, None]:
        """Give what the jobs write, of all nodes merged. See `FleetRun.stream`."""
        async with contextlib.aclosing(self.events(messages=True)) as events:
            async for event in events:
                if isinstance(event, Message):
                    yield event

    async def events(self, *, messages: bool = True) -> AsyncGenerator[Event, None]:
        """Give all that happens. See `FleetRun.events`.

        Args:
            messages: whether what the jobs write is wanted.
        """
        if self._is_complete() and not messages:
            for event in self._told_again():
                yield event
            return
        with self._holder() as holder:
            plan = self._watch(holder, messages=messages)
            async with contextlib.aclosing(self._client.iterate(plan)) as events:
                async for event in events:
                    yield self._note(event)

    async def cancel(self) -> list[Outcome]:
        """End the run. See `FleetRun.cancel`."""
        if not self._is_complete():
            with self._holder() as holder:
                plan = self._watch(holder, messages=False, cancel=self._core.client_id)
                async with contextlib.aclosing(self._client.iterate(plan)) as events:
                    async for event in events:
                        self._note(event)
        return self.known_outcomes

    @property
    def ok(self) -> bool:
        """Whether all nodes succeeded, once `results` has been awaited.

        Raises:
            RuntimeError: it has not.
        """
        self._check_complete()
        return all(outcome.ok for outcome in self.known_outcomes)

    @property
    def failed(self) -> list[Outcome]:
        """The nodes that failed or could not be reached, once `results` has been awaited.

        Raises:
            RuntimeError: it has not.
        """
        self._check_complete()
        return self._failures()

    def _check_complete(self) -> None:
        if not self._is_complete():
            raise RuntimeError("the run has not ended yet, as far as is known: await results()")
