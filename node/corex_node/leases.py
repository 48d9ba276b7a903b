"""The node's lease and heartbeat: one hash with a TTL, which is both.

* `acquire` takes the lease, or finds out who has it.
* `Heartbeat` renews it from a thread of its own, which a busy event loop does not starve.
* Every write that only the holder may do is checked against it on the server, so an agent that
  was stopped or cut off does no harm when it comes back.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from corex_node.absence import Absence
from corex_node.clock import ServerClock
from corex_shared.errors import LeaseHeldError, StoreError, StoreUnavailableError
from corex_shared.scripts import Call
from corex_shared.version import __version__

_LOOK_AGAIN = 0.5
"""Seconds between two looks at a lease that another holds."""
_RETRY = 0.5
"""Seconds after which a renewal that failed is tried again."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an agent is.

    Attributes:
        node: ID of the node.
        incarnation: this run of the agent.
        host: name of the machine.
        address: of the machine, as others reach it, about.
        boot: the machine's boot and the PID namespace, within which a PID means something.
        pid: of the agent.
        pid_start: when it started, in clock ticks since the boot.
        started: epoch ms.
        groups: that the node belongs to.
        labels: of the node.
    """

    node: str
    incarnation: str
    host: str
    address: str
    boot: str
    pid: int
    pid_start: int
    started: int
    groups: tuple[str, ...]
    labels: dict[str, str]

    @classmethod
    def of_this_process(
        cls, node: str, incarnation: str, groups: tuple[str, ...], labels: dict[str, str]
    ) -> Identity:
        """Make the identity of the agent in this process."""
        pid = os.getpid()
        return cls(
            node,
            incarnation,
            socket.gethostname(),
            _address(),
            _boot(),
            pid,
            pid_start(pid) or 0,
            time.time_ns() // 1_000_000,
            groups,
            labels,
        )


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"


def _address() -> str:
    """Address of the interface that leads out of this machine; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # for documentation only, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def pid_start(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None when there is none.

    Field 22 of /proc/PID/stat, counted behind the name, which may hold anything: proc_pid_stat(5).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Load:
    """What a heartbeat says of the work."""

    slots: int
    running: int
    queued: int


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """What the server says: held by us or not, its time, and who holds the lease instead.

    Attributes:
        held: whether it is ours now.
        server_ms: its time, ms since the epoch.
        fresh: whether nobody held it until now: it had run out, or was never taken.
        holder: incarnation that has it instead, with what it says of itself.
        boot: see `Identity`.
        pid: likewise.
        pid_start: likewise.
        host: likewise.
        address: likewise.
        started: likewise.
        ttl_ms: what is left of its lease.
    """

    held: bool
    server_ms: int
    fresh: bool = False
    holder: str = ""
    boot: str = ""
    pid: int = 0
    pid_start: int = 0
    host: str = ""
    address: str = ""
    started: int = 0
    ttl_ms: int = 0

    def describe_holder(self) -> str:
        """Say who the holder is: its process, its machine and its age."""
        age = max(0, self.server_ms - self.started) // 1000 if self.started else 0
        return (
            f"process {self.pid} on {self.host} ({self.address or 'address unknown'}), "
            f"started {_duration(age)} ago"
        )


def _duration(seconds: int) -> str:
    """Say a time as people do: 45 s, 12 min, 3 h, 5 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


class Renewal(Protocol):
    """Something else that a node holds for a time, and keeps as long as its agent is alive.

    Both methods are called in the heartbeat's thread.
    """

    def calls(self) -> list[Call]:
        """Make the commands that renew it, each harmless to repeat; none when nothing is held."""

    def heard(self, answers: list[Any]) -> None:
        """Take the answers, in order; a refused command has a `StoreRefusedError` in its place."""


class LeaseStore(Protocol):
    """The Redis side of leases; blocking."""

    def lease(self, fields: dict[str, str | int], ttl_ms: int, replaces: str) -> LeaseAnswer:
        """Take or renew the lease."""

    def seen(self, server_ms: int) -> None:
        """Note in the list of all nodes when this one was seen last."""

    def renew(self, calls: list[Call]) -> list[Any]:
        """Run the commands of renewals."""

    def unlease(self) -> None:
        """Give the lease back."""


class Heartbeat:
    """Holds the lease of a node.

    Attributes:
        quiet: whether the node takes no more commands; told with every beat.
        renewals: of what else the node holds; renewed with the lease, after it.
        on_lost: hears that another agent has the lease.
        on_lapsed: hears that the lease has run out, since it could not be renewed.
        on_regained: hears that the lease was taken again after nobody had held it.
        on_returned: hears, after `on_lapsed`, that the lease is held again.
        on_failed: hears of an error that nobody has foreseen: the lease is not renewed any more.

    The five are called in the heartbeat's thread.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: Identity,
        clock: ServerClock,
        ttl: float,
        every: float,
    ) -> None:
        """Prepare; times in seconds."""
        self._store = store
        self._identity = identity
        self._clock = clock
        self._ttl_ms = int(ttl * 1000)
        self._every = every
        self._stopped = False
        self._wake = threading.Event()
        self._absence = Absence("heartbeat")
        self._held_until = 0.0  # monotonic; when the lease runs out unless it is renewed
        self._told_lapsed = False
        self._thread: threading.Thread | None = None
        self.quiet = False
        self.renewals: list[Renewal] = []
        self.load: Callable[[], Load] = lambda: Load(0, 0, 0)
        self.on_lost: Callable[[], object] = lambda: None
        self.on_lapsed: Callable[[], object] = lambda: None
        self.on_regained: Callable[[], object] = lambda: None
        self.on_returned: Callable[[], object] = lambda: None
        self.on_failed: Callable[[Exception], object] = lambda error: None

    def holds(self) -> bool:
        """Whether the lease is held for certain: by our clock it has not run out."""
        return time.monotonic() < self._held_until

    async def acquire(self) -> int:
        """Take the lease; wait for one that a predecessor, now gone, has not given back.

        Returns:
            The server's time in ms since the epoch.

        Raises:
            LeaseHeldError: another agent is alive and serves the node.
            StoreError: Redis cannot be reached.
        """
        replaces, seen = "", None
        while True:
            answer = await asyncio.to_thread(self._renew, replaces)
            if answer.held:
                return answer.server_ms
            if self._is_gone(answer):
                replaces = answer.holder
                continue
            expires = answer.server_ms + answer.ttl_ms
            if seen is None:
                seen = (answer.holder, expires)
                _log.warning("lease.held", by=answer.holder, pid=answer.pid, host=answer.host)
            # Two looks at one key differ by a few ms; a renewal is later by seconds.
            elif answer.holder != seen[0] or expires > seen[1] + 1000:
                raise LeaseHeldError(
                    f"node {self._identity.node} is served by another agent: "
                    f"{answer.describe_holder()}"
                )
            await asyncio.sleep(_LOOK_AGAIN)

    def start(self) -> None:
        """Begin to renew the lease."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing, and give the lease back if Redis can be reached; blocks."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self._store.unlease()
        except StoreError as error:
            _log.warning("lease.kept", reason=str(error))

    def beat_now(self) -> None:
        """Renew at once; may be called from any thread."""
        self._wake.set()

    def _run(self) -> None:
        try:
            self._beat()
        except Exception as error:  # noqa: BLE001 - it is logged, and ends the agent
            _log.critical("heartbeat.failed", exc_info=True)
            self.on_failed(error)

    def _beat(self) -> None:
        pause = self._every
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._stopped:
                return
            try:
                answer = self._renew("")
                self._absence.back()
                pause = self._every
            except StoreUnavailableError as error:
                self._absence.away(str(error))
                pause = min(_RETRY, self._every)
                self._look_at_the_clock(self._held_until)
                continue
            except StoreError as error:
                self._absence.back()
                _log.error("heartbeat.refused", reason=str(error))
                pause = self._every
                continue
            if not answer.held:
                _log.error("lease.lost", to=answer.holder, host=answer.host)
                self.on_lost()
                return

    def _regain(self, held_until: float) -> None:
        """The lease was taken after nobody had held it.

        An agent that was stopped hears only now that it has run out. (A lease that the server has
        lost before its time had not.)
        """
        self._look_at_the_clock(held_until)
        _log.warning("lease.regained")
        self.on_regained()

    def _look_at_the_clock(self, held_until: float) -> None:
        """Tell once that the lease has run out."""
        if time.monotonic() > held_until and not self._told_lapsed:
            self._told_lapsed = True
            _log.error("lease.lapsed")
            self.on_lapsed()

    def _renew(self, replaces: str) -> LeaseAnswer:
        asked = time.monotonic()
        answer = self._store.lease(self._fields(), self._ttl_ms, replaces)
        self._clock.heard(answer.server_ms)
        if answer.held:
            held_until, self._held_until = self._held_until, asked + self._ttl_ms / 1000
            if answer.fresh and self._thread is not None:  # at once: the next steps may fail
                self._regain(held_until)
            if self._told_lapsed:
                self._told_lapsed = False
                self.on_returned()
            self._renew_others()
            self._store.seen(answer.server_ms)
        return answer

    def _renew_others(self) -> None:
        asked = [(renewal, renewal.calls()) for renewal in list(self.renewals)]
        calls = [call for _, calls in asked for call in calls]
        answers = self._store.renew(calls) if calls else []
        for renewal, calls in asked:
            if calls:
                renewal.heard(answers[: len(calls)])
                del answers[: len(calls)]

    def _fields(self) -> dict[str, str | int]:
        who, load = self._identity, self.load()
        return {
            "version": __version__,
            "host": who.host,
            "addr": who.address,
            "boot": who.boot,
            "pid": who.pid,
            "pid_start": who.pid_start,
            "started": who.started,
            "groups": json.dumps(who.groups),
            "labels": json.dumps(who.labels),
            "load": f"{os.getloadavg()[0]:.2f}",
            "slots": load.slots,
            "running": load.running,
            "queued": load.queued,
            "quiet": int(self.quiet),
            "lease_ms": self._ttl_ms,
            "heartbeat_ms": int(self._every * 1000),
        }

    def _is_gone(self, answer: LeaseAnswer) -> bool:
        """Whether the holder was a process of this machine and is no more."""
        if answer.boot != self._identity.boot:
            return False
        return pid_start(answer.pid) != answer.pid_start
