"""An agent as a program: signals, and an exit code.

Run by `replace_process`, with the number of the descriptor that holds the settings.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable

import msgspec
import prctl
import structlog

from corex_node import logs
from corex_node.agent import Agent
from corex_node.config import Config
from corex_node.faults import FAULTS, VARIABLE
from corex_node.replacement import USAGE
from corex_shared.errors import ConfigError, CorexError

_log = structlog.get_logger()


def main() -> int:
    """Serve with the settings in the descriptor that is named on the command line."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        config = msgspec.json.decode(file.read(), type=Config)
    try:
        FAULTS.arm(os.environ.get(VARIABLE, ""))
        logs.configure(config.logging.level, config.logging.format, config.logging.file)
    except ConfigError as error:
        sys.stderr.write(f"corex: {error}\n")
        return USAGE
    prctl.set_proctitle(f"corex node {config.main.id}")
    return serve(config)


def serve(config: Config, on_ready: Callable[[], object] = lambda: None) -> int:
    """Run an agent until SIGTERM or SIGINT.

    Args:
        config: its settings.
        on_ready: called once when the node is there and about to take commands.

    Returns:
        0 when it stopped in good order, 2 when the settings cannot be used, else 1, the reason
        logged.
    """
    try:
        return asyncio.run(_serve(config, on_ready))
    except CorexError as error:
        _log.error("node.failed", reason=str(error), kind=type(error).__name__)
        return 1


async def _serve(config: Config, on_ready: Callable[[], object]) -> int:
    # What a spawner that was killed leaves behind comes to us, and is ended.
    prctl.set_child_subreaper(True)
    try:
        agent = Agent(config)
    except ConfigError as error:  # of what only its parts know, such as the names of commands
        sys.stderr.write(f"corex: {error}\n")
        return USAGE
    agent.on_ready = on_ready
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    loop.add_signal_handler(signal.SIGUSR1, _show, agent)
    # What is loaded stays; and jobs hold few cycles, so looking for them seldom is enough.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)
    # Short runs of one thread keep the heartbeat's thread on time under load.
    sys.setswitchinterval(0.001)
    await agent.run()
    return 0


def _show(agent: Agent) -> None:
    """Write what the agent is at: SIGUSR1 asks for it, for instance when it seems to hang."""
    for job in agent.manager.snapshot():
        _log.warning("show.job", job=job.id, stage=job.stage, pid=job.pid, attempts=job.attempts)
    for task in asyncio.all_tasks():
        where = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in task.get_stack()]
        _log.warning("show.task", task=task.get_name(), where=where)
