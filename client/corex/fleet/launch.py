"""Beginning a run, and picking one up that somebody else has begun."""

from __future__ import annotations

from typing import TypedDict

import msgspec
from msgspec import Struct, field

from corex.core import STREAM_TIMEOUT, Core, checked_timeout
from corex.effects import Plan, Run
from corex.fleet.driver import Driver
from corex.fleet.jobs import RunJobs
from corex.fleet.outcome import UNREACHABLE, Outcome
from corex.fleet.progress import Progress, ServerTime
from corex.fleet.record import MOST_NODES, Mark, RunRecord, decode_record
from corex.fleet.schedule import Bounds
from corex.fleet.targeting import Selection, choose
from corex_shared.errors import ConfigError, NoSuchRunError, StoreRefusedError
from corex_shared.identifiers import check_id, new_id
from corex_shared.models import Command

_LONGEST_ID = 120
"""Characters of a run's ID: those of its jobs are longer."""


class RunOptions(TypedDict, total=False):
    """Options of a run; None means the same as leaving it out.

    Attributes:
        batch: how many nodes run at once.
        canary: how many nodes, the first ones, run alone; the others only if all succeeded.
        max_failures: how many nodes may fail, exactly; then nothing more is started.
        timeout: seconds that the run may take (an hour); then what runs is killed.
    """

    batch: int | None
    canary: int | None
    max_failures: int | None
    timeout: float | None


class Order(Struct, frozen=True):
    """A run that is to begin.

    Attributes:
        command: what its nodes run; its ID, if it has one, is the run's.
        bounds: of the run.
        timeout: seconds that it may take.
    """

    command: Command
    bounds: Bounds
    timeout: float


class Known(Struct):
    """What a client knows of a run when it begins to wait for it.

    Attributes:
        record: of the run.
        time: the server's.
        marks: of nodes that this client has started.
        outcomes: of nodes that need not be waited for.
        pushed: nodes whose commands this client has pushed.
    """

    record: RunRecord
    time: ServerTime
    marks: dict[int, Mark] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    pushed: set[int] = field(default_factory=set)


def make_order(command: Command, options: RunOptions) -> Order:
    """Check the options of a run.

    Raises:
        ConfigError: one is wrong; the error names it.
        ValueError: the timeout is not a number of seconds, 0 or more.
        TypeError: there is no such option.
        InvalidIdError: no run can have that ID.
    """
    unknown = options.keys() - RunOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    if command.id is not None and len(check_id("run", command.id)) > _LONGEST_ID:
        raise ConfigError("fleet", "id", f"the ID of a run has at most {_LONGEST_ID} characters")
    timeout = options.get("timeout")
    return Order(
        command,
        Bounds(options.get("batch"), options.get("canary"), options.get("max_failures")),
        checked_timeout(STREAM_TIMEOUT if timeout is None else timeout),
    )


def begin(core: Core, selection: Selection, order: Order, holder: str) -> Plan[Known]:
    """Find the nodes of a run, record it, and start as many of them as may run now.

    Args:
        core: the client's surroundings.
        selection: of nodes.
        order: what they run.
        holder: a name that nobody else has.

    Raises:
        NoSuchNodeError: a target names nothing, or a node that was never seen; nothing was pushed.
        DecodeError: a field of the command is wrong; the error names it, and nothing was pushed.
        ConflictError: there is a run of that ID.
        StoreError: Redis cannot be reached; says whether the run may have begun.
    """
    chosen = yield from choose(core, selection)
    if len(chosen) > MOST_NODES:
        raise ConfigError("fleet", "", f"{len(chosen)} nodes; a run has at most {MOST_NODES}")
    ((seconds, micros),) = yield Run([("TIME",)])
    now = int(seconds) * 1000 + int(micros) // 1000
    bounds = order.bounds
    record = RunRecord(
        id=order.command.id or new_id(),
        command=msgspec.structs.replace(order.command, id=None),
        nodes=tuple(target.name for target in chosen),
        encoding=core.encoding.value,
        timeout=order.timeout,
        started=now,
        by=core.client_id,
        batch=bounds.batch,
        canary=bounds.canary,
        max_failures=bounds.max_failures,
    )
    RunJobs(core, record).ticket(0, Mark(core.client_id, now))  # sees whether it can be sent
    progress, time = Progress(record), ServerTime(core.clock, now)
    driver = Driver(core, progress, time, holder)
    for index, target in enumerate(chosen):
        # Nothing is started there; but no more fail than may.
        if not target.alive and not progress.schedule.stopped:
            why = "it was away when the run began"
            away = Outcome(target.name, UNREACHABLE, last_seen=target.last_seen, reason=why)
            driver.settle(index, away)
    yield from driver.begin()
    return Known(record, time, progress.marks, progress.outcomes, progress.pushed)


def pick_up(core: Core, run: str) -> Plan[Known]:
    """Read what a run is that somebody has begun.

    Raises:
        InvalidIdError: no run can have that ID.
        NoSuchRunError: there is none.
        DecodeError: what is there is no record of it.
        StoreRefusedError: what is there is of another type.
    """
    key = core.keys.run_record(check_id("run", run))
    try:
        payload, (seconds, micros) = yield Run([("GET", key), ("TIME",)])
    except StoreRefusedError as error:
        raise type(error)(f"record of run {run}: {error}") from error
    if payload is None:
        raise NoSuchRunError(f"no such run: {run}")
    now = int(seconds) * 1000 + int(micros) // 1000
    return Known(decode_record(run, payload), ServerTime(core.clock, now))
