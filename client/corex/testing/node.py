"""A node in memory, as tests see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from corex.testing.answers import Answer, Handler, Rule
from corex.testing.builtins import BUILTINS
from corex.testing.files import MemoryFiles
from corex.testing.job import MemoryJob
from corex.testing.store import now_ms
from corex_shared.identifiers import check_id, new_id
from corex_shared.models import Command, Message
from corex_shared.states import Stage

if TYPE_CHECKING:
    from corex.testing.engine import Engine

Function = TypeVar("Function", bound=Callable[..., Any])

SLOTS = 200
"""Jobs that a node runs at once unless told otherwise."""
PROGRAMS = ("bash", "core.system")


class MemoryNode:
    """A node of a `MemoryFleet`: says what its commands answer, and tells what it was asked.

    Attributes:
        id: its ID.
        groups: whose commands it takes, too.
        labels: that its heartbeat tells.
        slots: jobs that run at once.
        alive: whether it has a heartbeat.
        files: its files, in memory.
        commands: all commands of its own list and its groups' that it took, in order, but for those
            that every node answers (`core.ping`, `job.kill` and so on).
    """

    def __init__(
        self,
        engine: Engine,
        node: str,
        *,
        groups: tuple[str, ...],
        labels: Mapping[str, str],
        slots: int,
    ) -> None:
        """Make a node that is not there yet: `MemoryFleet.add` makes them.

        Raises:
            InvalidIdError: no node, or group, can have that ID.
        """
        self._engine = engine
        self.id = check_id("node", node)
        self.groups = tuple(check_id("group", group) for group in groups)
        self.labels = dict(labels)
        self.slots = slots
        self.lock = engine.lock
        self.alive = False
        self.paused = False
        self.incarnation = ""
        self.started_ms = 0
        self.files = MemoryFiles()
        self.commands: list[Command] = []
        self.jobs: dict[str, MemoryJob] = {}
        self._rules: list[Rule] = []

    def __repr__(self) -> str:
        return f"<MemoryNode {self.id}>"

    # -- what it answers ----------------------------------------------------------------------

    def answer(
        self,
        command: str,
        answer: Answer | None = None,
        *,
        script: str | re.Pattern[str] | None = None,
        arguments: Mapping[str, Any] | None = None,
        times: int | None = None,
        **fields: Any,
    ) -> None:
        """Say what a command answers. What was said last comes first.

        Args:
            command: its name; one that the node does not know yet is known then.
            answer: what it answers; else one is made of the fields.
            script: regular expression that is found in the script of `bash`, or in the program and
                its arguments of `core.system`; for all of them when None.
            arguments: that the command must have, among others.
            times: for how many commands; then what was said before holds again.
            **fields: of an `Answer`: `stdout`, `stderr`, `code`, `signal`, `data`, `delay`,
                `state`, `error`.

        Raises:
            TypeError: there is no such field, or both an answer and fields.
            ValueError: a field is out of its range.
        """
        if answer is not None and fields:
            raise TypeError(f"an answer, or the fields of one: {', '.join(fields)}")
        made = answer if answer is not None else Answer(**fields)
        with self.lock:
            rule = Rule(command, made, script=script, arguments=arguments, times=times)
            self._rules.append(rule)

    def command(self, name: str) -> Callable[[Function], Function]:
        """Decorate the function that answers a command.

        It gets the command's arguments as a dict and, if it takes a second parameter, the
        `MemoryJob`: to write output, to sleep until it is killed. What it returns is the answer, as
        JSON; it may be an `Answer`, too. What it raises is the job's error: a `corex.CommandError`
        with its own code, any other with 500. It runs in a thread of its own; it may be a
        coroutine function.

        Args:
            name: of the command.
        """

        def register(function: Function) -> Function:
            with self.lock:
                self._rules.append(Rule(name, cast("Handler", function)))
            return function

        return register

    def knows(self, command: str) -> bool:
        """Tell whether it has a command of a name."""
        return command in BUILTINS or command in PROGRAMS or command in self.known_names()

    def known_names(self) -> list[str]:
        """Names of the commands that something was said of."""
        return sorted({rule.command for rule in self._rules})

    # -- what becomes of it -------------------------------------------------------------------

    def pause(self) -> None:
        """Take no commands: they wait in its list. Its heartbeat goes on, and so does what runs."""
        with self.lock:
            self.paused = True
        self._engine.wake()

    def resume(self) -> None:
        """Take commands again."""
        with self.lock:
            self.paused = False
        self._engine.wake()

    def leave(self) -> None:
        """Stop in good order, as an agent that is told to: what runs is killed, the rest waits."""
        with self.lock:
            if self.alive:
                self._engine.stop_node(self)
                self._vanish()

    def die(self, *, settled: bool = True) -> None:
        """Be gone at once, as if its machine had lost its power.

        Args:
            settled: whether what ran is `LOST` now, as another agent's reaper writes it when the
                node's lease is over. If not, nothing is heard of it until the node comes back.
        """
        with self.lock:
            if self.alive:
                self._engine.break_off(self, settled=settled)
                self._vanish()

    def come_back(self) -> None:
        """Be there again: what ran when it died is `LOST`, what waits is taken."""
        with self.lock:
            if not self.alive:
                self.alive = True
                self.incarnation = new_id()
                self.started_ms = now_ms()
                self._engine.show(self)
                self._engine.recover(self)
        self._engine.wake()

    def _vanish(self) -> None:
        self.alive = False
        self.files.close_all()
        self._engine.hide(self)

    # -- as its fleet sees it -----------------------------------------------------------------

    @property
    def running_count(self) -> int:
        """How many jobs run."""
        return sum(job.stage is Stage.RUNNING for job in self.jobs.values())

    @property
    def queued_count(self) -> int:
        """How many wait for their queue or their next run."""
        return sum(job.stage is Stage.WAITING for job in self.jobs.values())

    @property
    def room(self) -> int:
        """How many commands it can take."""
        if not self.alive or self.paused:
            return 0
        return max(0, self.slots - self.running_count)

    def find_answer(self, command: Command) -> Answer | Handler | None:
        """Find what answers a command; None when nothing was said of it."""
        for rule in reversed(self._rules):
            if rule.fits(command):
                return rule.take()
        builtin = BUILTINS.get(command.command)
        if builtin is None:
            return None
        return lambda arguments, job: builtin(self._engine, job, arguments)

    def is_builtin(self, command: str) -> bool:
        """Whether every node answers a command, and nothing else was said of it here."""
        return command in BUILTINS and command not in self.known_names()

    def publish(self, job: MemoryJob, messages: list[Message]) -> None:
        """Publish messages of a job."""
        self._engine.publish(self, job, messages)
