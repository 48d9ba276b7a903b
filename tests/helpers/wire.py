"""The plain way to a node, as any language has it: lists, payloads, channels."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgpack
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually

T = TypeVar("T")

Pairs = dict[str, Any]
WAIT = 20.0
"""Seconds within which a result is expected."""
_PIPELINE = 500


def read(payload: bytes) -> Pairs:
    """Read a payload, JSON or MessagePack by its first byte."""
    value = json.loads(payload) if payload[:1] == b"{" else msgpack.unpackb(payload)
    assert isinstance(value, dict)
    return value


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), _PIPELINE):
        yield items[at : at + _PIPELINE]


class Wire:
    """Speaks with the nodes of one namespace by bare Redis commands.

    Attributes:
        redis: the connection, for whatever has no method here.
        keys: of the namespace.
        node: that commands go to unless another is named.
    """

    def __init__(self, client: redis.Redis, keys: Keys, node: str) -> None:
        """Speak over a client whose answers are bytes."""
        self.redis: Any = client
        self.keys = keys
        self.node = node
        self._numbers = itertools.count(1)
        self._prefix = uuid.uuid4().hex[:8]

    def new_id(self) -> str:
        """Make a job ID that sorts after those made before."""
        return f"{self._prefix}-{next(self._numbers):06d}"

    # -- push ---------------------------------------------------------------------------------

    def push(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        control: bool = False,
        node: str | None = None,
        encode: Callable[[Any], bytes] | None = None,
        **fields: Any,
    ) -> str:
        """Push one command; return its job ID, a new one unless `id` is among the fields."""
        payload = self.payload(command, arguments, encode=encode, **fields)
        self.push_bytes(payload, control=control, node=node)
        return str(read(payload)["id"])

    def payload(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        encode: Callable[[Any], bytes] | None = None,
        **fields: Any,
    ) -> bytes:
        """Write a command as it is pushed."""
        fields = {"id": self.new_id(), "command": command, **fields}
        if arguments is not None:
            fields["arguments"] = arguments
        return json.dumps(fields).encode() if encode is None else encode(fields)

    def push_bytes(self, *payloads: bytes, control: bool = False, node: str | None = None) -> None:
        """Push payloads in one command, in order."""
        key = self.keys.control if control else self.keys.commands
        for batch in _batches(payloads):
            self.redis.rpush(key(node or self.node), *batch)

    def script(self, text: str, **fields: Any) -> str:
        """Push a `bash` command."""
        return self.push("bash", {"script": text}, **fields)

    # -- see ----------------------------------------------------------------------------------

    def result(self, job: str, seconds: float = WAIT) -> Pairs:
        """Wait for a job's result the plain way, which leaves it where it is."""
        payload = self.result_bytes(job, seconds)
        assert self.redis.llen(self.keys.result(job)) == 1
        return read(payload)

    def result_bytes(self, job: str, seconds: float = WAIT) -> bytes:
        """Wait for a job's result, as it is on the wire."""
        key = self.keys.result(job)
        payload = self.redis.execute_command("BLMOVE", key, key, "LEFT", "LEFT", seconds)
        assert isinstance(payload, bytes), f"no result of {job} within {seconds:g} s"
        return payload

    def results(self, jobs: Iterable[str], seconds: float = WAIT) -> dict[str, Pairs]:
        """Wait for the results of many jobs; each has exactly one."""
        jobs = list(jobs)
        missing: set[str] = set(jobs)

        def none_missing() -> bool:
            missing.difference_update(self._with_result(missing))
            return not missing

        try:
            eventually(none_missing, f"results of {len(jobs)} jobs", seconds=seconds)
        except AssertionError as error:
            shown = {job: self.state(job) for job in sorted(missing)[:5]}
            raise AssertionError(f"{error}; {len(missing)} missing, such as {shown}") from None
        found = {}
        for batch in _batches(jobs):
            answers = self._each("lrange", (self.keys.result(job) for job in batch), 0, -1)
            for job, payloads in zip(batch, answers, strict=True):
                assert len(payloads) == 1, f"{job} has {len(payloads)} results"
                found[job] = read(payloads[0])
        return found

    def _with_result(self, jobs: Iterable[str]) -> list[str]:
        found: list[str] = []
        for batch in _batches(sorted(jobs)):
            lengths = self._each("llen", (self.keys.result(job) for job in batch))
            found += [job for job, length in zip(batch, lengths, strict=True) if length]
        return found

    def _each(self, command: str, keys: Iterable[str], *arguments: Any) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            getattr(pipeline, command)(key, *arguments)
        answers: list[Any] = pipeline.execute()
        return answers

    def state(self, job: str) -> dict[str, str]:
        """What clients see of a job: its state hash."""
        found = self.redis.hgetall(self.keys.state(job))
        return {name.decode(): value.decode() for name, value in found.items()}

    def wait_stage(self, job: str, stage: str, seconds: float = WAIT) -> None:
        """Wait until a job is at a stage."""
        eventually(
            lambda: self.state(job).get("stage") == stage, f"{job} is {stage}", seconds=seconds
        )

    def log(self, job: str) -> list[Pairs]:
        """Read a job's log: its messages in order."""
        return [read(fields[b"m"]) for _, fields in self.redis.xrange(self.keys.log(job))]

    @contextmanager
    def subscribed(self, *channels: str) -> Iterator[Callable[[], list[Pairs]]]:
        """Listen to channels (patterns if they hold a `*`).

        Yields:
            A function that returns all messages heard so far.
        """
        heard: list[Pairs] = []
        with self.redis.pubsub(ignore_subscribe_messages=False) as listener:
            for channel in channels:
                (listener.psubscribe if "*" in channel else listener.subscribe)(channel)
            for _ in channels:
                assert listener.get_message(timeout=WAIT)["type"].endswith("subscribe")

            def so_far() -> list[Pairs]:
                while message := listener.get_message(timeout=0):
                    heard.append(read(message["data"]))
                return heard

            yield so_far

    def rejected(self, node: str | None = None) -> list[Pairs]:
        """Read a node's rejected list, newest first."""
        entries = self.redis.lrange(self.keys.rejected(node or self.node), 0, -1)
        return [json.loads(entry) for entry in entries]

    def wait_rejected(self, marks: Callable[[Pairs], bool], seconds: float = WAIT) -> Pairs:
        """Wait for the rejected entry that a condition picks."""
        found: list[Pairs] = eventually(
            lambda: [entry for entry in self.rejected() if marks(entry)],
            "an entry in the rejected list",
            seconds=seconds,
        )
        assert len(found) == 1
        return found[0]

    def claimed(self, node: str | None = None) -> dict[bytes, bytes]:
        """Read a node's claimed hash."""
        found: dict[bytes, bytes] = self.redis.hgetall(self.keys.claimed(node or self.node))
        return found

    def wait_unclaimed(self, node: str | None = None, seconds: float = WAIT) -> None:
        """Wait until nothing is claimed any more."""
        eventually(
            lambda: not self.claimed(node),
            f"nothing claimed: {self.claimed(node)}",
            seconds=seconds,
        )

    def waiting(self, node: str | None = None) -> list[Pairs]:
        """Read the commands that nobody has taken yet, in order."""
        return [
            read(item) for item in self.redis.lrange(self.keys.commands(node or self.node), 0, -1)
        ]

    def inbox(self, client: str) -> list[Pairs]:
        """Read what a client's inbox holds."""
        return [read(item) for item in self.redis.lrange(self.keys.inbox(client), 0, -1)]

    def presence(self, node: str | None = None) -> dict[str, str]:
        """Read a node's heartbeat."""
        found = self.redis.hgetall(self.keys.presence(node or self.node))
        return {name.decode(): value.decode() for name, value in found.items()}
