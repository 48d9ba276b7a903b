"""Hundreds of nodes in one process: they speak the plain wire, over one connection.

They are announced and renewed as nodes are, take commands off their lists, make jobs of them and
write results with the scripts that agents use. What a job does is in its arguments:

- `seconds`: how long it runs; `seconds_of`: the same for some nodes, by name;
- `output`: what it writes to stdout;
- `fail`: names of nodes on which it fails;
- `ignore`: names of nodes that take the command and never answer.

`job.kill` ends a job. What was seen here, by nobody but these nodes, is in the hash
`<namespace>:simulated`: for each job how often it began, and under `peak:<run>` how many jobs of a
run (`<run>.<number>`) ran at once at most.
"""

from __future__ import annotations

import heapq
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from corex_shared.codec import decode_command, encode, encode_data
from corex_shared.connection import Endpoint, execute
from corex_shared.errors import StoreUnavailableError
from corex_shared.finishing import Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.models import Command, JobResult
from corex_shared.scripts import Call, script
from corex_shared.states import CODES, JobState, Level
from tests.helpers.eventually import eventually

LEASE = 4.0
"""Seconds for which a node is taken to be there."""
INCARNATION = "simulated"
_PAUSE = 0.05


@dataclass(slots=True)
class _Job:
    """A job that runs."""

    node: str
    command: Command
    encoding: Any
    began: float
    claim: str


class SimulatedNodes:
    """Plays the nodes until it is ended."""

    def __init__(self, url: str, namespace: str, names: list[str]) -> None:
        """Play nodes of these names; odd ones have the label zone=a, even ones zone=b."""
        self._keys = Keys(namespace)
        self._names = names
        endpoint = Endpoint(url)
        self._client = endpoint.command()
        self._blocking = endpoint.blocking(1.0)
        self._lists: dict[str, tuple[str, bool]] = {}
        for name in names:
            self._lists[self._keys.control(name)] = (name, True)
        for name in names:
            self._lists[self._keys.commands(name)] = (name, False)
        self._jobs: dict[str, _Job] = {}
        self._due: list[tuple[float, str]] = []
        self._numbers = itertools.count()
        self._peaks: dict[str, int] = {}
        self._renew_at = 0.0

    def run(self) -> None:
        """Play on."""
        while True:
            try:
                self._renew()
                self._take()
                self._finish_due()
            except StoreUnavailableError:
                time.sleep(0.1)

    def _renew(self) -> None:
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + LEASE / 4
        seen = time.time_ns() // 1_000_000
        calls: list[Call] = []
        for at, name in enumerate(self._names):
            key, zone = self._keys.presence(name), "ab"[at % 2]
            labels = f'{{"zone":"{zone}"}}'
            calls.append(("HSET", key, "incarnation", INCARNATION, "labels", labels, "slots", 9))
            calls.append(("PEXPIRE", key, int(LEASE * 1000)))
        pairs = [part for name in self._names for part in (seen, name)]
        execute(self._client, [*calls, ("ZADD", self._keys.nodes(), *pairs)])

    def _take(self) -> None:
        pause = max(0.01, min(_PAUSE, (self._due[0][0] - time.monotonic()) if self._due else 1))
        (first,) = execute(self._blocking, [("BLPOP", *self._lists, f"{pause:.3f}")])
        if first is None:
            return
        taken = [(first[0].decode(), [first[1]])]
        keys = list(self._lists)
        answers = execute(self._client, [("LPOP", key, 100) for key in keys])
        taken += [(key, found) for key, found in zip(keys, answers, strict=True) if found]
        begun: list[tuple[str, bytes]] = []
        for key, payloads in taken:
            name, is_control = self._lists[key]
            for payload in payloads:
                if is_control:
                    self._kill(name, payload)
                else:
                    begun.append((name, payload))
        self._begin(begun)

    def _begin(self, payloads: Iterable[tuple[str, bytes]]) -> None:
        jobs = []
        for name, payload in payloads:
            command, encoding = decode_command(payload)
            claim = f"{name}/{next(self._numbers)}"
            jobs.append(_Job(name, command, encoding, time.monotonic(), claim))
        if not jobs:
            return
        keys, calls = self._keys, list[Call]()
        for job in jobs:
            names = [keys.state(job.command.job_id), keys.result(job.command.job_id)]
            calls.append(
                script("accept").call(names, [INCARNATION, job.node, job.claim, "running", "1"])
            )
        for job, (answer,) in zip(jobs, execute(self._client, calls), strict=True):
            if answer == 1:
                self._launch(job)
        counts: list[Call] = [
            ("HINCRBY", f"{keys.namespace}:simulated", job.command.job_id, 1) for job in jobs
        ]
        running = Counter(_run_of(job) for job in self._jobs)
        for run in {_run_of(job.command.job_id) for job in jobs}:
            self._peaks[run] = max(self._peaks.get(run, 0), running[run])
            peak = ("HSET", f"{keys.namespace}:simulated", f"peak:{run}", self._peaks[run])
            counts.append(peak)
        execute(self._client, counts)

    def _launch(self, job: _Job) -> None:
        arguments = job.command.arguments or {}
        self._jobs[job.command.job_id] = job
        if job.node not in arguments.get("ignore", ()):
            seconds = arguments.get("seconds_of", {}).get(job.node, arguments.get("seconds", 0))
            heapq.heappush(self._due, (job.began + seconds, job.command.job_id))

    def _kill(self, name: str, payload: bytes) -> None:
        command, encoding = decode_command(payload)
        job = str((command.arguments or {}).get("id"))
        known = job in self._jobs and job not in (self._jobs[job].command.arguments or {}).get(
            "ignore", ()
        )
        asked = _Job(name, command, encoding, time.monotonic(), "")
        ends = [self._end(asked, JobState.SUCCESS, data=encode_data(known), level=Level.JSON)]
        if known and name not in (self._jobs[job].command.arguments or {}).get("ignore", ()):
            ends.append(self._end(self._jobs.pop(job), JobState.KILLED))
        execute(self._client, [self._call(end) for end in ends])

    def _finish_due(self) -> None:
        now, ends = time.monotonic(), []
        while self._due and self._due[0][0] <= now:
            job = self._jobs.pop(heapq.heappop(self._due)[1], None)
            if job is not None:
                arguments = job.command.arguments or {}
                failed = job.node in arguments.get("fail", ())
                state = JobState.ERROR if failed else JobState.SUCCESS
                output = str(arguments.get("output", ""))
                ends.append(self._end(job, state, streams=(output, "")))
        execute(self._client, [self._call(end) for end in ends])

    def _end(self, job: _Job, state: JobState, **fields: Any) -> tuple[_Job, JobResult]:
        code = CODES.get(state, 1003)
        command = job.command
        return job, JobResult(command.job_id, command.command, job.node, state, code, **fields)

    def _call(self, end: tuple[_Job, JobResult]) -> Any:
        job, result = end
        payload = encode(result, job.encoding)
        finish = Finish(
            result.id, payload, result.state.value, reply_to=job.command.reply_to, hint=payload
        )
        return finish_call(self._keys, job.node, INCARNATION, 60_000, [finish])


def _run_of(job: str) -> str:
    return job.rpartition(".")[0]


class Seen:
    """What the simulated nodes of a namespace saw."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        """Look by a client whose answers are bytes."""
        self._redis: Any = client
        self._key = f"{namespace}:simulated"

    def peak(self, run: str) -> int:
        """Most jobs of a run that ran at once."""
        return int(self._redis.hget(self._key, f"peak:{run}") or 0)

    def begun(self, run: str) -> dict[str, int]:
        """How often each job of a run began."""
        found = self._redis.hgetall(self._key)
        counts = {name.decode(): int(count) for name, count in found.items()}
        return {job: count for job, count in counts.items() if _run_of(job) == run}


@contextmanager
def simulated_nodes(url: str, namespace: str, count: int) -> Iterator[list[str]]:
    """Have nodes `s0`, `s1` … for the time of a test, in a process of their own.

    Yields:
        Their names, when all are there.
    """
    names = [f"s{number}" for number in range(count)]
    command = [sys.executable, "-m", "tests.helpers.simulated", url, namespace, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    client = Endpoint(url).command()

    def all_there() -> bool:
        assert process.poll() is None
        return bool(execute(client, [("ZCARD", Keys(namespace).nodes())])[0] >= count)

    try:
        eventually(all_there, f"{count} simulated nodes", seconds=20)
        yield names
    finally:
        client.close()
        process.kill()
        process.wait()


def main() -> None:
    """Play nodes until the process is ended."""
    url, namespace, count = sys.argv[1:]
    SimulatedNodes(url, namespace, [f"s{number}" for number in range(int(count))]).run()


if __name__ == "__main__":
    main()
