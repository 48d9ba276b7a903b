"""A server and an idle agent to measure, and the plain way to give it work."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.codec import Encoding, decode_result, encode
from corex_shared.identifiers import new_id
from corex_shared.keys import Keys
from corex_shared.models import Command
from corex_shared.states import JobState
from tests.helpers.nodes import NodeProcess

NODE = "bench"
NAMESPACE = "bench"
_CLIENT = "bench"
_BATCH = 1000
_POLL_INTERVAL = 0.005
_PATIENCE = 120.0


class BenchNode:
    """A running agent with its server.

    Attributes:
        server: the Redis.
        agent: the process.
        keys: the keys of its namespace.
        redis: a plain client of the server.
    """

    def __init__(self, server: EmbeddedRedis, agent: NodeProcess, client: redis.Redis) -> None:
        self.server = server
        self.agent = agent
        self.keys = Keys(NAMESPACE)
        self.redis = client

    def commands(self, count: int, command: str, arguments: dict[str, object]) -> list[Command]:
        """Make commands whose results are announced in the inbox that `run` looks at."""
        return [Command(command, arguments, id=new_id(), reply_to=_CLIENT) for _ in range(count)]

    def run(self, commands: Sequence[Command]) -> float:
        """Have commands run by the agent.

        Returns:
            Seconds from the first push to the last result.

        Raises:
            AssertionError: a result is missing, is there twice, or is no success.
        """
        payloads = [encode(command, Encoding.MSGPACK) for command in commands]
        inbox = self.keys.inbox(_CLIENT)
        begin = time.perf_counter()
        push(self.redis, self.keys.commands(NODE), payloads)
        while self.redis.llen(inbox) < len(commands):
            time.sleep(_POLL_INTERVAL)
            if time.perf_counter() - begin > _PATIENCE:
                raise AssertionError(
                    f"{self.redis.llen(inbox)} of {len(commands)} results after {_PATIENCE:g} s; "
                    f"the agent says:\n{self.agent.log_tail()}"
                )
        seconds = time.perf_counter() - begin
        self._check(commands, inbox)
        return seconds

    def _check(self, commands: Sequence[Command], inbox: str) -> None:
        """See that all is as it should be, and leave Redis as it was."""
        payloads: Sequence[Any] = self.redis.lrange(inbox, 0, -1)
        results = [decode_result(payload) for payload in payloads]
        assert sorted(result.id for result in results) == sorted(c.job_id for c in commands)
        assert {result.state for result in results} == {JobState.SUCCESS}
        names = [inbox]
        for command in commands:
            names += (self.keys.result(command.job_id), self.keys.state(command.job_id))
        for start in range(0, len(names), _BATCH):
            self.redis.unlink(*names[start : start + _BATCH])


def push(client: redis.Redis, key: str, payloads: Sequence[bytes]) -> None:
    """Push payloads as fast as it can be done: many with one command, all in one pipeline."""
    pipeline = client.pipeline(transaction=False)
    for start in range(0, len(payloads), _BATCH):
        pipeline.rpush(key, *payloads[start : start + _BATCH])
    pipeline.execute()


@contextmanager
def bench_node(env: Mapping[str, str] | None = None) -> Iterator[BenchNode]:
    """Start a server (without persistence) and an agent.

    Args:
        env: settings of the agent, `COREX_NODE_…`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="corex-bench-") as folder,
        EmbeddedRedis() as server,
        redis.Redis.from_url(server.url) as client,
    ):
        agent = NodeProcess(NODE, server.url, NAMESPACE, Path(folder, "node.log"), env=env)
        try:
            agent.start()
            yield BenchNode(server, agent, client)
        finally:
            agent.finish()
