"""A node played by hand: bare Redis commands, as docs/protocol.md describes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import redis

from corex_shared.codec import Encoding, decode_command, encode
from corex_shared.keys import Keys
from corex_shared.models import Command, JobResult, Message
from corex_shared.states import JobState


class HandNode:
    """Does what a test tells it to do, and nothing else.

    Attributes:
        redis: the connection, for whatever has no method here.
        id: the node.
    """

    def __init__(self, client: redis.Redis, keys: Keys, node: str = "h1") -> None:
        """Play a node; it is not announced yet."""
        self.redis: Any = client
        self.id = node
        self._keys = keys

    def announce(self, **fields: str) -> None:
        """Write a heartbeat."""
        self.redis.zadd(self._keys.nodes(), {self.id: time.time_ns() // 1_000_000})
        self.redis.hset(self._keys.presence(self.id), mapping={"version": "0", **fields})

    def take(self, *, control: bool = False, seconds: float = 10.0) -> Command:
        """Take the next command off a list."""
        key = self._keys.control(self.id) if control else self._keys.commands(self.id)
        taken = self.redis.blpop(key, seconds)
        assert taken is not None, "no command came"
        command, _ = decode_command(taken[1])
        return command

    def take_all(self) -> list[Command]:
        """Take all commands that are in the list."""
        key = self._keys.commands(self.id)
        taken = self.redis.lpop(key, 1_000_000) or []
        return [decode_command(payload)[0] for payload in taken]

    def start(self, command: Command) -> None:
        """Write the state of a job that runs."""
        state = {"node": self.id, "stage": "running", "claimed": "1", "holder": "x", "claim": "c"}
        self.redis.hset(self._keys.state(command.job_id), mapping=state)

    def finish(
        self,
        command: Command,
        state: JobState = JobState.SUCCESS,
        *,
        hint: str = "whole",
        **fields: Any,
    ) -> JobResult:
        """Write a result.

        Args:
            command: the command.
            state: how it ended.
            hint: what the inbox hears: "whole", "id" (fetch it) or "none" (it is lost).
            **fields: more of the result.
        """
        code = fields.pop("code", 0 if state is JobState.SUCCESS else 1001)
        result = JobResult(
            id=command.job_id,
            command=command.command,
            node=self.id,
            state=state,
            code=code,
            **fields,
        )
        payload = encode(result, Encoding.MSGPACK)
        if state is not JobState.DUPLICATE_ID:
            self.redis.rpush(self._keys.result(result.id), payload)
            self.redis.hset(self._keys.state(result.id), "stage", "finished")
        if command.reply_to and hint != "none":
            entry = payload if hint == "whole" else msgspec.msgpack.encode({"id": result.id})
            self.redis.rpush(self._keys.inbox(command.reply_to), entry)
        return result

    def say(self, job: str, seq: int, text: str = "", *, flags: int = 1, live: bool = True) -> None:
        """Write a message to a job's log and, unless it is to be missed, to its channel."""
        message = Message(job, self.id, seq, 1, flags, text or f"{seq}\n", time.time_ns())
        payload = encode(message, Encoding.MSGPACK)
        self.redis.xadd(self._keys.log(job), {"m": payload}, id=f"{seq + 1}-0")
        if live:
            self.redis.publish(self._keys.stream(job), payload)

    def wait_subscribed(self, job: str, seconds: float = 10.0) -> None:
        """Wait until somebody listens to a job."""
        channel = self._keys.stream(job)
        end = time.monotonic() + seconds
        while not self.redis.pubsub_numsub(channel)[0][1]:
            assert time.monotonic() < end, "nobody subscribed"
            time.sleep(0.005)


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Do something in a thread while the body runs; what goes wrong in it fails the test."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(50)
    assert not thread.is_alive()
    if errors:
        raise errors[0]
