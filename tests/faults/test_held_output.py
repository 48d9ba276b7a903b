"""Redis is away while jobs write: the oldest output is dropped and counted, results never."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire

SMALL = {
    "COREX_NODE_LIMITS_HELD_OUTPUT": "65536",
    "COREX_NODE_LIMITS_FLOWING_OUTPUT": "1048576",
}
LINES = 500_000  # about 3.4 MB


def _away(server: EmbeddedRedis) -> None:
    server.stop(keep_data=True)


def _silent(server: EmbeddedRedis) -> None:
    server.pause()


@pytest.mark.parametrize(
    "leave, back",
    [(_away, EmbeddedRedis.start), (_silent, EmbeddedRedis.resume)],
    ids=["stopped", "paused"],
)
def test_dropped_output_is_counted(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    tmp_path: Path,
    leave: Callable[[EmbeddedRedis], None],
    back: Callable[[EmbeddedRedis], None],
) -> None:
    """The log has no gap, says how much is missing, and the result has the whole count."""
    node = run_node("n1", url=own_redis.url, env=SMALL)
    go, written = tmp_path / "go", tmp_path / "written"
    script = f"echo begin; until [ -e {go} ]; do sleep 0.02; done; seq {LINES}; touch {written}"
    job = wire.script(script, stream=True)
    eventually(lambda: wire.log(job), "the first line")
    leave(own_redis)
    go.touch()
    eventually(written.exists, "the job has written all", seconds=40)
    eventually(lambda: "output.dropped" in node.log_text(), "the agent says so")
    back(own_redis)
    result = wire.result(job, 30)
    whole = "begin\n" + "".join(f"{line}\n" for line in range(1, LINES + 1))
    assert (result["state"], result["stdout_bytes"]) == ("SUCCESS", len(whole))
    assert whole.endswith(result["streams"][0])
    eventually(lambda: wire.log(job)[-1]["flags"] & 6, "the last message")
    messages = wire.log(job)
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    warnings = [message["message"] for message in messages if message["level"] == 7]
    assert warnings
    dropped = sum(int(number) for text in warnings for number in re.findall(r"\d+", text))
    kept = "".join(message["message"] for message in messages if message["level"] == 1)
    assert len(kept) + dropped == len(whole)
    assert whole.startswith(kept[:6])
    assert whole.endswith(kept[-1000:])
    wire.wait_unclaimed()
