"""Holding an agent while a master is replaced, so that its successor has all that it had.

Replication is asynchronous: what a master acknowledged in its last moments may be gone with it.
That is no matter of ours; what is, is that everybody goes on with its successor. (Redis's own
CLIENT PAUSE would hold the Sentinels too.)
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess

Ask = Callable[..., Any]
"""Says something, in words, to a server."""


@contextmanager
def frozen(node: NodeProcess, ask: Ask, *masters: EmbeddedRedis) -> Iterator[None]:
    """Stop an agent, and see that replicas have all that their masters have.

    Args:
        node: the agent, the only one who writes; its jobs go on, and it goes on afterwards.
        ask: takes the server and the words.
        masters: what may be replaced within.
    """
    node.signal(signal.SIGSTOP)

    # Sentinels publish through the masters all the time, so that replicas are never quite even.
    written = [(master, int(ask(master, "ROLE")[1])) for master in masters]

    def replicated() -> bool:
        seen = [(offset, ask(master, "ROLE")[2]) for master, offset in written]
        return all(
            replicas and all(int(replica[2]) >= offset for replica in replicas)
            for offset, replicas in seen
        )

    try:
        eventually(replicated, "the replicas have everything")
        yield
    finally:
        node.signal(signal.SIGCONT)
