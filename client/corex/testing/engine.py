"""What moves nodes in memory: takes commands off their lists, runs them, writes what they come to.

One thread of a fleet takes and admits commands, runs what takes no time, and keeps the time. What
takes time has a thread of its own. One lock guards all of it.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from corex.testing.answers import FOREVER, Answer, Outcome, of_state
from corex.testing.job import MemoryJob
from corex.testing.node import MemoryNode
from corex.testing.store import Store, now_ms
from corex_shared import codec
from corex_shared.errors import DecodeError
from corex_shared.finishing import Finish
from corex_shared.models import Command, JobResult, Message
from corex_shared.scripts import Step
from corex_shared.states import CODES, JobState, Stage

_log = logging.getLogger("corex.testing")

_BATCH = 500
"""Commands taken at once."""
_RESTART = 0.02
"""Seconds between two runs of a job that failed: tests do not wait as long as nodes do."""
_IGNORED = frozenset({17, 18, 19, 20, 21, 22, 23, 28})
"""Signals of which a process that does not care does not die: CHLD, CONT, STOP … WINCH."""
_IN_USE = "id: it is in use or has a result"
_SHOWN_OF_PAYLOAD = 4096


class _Inbound(Struct):
    """A payload on its way to be a job; `command` is None for one that cannot be read."""

    node: MemoryNode
    payload: bytes
    claim: str
    job_id: str | None
    reply_to: str | None
    encoding: codec.Encoding
    command: Command | None = None
    error: DecodeError | None = None
    refusal: Outcome | None = None


class Engine:
    """Moves the nodes of one fleet, from `start` to `close`.

    Attributes:
        lock: guards nodes and jobs.
        nodes: by ID.
        lines: who holds and who waits for each queue, in order.
    """

    def __init__(self, store: Store) -> None:
        """Prepare; nothing is moved yet."""
        self.lock = threading.RLock()
        self.nodes: dict[str, MemoryNode] = {}
        self.lines: dict[tuple[str, str], list[MemoryJob]] = {}
        self._store = store
        self._keys = store.keys
        self._wake_key = store.keys.inbox("corex-testing")  # nobody else's
        self._claims = itertools.count(1)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._groups_turn = itertools.count()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corex-testing", daemon=True)

    def start(self) -> None:
        """Begin to move."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what runs is left, and nobody hears of it any more."""
        with self.lock:
            self._closed.set()
            for node in self.nodes.values():
                for job in node.jobs.values():
                    job.end()
        self._store.run([("RPUSH", self._wake_key, "1")])
        self._thread.join()
        self._store.close()

    def wake(self) -> None:
        """Have the thread look again at which lists it may take from."""
        if threading.current_thread() is not self._thread and not self._closed.is_set():
            self._store.run([("RPUSH", self._wake_key, "1")])

    # -- nodes --------------------------------------------------------------------------------

    def show(self, *nodes: MemoryNode) -> None:
        """Write the heartbeats of nodes."""
        steps: list[Step] = [call for node in nodes for call in self._store.appear(node)]
        if steps:
            self._store.run(steps)

    def hide(self, node: MemoryNode) -> None:
        """Take away what says that a node is there."""
        self._store.run(self._store.vanish(node))

    def stop_node(self, node: MemoryNode) -> None:
        """End all that a node runs, as an agent does that is stopped; what waits is given back."""
        for job in list(node.jobs.values()):
            if job.stage is Stage.RUNNING:
                self.kill(job, 15)

    def break_off(self, node: MemoryNode, *, settled: bool) -> None:
        """Have a node know nothing any more of what it runs.

        Args:
            node: that dies.
            settled: whether what ran is lost at once, or when the node comes back.
        """
        by = next((one.id for one in self.nodes.values() if one.alive and one is not node), node.id)
        why = f"its node went away while it ran (settled by node {by})"
        for job in list(node.jobs.values()):
            was_running = job.stage is Stage.RUNNING
            job.end()
            if settled and was_running and job.command.on_lost != "retry":
                self._finish([(job, of_state(JobState.LOST, why))])

    def recover(self, node: MemoryNode) -> None:
        """Settle what a node ran when it died, and go on with what waited."""
        jobs = list(node.jobs.values())
        if jobs:
            held = [(job.id, job.claim, job.stage) for job in jobs]
            self._store.accept(node, held, fresh=False)
        for job in jobs:
            lost = job.stage is Stage.RUNNING and job.command.on_lost != "retry"
            if lost:
                self._finish([(job, of_state(JobState.LOST, "the agent died while it ran"))])
                continue
            job.stage = Stage.WAITING
            outcome = self._start_if_first(job)
            if outcome is not None:
                self._finish([(job, outcome)])

    # -- jobs ---------------------------------------------------------------------------------

    def kill(self, job: MemoryJob, signal: int) -> None:
        """Send a signal to a job, and end it if it dies of that."""
        with self.lock:
            job.signals.append(signal)
            job.unscheduled = True
            if signal in _IGNORED or job.node.jobs.get(job.id) is not job:
                return
            dies_of = 9 if signal == 15 and job.command.grace == 0 else signal
            self._conclude(job, job.judge(JobState.KILLED, CODES[JobState.KILLED], dies_of))

    def unschedule(self, job: MemoryJob) -> None:
        """Have no further run of a job follow."""
        with self.lock:
            job.unscheduled = True
            if job.last_outcome is not None and job.stage is Stage.WAITING:
                self._finish([(job, job.last_outcome)])

    def publish(self, node: MemoryNode, job: MemoryJob, messages: list[Message]) -> None:
        """Write messages where they are read."""
        steps: list[Step] = []
        packed = [(one.seq, one.level, codec.encode(one, job.encoding)) for one in messages]
        if job.command.stream and packed:
            steps.append(self._store.emit(node, job.id, [(seq, data) for seq, _, data in packed]))
        log = self._keys.node_log(node.id)
        steps += [("PUBLISH", log, data) for _, level, data in packed if level in job.levels]
        if steps:
            self._store.run(steps)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed.is_set():
            with self.lock:
                keys = self._open_lists()
                seconds = self._timers[0][0] - time.monotonic() if self._timers else 1.0
            taken = self._store.take(keys, seconds)
            with self.lock:
                if self._closed.is_set():
                    return
                try:
                    if taken is not None:
                        self._take(*taken)
                    self._fire()
                except Exception:  # noqa: BLE001 - a test may write junk to keys; others go on
                    _log.exception("what was taken from %s was not served", taken and taken[0])

    def _open_lists(self) -> list[str]:
        """The lists from which a command may be taken: the most urgent first."""
        alive = [node for node in self.nodes.values() if node.alive and not node.paused]
        free = [node for node in alive if node.room]
        groups = {group: None for node in free for group in node.groups}
        return [
            self._wake_key,
            *(self._keys.control(node.id) for node in alive),
            *(self._keys.commands(node.id) for node in free),
            *(self._keys.group_commands(group) for group in groups),
        ]

    def _take(self, key: str, payloads: list[bytes]) -> None:
        """Take what a list has, as much as there is room for."""
        if key == self._wake_key:
            self._store.take_more(key, _BATCH)
            return
        node, room = self._taker(key)
        if node is None:  # it has gone away meanwhile: the command waits
            self._store.run([("LPUSH", key, *payloads)])
            return
        payloads += self._store.take_more(key, min(room, _BATCH) - 1)
        self._admit([self._read(node, payload) for payload in payloads])

    def _taker(self, key: str) -> tuple[MemoryNode | None, int]:
        """Find who takes commands off a list, and how many."""
        for node in self.nodes.values():
            if not node.alive or node.paused:
                continue
            if key == self._keys.control(node.id):
                return node, _BATCH
            if key == self._keys.commands(node.id) and node.room:
                return node, node.room
        members = [
            node
            for node in self.nodes.values()
            if node.room and key in map(self._keys.group_commands, node.groups)
        ]
        if not members:
            return None, 0
        return members[next(self._groups_turn) % len(members)], 1

    def _read(self, node: MemoryNode, payload: bytes) -> _Inbound:
        claim = f"{node.id}/{next(self._claims)}"
        try:
            command, encoding = codec.decode_command(payload)
        except DecodeError as error:
            job_id, reply_to = codec.peek_reply(payload)
            try:
                encoding = codec.encoding_of(payload)
            except DecodeError:
                encoding = codec.Encoding.JSON
            return _Inbound(node, payload, claim, job_id, reply_to, encoding, error=error)
        refusal = self._refuse(node, command)
        return _Inbound(
            node,
            payload,
            claim,
            command.job_id,
            command.reply_to,
            encoding,
            command,
            refusal=refusal,
        )

    def _refuse(self, node: MemoryNode, command: Command) -> Outcome | None:
        """Tell why a command is not run; None when it is."""
        if not node.knows(command.command):
            return of_state(JobState.UNKNOWN_CMD, f"no such command: {command.command}")
        if command.queue_scope == "fleet" and command.queue is None:
            return of_state(JobState.REJECTED, "queue_scope: fleet needs a queue", 400)
        if command.expires_at is not None and command.expires_at <= now_ms():
            return _expired()
        return None

    def _admit(self, batch: Sequence[_Inbound]) -> None:
        """Make jobs of payloads, all of one node; settle what becomes of the others."""
        node = batch[0].node
        named = [item for item in batch if item.job_id is not None]
        free: dict[int, bool] = {}
        if named:
            wanted = [(item.job_id or "", item.claim, Stage.CLAIMED) for item in named]
            free = dict(zip(map(id, named), self._store.accept(node, wanted), strict=True))
        rejected: list[str] = []
        ends: list[tuple[MemoryJob, Outcome]] = []
        for item in batch:
            if item.error is not None:
                rejected.append(_entry(item, item.error.field, str(item.error), 400))
            if item.job_id is None:
                continue
            if not free[id(item)]:
                rejected.append(_entry(item, "id", _IN_USE, 409))
                self._tell_duplicate(item)
                continue
            ends += self._place(item)
        if rejected:
            self._store.run(self._store.reject(node, rejected))
        self._finish(ends)
        self.show(node)

    def _place(self, item: _Inbound) -> list[tuple[MemoryJob, Outcome]]:
        """Make a job of a payload whose ID is free; return its end if it has come to that."""
        command = item.command or Command("", id=item.job_id, reply_to=item.reply_to)
        job = MemoryJob(item.node, command, item.encoding, item.claim)
        job.payload = item.payload
        if item.error is not None:
            return [(job, of_state(JobState.REJECTED, str(item.error), 400))]
        if item.refusal is not None:
            return [(job, item.refusal)]
        node = item.node
        if not node.is_builtin(command.command):
            node.commands.append(command)
        node.jobs[job.id] = job
        job.stage = Stage.WAITING
        if job.queue is not None:
            self.lines.setdefault(job.queue, []).append(job)
        outcome = self._start_if_first(job)
        return [] if outcome is None else [(job, outcome)]

    def _start_if_first(self, job: MemoryJob) -> Outcome | None:
        """Start a job, unless another holds its queue; return what it came to if it was quick."""
        line = self.lines.get(job.queue) if job.queue is not None else None
        if line and line[0] is not job:
            self._note(job, Stage.WAITING)
            return None
        return self._start(job)

    def _start(self, job: MemoryJob) -> Outcome | None:
        node, command = job.node, job.command
        if not job.runs and command.expires_at is not None and command.expires_at <= now_ms():
            return _expired()
        job.answer = node.find_answer(command)
        job.begin()
        run, answer = job.runs, job.answer
        canned = answer if isinstance(answer, Answer) else None
        if canned is not None:
            job.put_output(canned)  # before anybody sees that it runs
        if job.answer is None or node.is_builtin(command.command) or (canned and not canned.delay):
            outcome = canned.outcome if canned else job.execute()
            job.end()
            return self._after_run(job, outcome)
        self._note(job, Stage.RUNNING)
        if command.max_time:
            self._later(command.max_time, lambda: self._time_up(job, run))
        if canned is not None:
            ending = canned.outcome
            if canned.delay < FOREVER:
                self._later(canned.delay, lambda: self._run_over(job, run, ending))
            return None
        name = f"corex-testing-{job.id}"
        threading.Thread(target=self._execute, args=(job, run), name=name, daemon=True).start()
        return None

    def _note(self, job: MemoryJob, stage: Stage) -> None:
        """Write where a job stands, and that its node has it."""
        job.stage = stage
        fields = [(job.id, job.claim, stage, job.payload)]
        self._store.run(
            [self._store.claimed(job.node, fields), self._store.mark(job.node, job.id, stage)]
        )

    def _execute(self, job: MemoryJob, run: int) -> None:
        """Do a run that takes time: in a thread of its own."""
        outcome = job.execute()
        with self.lock:
            if self._is_at(job, run) and not job.ended:
                self._conclude(job, outcome)

    def _run_over(self, job: MemoryJob, run: int, outcome: Outcome) -> None:
        if self._is_at(job, run):
            self._conclude(job, outcome)

    def _is_at(self, job: MemoryJob, run: int) -> bool:
        """Whether a run of a job is under way, and its node knows of it."""
        known = job.node.jobs.get(job.id) is job and job.node.alive
        return (
            known and job.runs == run and job.stage is Stage.RUNNING and not self._closed.is_set()
        )

    def _time_up(self, job: MemoryJob, run: int) -> None:
        if self._is_at(job, run):
            signal = 9 if job.command.grace == 0 else 15
            self._conclude(job, job.judge(JobState.TIMEOUT, CODES[JobState.TIMEOUT], signal))

    def _conclude(self, job: MemoryJob, outcome: Outcome) -> None:
        """Take the end of a run, in whatever thread."""
        job.end()
        final = self._after_run(job, outcome)
        if final is not None:
            self._finish([(job, final)])
        self.show(job.node)
        self.wake()  # there is room for another

    def _after_run(self, job: MemoryJob, outcome: Outcome) -> Outcome | None:
        """Decide whether a further run follows; return the outcome if none does."""
        command = job.command
        job.last_outcome = outcome
        if job.unscheduled:
            return outcome
        if command.recurring_period:
            pause = command.recurring_period
        else:
            job.failed_runs += not outcome.ok
            if outcome.ok or job.failed_runs >= (command.max_restart or 1):
                return outcome
            pause = _RESTART
        self._note(job, Stage.WAITING)
        run = job.runs
        self._later(pause, lambda: self._run_again(job, run))
        return None

    def _run_again(self, job: MemoryJob, run: int) -> None:
        due = job.stage is Stage.WAITING and job.runs == run and job.node.alive
        if due and job.node.jobs.get(job.id) is job:
            outcome = self._start(job)
            if outcome is not None:
                self._finish([(job, outcome)])

    def _finish(self, ends: Sequence[tuple[MemoryJob, Outcome]]) -> None:
        """Write the ends of jobs; start those that waited for their queues."""
        while ends:
            by_node: dict[MemoryNode, list[Finish]] = {}
            for job, outcome in ends:
                by_node.setdefault(job.node, []).append(job.finish(outcome))
                job.node.jobs.pop(job.id, None)
            for node, finishes in by_node.items():
                self._store.finish(node, finishes)
            ends = [next_end for job, _ in ends for next_end in self._hand_on(job)]

    def _hand_on(self, job: MemoryJob) -> list[tuple[MemoryJob, Outcome]]:
        """Give a job's queue to the next; return its end if it has come to that already."""
        line = self.lines.get(job.queue) if job.queue is not None else None
        if not line or job not in line:
            return []
        held = line[0] is job
        line.remove(job)
        if not held or not line or not line[0].node.alive:
            return []
        outcome = self._start(line[0])
        return [] if outcome is None else [(line[0], outcome)]

    def _tell_duplicate(self, item: _Inbound) -> None:
        """Tell the sender of a second command with an ID, and nobody else."""
        if not item.reply_to:
            return
        why = of_state(JobState.DUPLICATE_ID, _IN_USE)
        command = item.command or Command("")
        result = JobResult(
            id=item.job_id or "",
            command=command.command,
            node=item.node.id,
            state=why.state,
            code=why.code,
            data=why.data,
            level=why.level,
            tags=command.tags or [],
        )
        self._store.run([self._store.tell(item.reply_to, codec.encode(result, item.encoding))])

    # -- time ---------------------------------------------------------------------------------

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._timer_numbers), action))
        self.wake()

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()


def _expired() -> Outcome:
    return of_state(JobState.EXPIRED, "expires_at was over before it could start")


def _entry(item: _Inbound, field: str, reason: str, code: int) -> str:
    """Write an entry of the rejected list."""
    shown = item.payload[:_SHOWN_OF_PAYLOAD].decode("utf-8", "backslashreplace")
    entry = {
        "time": now_ms(),
        "field": field,
        "reason": reason,
        "code": code,
        "size": len(item.payload),
        "payload": shown,
    }
    if item.job_id:
        entry["id"] = item.job_id
    return json.dumps(entry, ensure_ascii=False)
