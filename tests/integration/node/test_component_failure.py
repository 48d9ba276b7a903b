"""A part of the agent fails, which is a bug: the agent ends, in order, rather than limp on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import redis

from corex_node.agent import Agent
from corex_node.config import load
from corex_node.statistics.statistics import Statistics
from corex_shared.errors import CorexError
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually


async def test_the_agent_stops_and_says_which_error_it_was(
    redis_url: str, namespace: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is stopped and has its result; what waits stays for the next agent."""
    fails = asyncio.Event()

    async def run(_: Statistics) -> None:
        await fails.wait()
        raise KeyError("nobody thought of that")

    monkeypatch.setattr(Statistics, "run", run)
    keys = Keys(namespace)
    options: dict[str, dict[str, Any]] = {
        "main": {"id": "n1", "url": redis_url, "namespace": namespace, "max_jobs": 1},
        "limits": {"drain": 0, "grace": 0},
    }
    agent = asyncio.create_task(Agent(load(options=options)).run())
    for job in ("runs", "waits"):
        payload = {"id": job, "command": "bash", "arguments": {"script": "sleep 60"}}
        raw.rpush(keys.commands("n1"), json.dumps(payload))
    await asyncio.to_thread(eventually, lambda: raw.hget(keys.state("runs"), "stage") == b"running")
    fails.set()
    async with asyncio.timeout(15):
        with pytest.raises(CorexError, match="nobody thought of that"):
            await agent
    result = raw.lindex(keys.result("runs"), 0)
    assert result is not None
    assert json.loads(result)["state"] == "KILLED"
    assert raw.llen(keys.commands("n1")) == 1
    assert not raw.exists(keys.claimed("n1"), keys.presence("n1"))
