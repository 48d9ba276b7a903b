"""The process manager: the table of jobs, and what it offers to code inside the node.

Commands of callers come to the table by way of admission (`JobTable.place`); code starts its own
with `start`, `system` and `internal`, observes all jobs with handlers and one with hooks, follows
their messages, and ends them.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import structs

from corex_node.manager.context import Context
from corex_node.manager.executions import Factory
from corex_node.manager.flags import NO_FLAGS, JobFlags
from corex_node.manager.handle import JobHandle
from corex_node.manager.hooks import Hook
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.messages import Subscription
from corex_node.manager.observers import Courier, Handler
from corex_node.manager.ports import Tap
from corex_node.manager.registry import Entry, Kind
from corex_node.manager.signatures import Passing
from corex_node.manager.table import JobTable
from corex_node.statistics.sample import format_sample, make_sample
from corex_shared import codec
from corex_shared.errors import BadRequestError, ConflictError, NotFoundError
from corex_shared.identifiers import new_id
from corex_shared.models import Command

_UNHEARD = Demand(False, frozenset())


class ProcessManager(JobTable):
    """All jobs of one node, as code inside the node sees them.

    It is no global: make as many as you like. Everything is to be called on the event loop that it
    was made in.
    """

    # -- jobs from code -----------------------------------------------------------------------

    def start(
        self,
        command: Command,
        *hooks: Hook,
        flags: JobFlags = NO_FLAGS,
        factory: Factory | None = None,
    ) -> JobHandle:
        """Run a command for code inside the node; its result goes to the handle and handlers only.

        It takes a slot, or waits for one, like any other; `run` must be running for that.

        Args:
            command: what to run; gets an ID if it has none.
            *hooks: observe it.
            flags: see `JobFlags`.
            factory: makes what runs, in place of the registry; arguments are not checked then.

        Raises:
            ConflictError: its ID is in use.
            NotFoundError: there is no such command.
            BadRequestError: it asks for a queue of all nodes, and there are none.
        """
        job = self._local(command, self._entry(command.command, factory))
        job.flags = flags
        job.hooks = tuple((hook, self._courier(hook)) for hook in hooks)
        self._enter(job)
        self.admit(job)
        return JobHandle(job, self)

    def _local(self, command: Command, entry: Entry) -> Job:
        """Make a job of which nobody outside hears."""
        if command.id is None:
            command = structs.replace(command, id=new_id())
        if command.job_id in self.jobs:
            raise ConflictError(f"id: {command.id}: it is in use")
        job = Job(command, entry, _UNHEARD, None)
        job.local = True
        return job

    def system(
        self,
        name: str,
        args: Sequence[str] = (),
        *hooks: Hook,
        command_id: str | None = None,
        **arguments: Any,
    ) -> JobHandle:
        """Run a program for code inside the node; its result has all of its output.

        Args:
            name: of the program.
            args: its arguments.
            *hooks: observe it.
            command_id: ID of the job.
            **arguments: others of `core.system`, such as `dir`, `env`, `stdin`.

        Raises:
            ConflictError: the ID is in use.
        """
        asked: Mapping[str, Any] = {"name": name, "args": list(args), **arguments}
        command = Command("core.system", dict(asked), id=command_id)
        return self.start(command, *hooks, flags=JobFlags(complete=True))

    async def internal(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a built-in for code inside the node and return its answer, decoded.

        It needs no slot: who calls may hold the last one. It ends with the call that waits for it.

        Raises:
            NotFoundError: there is no such command.
            BadRequestError: it is a program, which answers nothing.
            JobFailed: it did not succeed.
        """
        entry = self._entry(name, None)
        if entry.kind is Kind.PROGRAM:
            raise BadRequestError(f"name: {name}: it is a program: see `system` and `start`")
        job = self._local(Command(name, dict(arguments or {})), entry)
        job.control = True
        self._enter(job)
        self.admit(job)
        handle = JobHandle(job, self)
        try:
            result = (await handle.wait()).check()
        finally:
            handle.stop()
        return codec.decode_data(result.data)

    def _entry(self, name: str, factory: Factory | None) -> Entry:
        if factory is not None:
            return Entry(name, Kind.FACTORY, dict, factory, Passing.OPEN)
        entry = self.registry.get(name)
        if entry is None:
            raise NotFoundError(f"command: {name}: no such command")
        return entry

    def _courier(self, hook: Hook) -> Courier:
        return Courier(self._observer_threads, type(hook).__name__)

    def make_context(self, job: Job) -> Context:
        """Make the context of an attempt of a built-in."""
        return Context(job, self)

    # -- look-ups -----------------------------------------------------------------------------

    def job(self, job_id: str) -> JobHandle:
        """Find a job.

        Raises:
            NotFoundError: there is none of that ID.
        """
        return JobHandle(self._find(job_id), self)

    def spawner_pids(self) -> list[int]:
        """Process IDs of the processes that start programs."""
        return self._spawners.pids()

    def _find(self, job_id: str) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"id: {job_id}: no such job")
        return job

    # -- messages and observers ---------------------------------------------------------------

    def subscribe(self, job_id: str) -> Subscription:
        """Follow a job's messages: what is kept of the past, then what comes.

        Raises:
            NotFoundError: there is no such job.
        """
        return self.output.subscribe(self._find(job_id))

    def unsubscribe(self, job_id: str, subscription: Subscription) -> None:
        """Follow no more; harmless to repeat."""
        subscription.close()
        if job_id in self.jobs:
            self.output.unsubscribe(self.jobs[job_id], subscription)

    def add_handler(self, handler: Handler) -> None:
        """Have all jobs observed, from now on."""
        self.observers.add(handler)

    def remove_handler(self, handler: Handler) -> None:
        """Have a handler observe no more."""
        self.observers.remove(handler)

    def add_tap(self, tap: Tap) -> None:
        """Have messages of all jobs seen on the event loop, from now on."""
        self.output.taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        """Have a tap see no more."""
        self.output.taps.remove(tap)

    def aggregate(
        self,
        operation: str,
        key: str,
        value: float,
        instance: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add a sample to the node's statistics.

        Args:
            operation: `A` for an average, `D` for a difference per second.
            key: what is measured.
            value: finite.
            instance: which of several it is measured of.
            tags: more about it.

        Raises:
            SampleError: one of them cannot be used; see `statistics.sample`.
        """
        sample = make_sample(operation, key, value, instance, tags)
        self.output.sample("", format_sample(sample))

    def set_unprivileged(self) -> None:
        """Drop capabilities from all programs that are started from now on; for good.

        See `corex_node.process.privileges`.
        """
        self._unprivileged = True

    @property
    def unprivileged(self) -> bool:
        """Whether programs are started with fewer capabilities."""
        return self._unprivileged

    # -- the end ------------------------------------------------------------------------------

    def kill_all(
        self,
        number: int = signal.SIGTERM,
        *,
        keep: Collection[str] = (),
        by: str | None = None,
    ) -> None:
        """Kill all jobs but those of some IDs; protected ones are started again. See `kill`."""
        for job_id in list(self.jobs):
            if job_id not in keep:
                self.kill(job_id, number, by=by)

    async def shutdown(
        self, keep: Collection[str] = (), ranks: Sequence[Collection[str]] = ()
    ) -> None:
        """End all jobs, protected ones too, and return when they have ended.

        Args:
            keep: jobs that go on: exact IDs, or beginnings of IDs with a `*` at their end.
            ranks: IDs of jobs that are ended before all others, rank after rank: the next when the
                ones before have ended. Services go so, dependants first.
        """
        for rank in ranks:
            await self._stop_and_wait([job_id for job_id in rank if not is_kept(job_id, keep)])
        await self._stop_and_wait([job_id for job_id in self.jobs if not is_kept(job_id, keep)])

    async def _stop_and_wait(self, job_ids: Collection[str]) -> None:
        jobs = self.snapshot(job_ids)
        for job in jobs:
            self.stop(job.id)
        while any(self.jobs.get(job.id) is job for job in jobs):
            await self.change()


def is_kept(job_id: str, keep: Collection[str]) -> bool:
    """Whether an ID is among exceptions: exact IDs, or beginnings with a `*` at their end."""
    return any(
        job_id.startswith(name[:-1]) if name.endswith("*") else job_id == name for name in keep
    )
