"""`core.state`."""

from __future__ import annotations

import os
from typing import Any

from corex_node.manager.context import Context
from corex_node.manager.registry import NoArguments, Registry
from corex_node.process.usage_meter import AgentMeter


def register(registry: Registry) -> None:
    """Add the command to a registry."""
    meter = AgentMeter()

    @registry.command("core.state", NoArguments, repeatable=True)
    async def state(context: Context, _: NoArguments) -> dict[str, Any]:
        """Answer what the agent and all jobs use together.

        `cpu` is percent of one core since a call that is at least a second ago, at first since the
        agent began; sizes are bytes.
        """
        manager = context.manager
        # Jobs are beneath the spawners, but for what factories made in another way.
        roots = [*manager.spawner_pids(), *(job.pid for job in manager.snapshot() if job.pid)]
        usage = await context.in_thread(meter.measure, os.getpid(), roots)
        return {"cpu": usage.cpu, "rss": usage.rss, "vms": usage.vms, "swap": usage.swap}
