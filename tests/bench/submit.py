"""Submitting: `submit_many` of 20,000 commands.

Set against a bare pipeline of as many RPUSH with payloads made beforehand, a thousand in each
round trip. Nobody takes the commands meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis

from corex import Client, Command
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.codec import Encoding, encode
from corex_shared.identifiers import new_id
from corex_shared.keys import Keys
from tests.bench.pairs import Row, Target, in_turn

COUNT = 20_000
_BATCH = 1000
_NODE = "nobody"
_LIST = Keys().commands(_NODE)


def measure(pairs: int) -> list[Row]:
    """Measure the figure."""
    payload = Command("core.ping", id=new_id(), reply_to=new_id())
    payloads = [encode(payload, Encoding.MSGPACK)] * COUNT
    with (
        EmbeddedRedis() as server,
        Client(server.url, namespace=Keys().namespace) as client,
        redis.Redis.from_url(server.url) as bare_client,
    ):
        ours, bare = in_turn(
            lambda: _ours(client, bare_client), lambda: _bare(bare_client, payloads), pairs
        )
    row = Row("submit", "jobs/s", "submit_many", "pipelined RPUSH", ours, bare, Target(">=", 0.5))
    return [row]


def _ours(client: Client, bare_client: redis.Redis) -> float:
    commands = [(_NODE, Command("core.ping"))] * COUNT
    begin = time.perf_counter()
    jobs = client.submit_many(commands)
    seconds = time.perf_counter() - begin
    assert len(jobs) == COUNT
    _check_and_clear(bare_client)
    return COUNT / seconds


def _bare(client: redis.Redis, payloads: Sequence[bytes]) -> float:
    begin = time.perf_counter()
    for start in range(0, COUNT, _BATCH):
        pipeline = client.pipeline(transaction=False)
        for payload in payloads[start : start + _BATCH]:
            pipeline.rpush(_LIST, payload)
        pipeline.execute()
    seconds = time.perf_counter() - begin
    _check_and_clear(client)
    return COUNT / seconds


def _check_and_clear(client: redis.Redis) -> None:
    assert client.llen(_LIST) == COUNT
    client.delete(_LIST)
