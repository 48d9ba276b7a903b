"""Real agents: processes of their own, started as users start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from corex_shared.connection import Endpoint, execute
from corex_shared.keys import Keys
from corex_shared.scripts import Call
from tests.helpers.eventually import eventually

COREX = Path(sys.executable).with_name("corex")
START_SECONDS = 40.0
STOP_SECONDS = 40.0
_LOG_TAIL = 6000


class NodeProcess:
    """One `corex node run`.

    Attributes:
        id: the node.
        url: its Redis.
        namespace: of its keys.
        log: file that has what it wrote to stdout and stderr.
        process: the process, once started.
    """

    def __init__(
        self,
        node_id: str,
        url: str,
        namespace: str,
        log: Path,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Describe an agent; it is not started yet.

        Args:
            node_id: the node that it serves.
            url: its Redis.
            namespace: of its keys.
            log: file to which its output is appended.
            args: more options of `corex node run`.
            env: more environment variables.
            prefix: of its command line: a program that becomes it, such as `unshare`.
        """
        self.id = node_id
        self.url = url
        self.namespace = namespace
        self.log = log
        self._args = tuple(args)
        self._env = dict(env or {})
        self._prefix = tuple(prefix)
        self.process: subprocess.Popen[bytes]
        self._end_is_known = True

    @property
    def running(self) -> bool:
        """Whether the agent has not ended."""
        return hasattr(self, "process") and self.process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start the agent (again).

        Args:
            wait: whether to return only when its heartbeat is seen.
        """
        assert not self.running, f"node {self.id} runs already"
        with self.log.open("ab") as log:
            options = ("--id", self.id, "--url", self.url)
            self.process = subprocess.Popen(
                [*self._prefix, str(COREX), "node", "run", *options, *self._args],
                env={**os.environ, "COREX_NODE_NAMESPACE": self.namespace, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._end_is_known = False
        if wait:
            self.wait_present()

    def wait_present(self, seconds: float = START_SECONDS) -> None:
        """Wait until this process has the lease of its node."""
        look: Call = ("HGET", Keys(self.namespace).presence(self.id), "pid")
        client = Endpoint(self.url).command()

        def present() -> bool:
            code = self.process.poll()
            assert code is None, f"node {self.id} ended with {code}:\n{self.log_tail()}"
            return bool(execute(client, [look]) == [str(self.process.pid).encode()])

        with closing(client):
            eventually(present, f"presence of node {self.id}", seconds=seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask the agent to stop (SIGTERM), wait for its end, return its exit code."""
        if self.running:
            self.process.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """End the agent by SIGKILL."""
        self.process.kill()
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the agent's end and return its exit code, which is the caller's to judge."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"node {self.id} did not end within {seconds:g} s:\n{self.log_tail()}"
            ) from error
        finally:
            self._end_is_known = True
        return code

    def finish(self) -> None:
        """Stop the agent; it must end well, unless the test has seen its end already."""
        if not hasattr(self, "process"):
            return
        if self.running:
            self.process.send_signal(signal.SIGCONT)
        elif self._end_is_known:
            return
        code = self.stop()
        assert code == 0, f"node {self.id} ended with {code}:\n{self.log_tail()}"

    def log_text(self) -> str:
        """Everything that the agent has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        """The end of what it has written."""
        return self.log_text()[-_LOG_TAIL:]


def start_together(nodes: Iterable[NodeProcess]) -> None:
    """Start agents at once, those that do not run, and return when all are there."""
    nodes = list(nodes)
    for node in nodes:
        if not node.running:
            node.start(wait=False)
    for node in nodes:
        node.wait_present()


class RunNode(Protocol):
    """Starts an agent that is stopped after the test."""

    def __call__(
        self,
        node_id: str | None = None,
        *,
        url: str | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        start: bool = True,
    ) -> NodeProcess:
        """Start it and wait for its heartbeat.

        Args:
            node_id: the node; a new one when None.
            url: its Redis; that of `redis_url` when None.
            args: more options of `corex node run`.
            env: more environment variables, such as `COREX_NODE_MAX_JOBS`.
            prefix: of its command line: a program that becomes it, such as `unshare`.
            start: whether to start it, rather than leave that to the test.
        """
