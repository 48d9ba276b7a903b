"""The agent: builds its parts, runs them, and stops them in order."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog

from corex_node.admission import Admission
from corex_node.bounds import (
    manager_limits,
    manner_of_reaping,
    outbox_limits,
    raise_descriptor_limit,
    reaper_limits,
)
from corex_node.builtins import Facilities, node_registry
from corex_node.builtins.files.descriptors import DescriptorTable
from corex_node.clock import ServerClock
from corex_node.config import Config
from corex_node.events import Events
from corex_node.feeds import Feeds
from corex_node.fleet_queues import NodeFleetQueues
from corex_node.group import GroupParts
from corex_node.groups import Groups
from corex_node.intake import Intake, IntakeParts
from corex_node.intakes import IntakeMaker
from corex_node.leases import Heartbeat, Identity, Load
from corex_node.life import NodeLife
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.manager.registry import Registry
from corex_node.numbers import ClaimNumbers
from corex_node.outbox import Outbox
from corex_node.patience import until_available
from corex_node.queue_news import QueueNews
from corex_node.reaper import Reaper
from corex_node.reconciler import Reconciler
from corex_node.recovery import recover
from corex_node.retreat import give_back_unstarted
from corex_node.room import CommandRoom
from corex_node.server_check import check_servers
from corex_node.starts import StartJournal
from corex_node.statistics.job_sampler import JobSampler
from corex_node.statistics.monitors import Monitors
from corex_node.statistics.statistics import Statistics
from corex_node.stores import Stores
from corex_node.winding import (
    STEP,
    bounded,
    drained,
    leave_between_runs,
    leave_to_successor,
    stop_jobs,
)
from corex_shared.connection import safe_url
from corex_shared.endings import end
from corex_shared.errors import (
    ConfigError,
    CorexError,
    CredentialsError,
    LeaseLostError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

_BUSY = 16
"""Running jobs from which on a node counts as busy: batches are worth a moment's wait."""
_LAST_WORD = 1.0
"""Seconds in which the channel of events is to hear that the agent ends."""
_log = structlog.get_logger()

T = TypeVar("T")


class Agent:
    """One node's agent.

    Attributes:
        on_ready: called once, when the node is there and about to take commands.
    """

    def __init__(self, config: Config, registry: Registry | None = None) -> None:
        """Build it; nothing is opened yet. To be called within a running event loop.

        Args:
            config: settings.
            registry: commands that it knows besides built-ins, extensions of the settings, and
                what `corex_node.command` has added.

        Raises:
            ConfigError: the URL cannot be used, or an extension has a name that is taken.
            TakenNameError: another command has.
        """
        self.on_ready: Callable[[], object] = lambda: None
        self._config = config
        self._node = config.main.id
        incarnation = secrets.token_hex(8)
        self._stores = stores = Stores.of(config, incarnation)
        self._store = stores.node
        self._clock = ServerClock()
        identity = Identity.of_this_process(
            self._node, incarnation, tuple(config.main.groups), dict(config.labels)
        )
        limits = config.limits
        self._heartbeat = Heartbeat(
            stores.lease, identity, self._clock, limits.lease, limits.heartbeat
        )
        self._events = Events(self._node, config.events)
        self._life = NodeLife(self._events, self._store, identity)
        self._outbox = Outbox(self._store, self._node, outbox_limits(config), self._events)
        node_levels = frozenset(config.logging.levels)
        self._feeds = Feeds(stores.feeds, self._node, node_levels)
        self._reaper = Reaper(
            stores.reaper, self._store, manner_of_reaping(config), reaper_limits(config)
        )
        self._statistics = Statistics(self._clock, most=limits.series)
        self._files = DescriptorTable(limits.open_files)
        self._journal = StartJournal(self._store, self._node)
        self._manager = ProcessManager(
            self._node,
            self._registry(registry),
            manager_limits(config),
            self._outbox,
            self._journal,
            self._clock,
        )
        self._queues = NodeFleetQueues(
            stores.queues,
            lambda heard: QueueNews(stores.endpoint, stores.keys, self._node, heard),
            self._node,
            limits.lease,
        )
        self._sampler = JobSampler(self._manager, self._manager.output.say)
        self._admission = Admission(
            self._store,
            self._manager,
            self._outbox,
            self._clock,
            self._events,
            node_levels,
            limits.rejected,
        )
        self._reconciler = Reconciler(
            self._store, self._manager, self._admission, self._outbox, limits.payload
        )
        self._groups = Groups(config.main.groups, self._group_parts())
        self._stopping = asyncio.Event()
        self._lease_lost = False
        self._failure: Exception | None = None
        self._connect_parts()

    @property
    def manager(self) -> ProcessManager:
        """The manager of the node's jobs."""
        return self._manager

    def stop(self) -> None:
        """Have `run` end in good order; may be called again."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve the node until `stop` is called.

        Waits for Redis as long as it takes.

        Raises:
            LeaseHeldError: another agent serves the node.
            StoreUnavailableError: it was stopped while Redis was away, with results to deliver.
            LeaseLostError: another agent took the node over; all jobs of this one were killed.
            ConfigError: the server cannot be used, or refuses the user or password of the URL.
            CorexError: one of its parts failed, which is a bug; it has stopped in order.
        """
        raise_descriptor_limit(self._config)
        try:
            begun = await self._unless_stopped(self._begin())
            if begun is not None:
                await self._serve(begun)
        finally:
            self._manager.abandon()
            await self._close()
        if self._failure is not None:
            raise CorexError(f"a part of the agent failed: {self._failure}") from self._failure
        if self._lease_lost:
            raise LeaseLostError(f"node {self._node} was taken over by another agent")
        if self._outbox.backlog:
            raise StoreUnavailableError(f"{self._outbox.backlog} results were not delivered")

    # -- start --------------------------------------------------------------------------------

    async def _begin(self) -> ClaimNumbers:
        """Reach Redis, take the lease; repeated until Redis is there."""
        return await until_available(self._begin_once, self._say_away)

    async def _begin_once(self) -> ClaimNumbers:
        try:
            infos = await self._store.infos()
            await self._store.prepare()
        except CredentialsError as error:  # no waiting puts that right
            raise ConfigError("url", "", f"{safe_url(self._config.main.url)}: {error}") from error
        for warning in check_servers(infos):
            _log.warning("redis.check", warning=warning)
        server_ms = await self._heartbeat.acquire()
        return ClaimNumbers(server_ms)

    def _say_away(self, error: StoreError, pause: float) -> None:
        _log.warning(
            "redis.refused" if isinstance(error, StoreRefusedError) else "redis.away",
            url=safe_url(self._config.main.url),
            reason=str(error),
            again_in=round(pause, 1),
        )

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await something, or None as soon as the agent is told to stop."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            await end([task], self._config.limits.deliver)
            return None
        return task.result()

    def _connect_parts(self) -> None:
        manager, heartbeat = self._manager, self._heartbeat
        manager.output.statistics = self._statistics
        manager.scope = self._scope()
        self._store.on_told = self._events.told
        if self._events.of_jobs:
            manager.tell_starts(self._events.started)
        manager.add_tap(self._feeds)
        manager.lineup.fleet, self._queues.holders = self._queues, manager.tenure
        heartbeat.renewals.append(self._queues)
        if self._config.security.unprivileged:
            manager.set_unprivileged()
        self._outbox.on_relief = manager.output.resume
        self._outbox.is_busy = lambda: manager.running >= _BUSY
        self._outbox.on_taken = self._admission.reject_taken
        self._reconciler.groups = self._groups.places
        self._reconciler.is_quiet = self._stopping.is_set
        self._journal.on_lost = self._groups.disown
        heartbeat.renewals.append(self._groups)
        heartbeat.load = lambda: Load(manager.limits.max_jobs, manager.running, manager.waiting)
        self._stores.endpoint.on_reconnect = self._reconciler.suspect
        self._outbox.on_away = self._reconciler.suspect
        self._admission.known_again = self._reconciler.known_again
        self._admission.may_come_again = self._reconciler.may_come_again
        self._reconciler.on_settled = self._others_settled
        self._connect_heartbeat()

    def _connect_heartbeat(self) -> None:
        """Hear of the lease on the event loop; the heartbeat beats in a thread."""
        loop, heartbeat = asyncio.get_running_loop(), self._heartbeat

        self._store.on_unheld = heartbeat.beat_now
        self._manager.start_only_while(heartbeat.holds)
        heartbeat.on_lost = partial(loop.call_soon_threadsafe, self._lose_lease)
        heartbeat.on_lapsed = partial(loop.call_soon_threadsafe, self._lapse)
        heartbeat.on_regained = partial(loop.call_soon_threadsafe, self._reconciler.suspect)
        heartbeat.on_returned = partial(loop.call_soon_threadsafe, self._life.returned)
        heartbeat.on_failed = lambda error: loop.call_soon_threadsafe(self._fail, error)

    def _group_parts(self) -> GroupParts:
        limits = self._config.limits
        return GroupParts(
            store=self._store,
            groups=self._stores.groups,
            admission=self._admission,
            manager=self._manager,
            scope=self._scope(),
            payload_limit=limits.payload,
            manner=manner_of_reaping(self._config),
            lease=limits.lease,
            heartbeat=limits.heartbeat,
        )

    def _registry(self, more: Registry | None) -> Registry:
        facilities = Facilities(
            config=self._config,
            statistics=self._statistics,
            monitors=Monitors(),
            feeds=self._feeds,
            files=self._files,
            clock=self._clock,
        )
        registry = node_registry(facilities)
        if more is not None:
            registry.include(more)
        return registry

    def _scope(self) -> str:
        """Tell this node from others of its name, of another fleet or Redis, on this machine."""
        main = self._config.main
        digest = hashlib.sha256(main.url.encode()).hexdigest()[:12]
        return f"{main.namespace}/{main.id}@{digest}"

    def _lapse(self) -> None:
        """The lease has run out, renewed too late or not yet: others may settle what runs here."""
        self._life.lapsed()
        if self._config.main.when_lapsed == "stop":
            self._manager.stop_callers(self._manager.snapshot(), "the node lost its lease")

    def _others_settled(self, jobs: list[Job]) -> None:
        """Others have written how these jobs ended: a run may go on, but none may follow."""
        why = "the node lost its lease, and others settled the job"
        may_go_on = self._config.main.when_lapsed != "stop"
        running = [job for job in jobs if may_go_on and job.execution is not None]
        for job in running:
            self._manager.unschedule(job.id)
        self._manager.stop_callers([job for job in jobs if job not in running], why)

    def _lose_lease(self) -> None:
        self._lease_lost = True
        self._queues.yield_places()
        self._stopping.set()

    # -- service and its end ------------------------------------------------------------------

    async def _serve(self, numbers: ClaimNumbers) -> None:
        self._heartbeat.start()
        patience = self._config.limits.deliver
        async with asyncio.TaskGroup() as group:
            parts: dict[str, Coroutine[Any, Any, None]] = {
                "outbox": self._outbox.run(),
                "reconciler": self._reconciler.run(),
                "starter": self._manager.run(),
                "feeds": self._feeds.run(),
                "queues": self._queues.run(),
                "files": self._files.run(),
                "statistics": self._statistics.run(),
                "sampler": self._sampler.run(),
                "reaper": self._reaper.run(),
            }
            components = [
                group.create_task(self._guard(part), name=name) for name, part in parts.items()
            ]
            await self._unless_stopped(self._guard(self._recover()))
            intakes: list[Intake] = []
            claiming: list[asyncio.Task[None]] = []
            if not self._stopping.is_set():
                maker = self._intake_maker(numbers)
                intakes = maker.own(shared=bool(self._groups.names))
                ways = [intake.run() for intake in intakes] + [self._groups.run(maker.of_group)]
                claiming = [group.create_task(self._guard(way), name="intake") for way in ways]
            await self._stopping.wait()
            if self._lease_lost:
                await end(claiming, patience)
                leave_to_successor(self._manager)
                await stop_jobs(self._manager)
            else:
                await self._wind_down(intakes, claiming)
            await end(components, patience)

    async def _guard(self, component: Awaitable[None]) -> None:
        """Run a component; when it finds the lease lost, or fails, have the agent stop.

        Without one of its parts an agent must not go on. It stops in order, so that jobs and
        results come to their ends as far as the other parts can see to that.
        """
        try:
            await component
        except LeaseLostError:
            self._lose_lease()
        except Exception as error:  # noqa: BLE001 - it is logged, and ends the agent
            _log.critical("component.failed", exc_info=True)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._stopping.set()

    async def _recover(self) -> None:
        """Settle what is left of a predecessor."""
        payload_limit = self._config.limits.payload
        recovered = await until_available(
            lambda: recover(self._store, self._admission, self._scope(), payload_limit),
            self._say_away,
        )
        self._life.started(recovered)
        _log.info(
            "node.ready",
            node=self._node,
            url=safe_url(self._config.main.url),
            max_jobs=self._config.main.max_jobs,
            recovered=recovered,
        )
        self.on_ready()

    def _intake_maker(self, numbers: ClaimNumbers) -> IntakeMaker:
        parts = IntakeParts(
            self._store,
            self._admission,
            self._reconciler,
            numbers,
            self._config.limits.payload,
        )
        return IntakeMaker(parts, CommandRoom(self._manager, self._outbox))

    async def _wind_down(self, intakes: list[Intake], claiming: list[asyncio.Task[None]]) -> None:
        """Stop in order; each step is bounded in time, and the next comes whatever happens.

        1. quiet: no command is claimed any more, and what is compared after a break is finished
        2. what was claimed and has not started goes back to its list
        3. drain: running jobs may end by themselves; those between two runs are parted with
        4. the others are stopped
        5. all results are delivered, what subscribers of the log have not got yet, and what is
           given back of queues that all nodes share
        6. the groups are left: what of theirs is claimed still is their other nodes'
        (7. the lease is given back: `_close`)
        """
        limits = self._config.limits
        _log.info("node.stopping", running=self._manager.running, waiting=self._manager.waiting)
        self._heartbeat.quiet = True
        is_there = await bounded(self._store.go_quiet(), "quiet")
        await bounded(self._groups.go_quiet(), "quiet in groups")
        await end(claiming, STEP)
        if is_there:  # else what is compared waits for Redis, as long as it takes
            await bounded(self._reconciler.settled(), "compare")
        for settled in [*(intake.settled() for intake in intakes), self._groups.settled()]:
            await bounded(settled, "admit")
        known = self._admission.known_fields
        await bounded(
            give_back_unstarted(self._store, self._manager, known, self._groups.names), "give back"
        )
        await bounded(self._manager.note_parked(), "between runs")
        leave_between_runs(self._manager)
        await drained(self._manager, limits.drain)
        await stop_jobs(self._manager)
        await bounded(self._outbox.flushed(), "deliver", limits.deliver)
        await bounded(self._feeds.flushed(), "log")
        await bounded(self._queues.flushed(), "queues")
        await bounded(self._groups.leave(), "leave groups")

    def _why(self) -> str:
        """Why the agent ends."""
        if self._failure is not None:
            return f"a part of the agent failed: {self._failure}"
        return "another agent has taken the node over" if self._lease_lost else "it was told to"

    async def _close(self) -> None:
        await bounded(self._life.stopped(self._why()), "last event", _LAST_WORD)
        await asyncio.to_thread(self._heartbeat.stop)
        await self._manager.close()
        await self._stores.close()
        _log.info("node.stopped", node=self._node)
