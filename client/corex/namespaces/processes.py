"""`node.processes`."""

from __future__ import annotations

from corex.ask import ASK_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.processes import ProcessEntries, kill_process, list_processes


class Processes(Namespace):
    """All processes of a node's machine, whether they are of jobs or not."""

    __slots__ = ()

    def list(self, pid: int | None = None, *, timeout: float = ASK_TIMEOUT) -> ProcessEntries:
        """List all processes, or one; of one that is gone, the list is empty."""
        return self._ask(list_processes(pid), timeout)

    def kill(self, pid: int, signal: int = 15, *, timeout: float = ASK_TIMEOUT) -> None:
        """Send a signal to a process.

        Raises:
            JobFailed: there is no such process (its code is 404), it is the agent's own or not for
                it (403), or the number is 1 or less (400).
        """
        self._ask(kill_process(pid, signal), timeout)


class AsyncProcesses(AsyncNamespace):
    """`Processes` with coroutines."""

    __slots__ = ()

    async def list(self, pid: int | None = None, *, timeout: float = ASK_TIMEOUT) -> ProcessEntries:
        """List all processes, or one; of one that is gone, the list is empty."""
        return await self._ask(list_processes(pid), timeout)

    async def kill(self, pid: int, signal: int = 15, *, timeout: float = ASK_TIMEOUT) -> None:
        """Send a signal to a process. See `Processes.kill`.

        Raises:
            JobFailed: the node refused.
        """
        await self._ask(kill_process(pid, signal), timeout)
