"""What a built-in may ask of its surroundings while it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from corex_node.manager.handle import JobHandle
from corex_node.manager.jobs import Job
from corex_shared.states import Level

if TYPE_CHECKING:
    from corex_node.manager.manager import ProcessManager

T = TypeVar("T")


class Context:
    """The job that a built-in runs for, and the manager of all jobs.

    Attributes:
        manager: of all jobs of the node; to be used on the event loop only.
        job: what was asked, and where it stands.
    """

    __slots__ = ("_attempt", "_cancelled", "_job", "_loop", "_thread", "job", "manager")

    def __init__(self, job: Job, manager: ProcessManager) -> None:
        """Make the context of one attempt; to be called on the event loop."""
        self._job = job
        self._attempt = job.attempts
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._cancelled = False
        self.manager = manager
        self.job = JobHandle(job, manager)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was stopped: a function in a thread can only look and return."""
        return self._cancelled

    def cancel(self) -> None:
        """Say that the attempt was stopped."""
        self._cancelled = True

    def message(self, text: str, level: int = Level.PUBLIC) -> None:
        """Send a message of the job; may be called from any thread.

        In a thread it returns when the message was taken, which takes the longer the more waits.
        Once the attempt is over, nothing is sent any more.

        Args:
            text: of any length.
            level: see `corex_shared.states.Level`; what becomes part of the result is the same as
                for a program's messages.

        Raises:
            TypeError: the text is none.
            ValueError: there is no such level.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: {type(text).__name__}: a string expected")
        text = text.encode("utf-8", "replace").decode()  # what has no form on the wire
        level = Level(level)
        if threading.get_ident() == self._thread:
            self._say(level, text)
        elif not self._is_over:
            self._send_from_thread(level, text)

    def log(self, text: str) -> None:
        """Send a message for operators; may be called from any thread."""
        self.message(text, Level.OPERATOR)

    async def relay(self, text: str, level: int) -> None:
        """Send what another job said: to this job's own stream only, no faster than it goes."""
        self.manager.output.forward(self._job, level, text)
        await self.drained()

    async def drained(self) -> None:
        """Return when messages go out as fast as they come."""
        await self.manager.output.drained()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that blocks, in a thread."""
        return await self.manager.threads.call(function, *arguments)

    def _send_from_thread(self, level: Level, text: str) -> None:
        sent = self._send_when_drained(level, text)
        try:
            future = asyncio.run_coroutine_threadsafe(sent, self._loop)
        except RuntimeError:  # the loop has ended, and with it the agent
            sent.close()
        else:
            future.result()

    async def _send_when_drained(self, level: Level, text: str) -> None:
        self._say(level, text)
        await self.drained()

    def _say(self, level: Level, text: str) -> None:
        if not self._is_over:
            self.manager.output.tell(self._job, level, text)

    @property
    def _is_over(self) -> bool:
        """Whether the attempt has ended: what it says would be taken for another's."""
        return self._job.execution is None or self._job.attempts != self._attempt
