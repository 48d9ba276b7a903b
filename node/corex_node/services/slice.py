"""Starting a set of services, each as soon as those that it comes after run."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import partial
from typing import Protocol

import structlog
from msgspec import Struct

from corex_node.services.order import PHASES, Item, Order, arrange

_SHOWN = 200
"""Characters of a service's reason that those of its dependants repeat."""

_log = structlog.get_logger()


class Standing(Enum):
    """What became of a service."""

    RUNNING = "running"
    FAILED = "failed"
    SKIPPED = "skipped"


class Outcome(Struct, frozen=True):
    """What became of a service, and why.

    Attributes:
        standing: what.
        reason: why it does not run; it names the service that it came after, if that is why.
        root: key of the service that failed first, when it is another.
    """

    standing: Standing
    reason: str = ""
    root: str = ""


RUNNING = Outcome(Standing.RUNNING)
SKIPPED = Outcome(Standing.SKIPPED, "its condition does not hold")


def failed(reason: str) -> Outcome:
    """Make the outcome of a service that could not be brought to run."""
    return Outcome(Standing.FAILED, reason)


class Starter(Protocol):
    """Starts services."""

    def skip(self, item: Item) -> bool:
        """Tell whether a service is not to be started at all: its condition does not hold."""

    async def start(self, item: Item) -> Outcome:
        """Start a service and return when it runs (`RUNNING`), or will not (`failed(…)`).

        An exception counts as a failure. It is cancelled when the whole is.
        """


async def run_slice(items: Sequence[Item], starter: Starter) -> dict[str, Outcome]:
    """Start services, honouring what each comes after.

    A service starts when those it names run and nothing of an earlier phase is on its way (see
    `order`). One whose dependency failed, was skipped or is missing fails with a reason that names
    it, and is not started. When this is cancelled, so are the starts under way, and it waits for
    their end.

    Args:
        items: the services.
        starter: starts one; called in the order of the items, for many at a time.

    Returns:
        What became of each, in the order of the items, once it is known of all.

    Raises:
        CycleError: some wait for each other; nothing was started.
        OrderError: two have one name, or one has the name of a phase; nothing was started.
    """
    order = arrange(items)
    run = _Run(items, order, starter)
    async with asyncio.TaskGroup() as group:
        await run.all(group)
    return {item.key: run.outcomes[item.key] for item in items}


class _Run:
    """One run; all of it belongs to one task.

    Attributes:
        outcomes: key → what became of it, of those of which it is known.
    """

    def __init__(self, items: Sequence[Item], order: Order, starter: Starter) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._items = {item.key: item for item in items}
        self._order = order
        self._starter = starter
        self._phase = 0  # the one that is open
        self._left = Counter(order.phases.values())  # phase → services of unknown outcome
        self._ready: dict[str, list[str]] = {phase: [] for phase in PHASES}  # wait for it alone
        self._waits_for = {item.key: len(item.others) for item in items}  # those not running
        self._dependants: dict[str, list[str]] = {}
        for item in items:
            for name in item.others:
                self._dependants.setdefault(name, []).append(item.key)
        self._ended: asyncio.Queue[tuple[str, asyncio.Task[Outcome]]] = asyncio.Queue()

    async def all(self, group: asyncio.TaskGroup) -> None:
        """Start all; return when the outcome of each is known."""
        self._settle_without_start()
        while True:
            for item in self._startable():
                task = group.create_task(self._start(item), name=f"start {item.key}")
                task.add_done_callback(partial(self._note, item.key))
            if len(self.outcomes) == len(self._items):
                return
            key, task = await self._ended.get()
            if task.cancelled():  # by itself: else this would have been cancelled too
                self._settle(key, failed("its start was cancelled"))
            else:
                self._settle(key, task.result())

    def _settle_without_start(self) -> None:
        """Settle those that are skipped, then those whose dependencies are missing."""
        for item in self._items.values():
            if (outcome := self._skipped(item)) is not None:
                self._record(item.key, outcome)
        self._follow(list(self.outcomes))
        for key, (name, *_) in self._order.missing.items():
            if key not in self.outcomes:
                self._settle(key, self._because_of(name))
        for key, count in self._waits_for.items():
            if not count and key not in self.outcomes:
                self._ready[self._order.phases[key]].append(key)

    def _skipped(self, item: Item) -> Outcome | None:
        """The outcome of a service that is not to be started."""
        try:
            return SKIPPED if self._starter.skip(item) else None
        except Exception as error:  # noqa: BLE001 - a service's fault is its outcome
            _log.error("service.skip_failed", service=item.key, exc_info=True)
            return _raised(error)

    def _startable(self) -> list[Item]:
        """Take what may start now, and open the next phases if nothing is left of this one."""
        found: list[Item] = []
        while True:
            phase = PHASES[self._phase]
            found += [self._items[key] for key in self._ready[phase]]
            self._ready[phase].clear()
            if self._left[phase] or self._phase == len(PHASES) - 1:
                return found
            self._phase += 1

    async def _start(self, item: Item) -> Outcome:
        try:
            return await self._starter.start(item)
        except Exception as error:  # noqa: BLE001 - a service's fault is its outcome
            _log.error("service.start_failed", service=item.key, exc_info=True)
            return _raised(error)

    def _note(self, key: str, task: asyncio.Task[Outcome]) -> None:
        self._ended.put_nowait((key, task))

    def _settle(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome, and what follows from it for those that come after."""
        self._record(key, outcome)
        self._follow([key])

    def _record(self, key: str, outcome: Outcome) -> None:
        self.outcomes[key] = outcome
        self._left[self._order.phases[key]] -= 1

    def _follow(self, settled: Iterable[str]) -> None:
        line = deque(settled)
        while line:
            key = line.popleft()
            for name in self._dependants.get(key, ()):
                if name in self.outcomes:
                    continue
                if self.outcomes[key].standing is Standing.RUNNING:
                    self._free(name)
                else:
                    self._record(name, self._because_of(key))
                    line.append(name)

    def _free(self, key: str) -> None:
        """Count one less that a service waits for."""
        self._waits_for[key] -= 1
        if not self._waits_for[key]:
            self._ready[self._order.phases[key]].append(key)

    def _because_of(self, key: str) -> Outcome:
        """Make the outcome of a service that comes after one that does not run."""
        root = key
        if key in self.outcomes and self.outcomes[key].root:
            root = self.outcomes[key].root
            middle = f"which was not started because {root}"
        else:
            middle = "which"
        # With the root's reason alone, so that reasons do not grow along a chain.
        reason = f"it comes after {key}, {middle} {self._fate(root)}"
        return Outcome(Standing.FAILED, reason, root)

    def _fate(self, key: str) -> str:
        outcome = self.outcomes.get(key)
        if outcome is None:
            return "does not exist"
        what = "was skipped" if outcome.standing is Standing.SKIPPED else "failed"
        return f"{what}: {outcome.reason[:_SHOWN]}" if outcome.reason else what


def _raised(error: Exception) -> Outcome:
    return failed(f"{type(error).__name__}: {error}")
