"""Following a job through its node, which is told to repeat the job's messages.

This shows jobs that were submitted without `stream=True` too, from what their node has kept on.
The node is asked by a job of its own, `core.subscribe`, whose messages these are.
"""

from __future__ import annotations

from contextlib import suppress

from corex.core import Core, Patience
from corex.effects import Plan
from corex.follow import launch
from corex.kill import kill
from corex.results import wait
from corex.submit import prepare
from corex_shared.errors import CorexError
from corex_shared.identifiers import check_id
from corex_shared.models import Command

KILL_TIMEOUT = 5.0
"""Seconds in which the node is to stop repeating messages that nobody reads any more."""


class Subscription:
    """One follower: `run` emits the messages, and `tidy` must follow, however `run` ended."""

    def __init__(self, core: Core, node: str, job: str, timeout: float) -> None:
        """Prepare it; nothing is sent.

        Args:
            core: the client's surroundings.
            node: that has the job.
            job: whose messages are wanted.
            timeout: seconds for all of it.

        Raises:
            InvalidIdError: no job can have that ID.
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        command = Command("core.subscribe", {"id": check_id("job", job)}, stream=True)
        self._core = core
        self._patience = Patience(core, f"end of job {job}", timeout)
        self._ticket = prepare(core, node, command, control=True)
        self._open = False

    def run(self) -> Plan[None]:
        """Emit the messages, and at last one of this job's own, which bears no text of the other.

        Raises:
            JobFailed: the node knows no such job (its code is 404), or the following was killed.
            WaitTimeout: the job did not end in time.
            StoreError: Redis cannot be reached.
        """
        self._open = True
        yield from launch(self._core, [self._ticket], self._patience.left)
        result = yield from wait(self._core, self._ticket, self._patience.left)
        self._open = False
        result.check()

    def tidy(self) -> Plan[None]:
        """Have the node stop, if it has not."""
        if self._open:
            self._open = False
            with suppress(CorexError):
                yield from kill(self._core, self._ticket, 15, KILL_TIMEOUT)
