"""Asking what a live view shows, in a thread of its own.

In each round the heartbeats of all nodes are read, and the nodes that have a line on the screen are
asked, all at once. So a round costs no more for a thousand nodes than what reading their heartbeats
costs. What comes is on the board as soon as it has come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from corex.ask import Question
from corex.cli.clock import server_ms
from corex.cli.screen.board import Board, Kill
from corex.questions.info import MemoryInfo, memory_info
from corex.questions.jobs import JobEntry, list_jobs
from corex.questions.stats import Stat, monitor, query_stats
from corex.survey import Survey
from corex_shared.errors import CorexError, StoreError

if TYPE_CHECKING:
    from corex.sync import Client
    from corex_shared.models import NodeInfo

CPU = "machine.CPU.percent"
"""The metric of all processors together, and, with tags, of each."""
SHORTEST_ANSWER, LONGEST_ANSWER = 1.0, 5.0
"""Seconds that nodes have to answer: the interval, within these."""
KILL_SECONDS = 10.0
_MEASURE = 0.5
"""Seconds between the two looks at the processors that one figure needs."""

_JOBS, _MEMORY = list_jobs(None), memory_info()
_MONITOR, _CPU = monitor("cpu"), query_stats(CPU, None)
Choose = Callable[[Sequence["NodeInfo"]], Sequence["NodeInfo"]]


class Watcher(threading.Thread):
    """The thread.

    Attributes:
        failure: what ended it, which is for whoever draws to raise.
    """

    def __init__(
        self,
        client: Client,
        board: Board,
        interval: float,
        choose: Choose,
        wake: Callable[[], None],
    ) -> None:
        """Prepare it.

        Args:
            client: whose connections are used.
            board: which gets what comes.
            interval: seconds from round to round.
            choose: which nodes are shown at all.
            wake: called when there is something new.
        """
        super().__init__(name="corex-top", daemon=True)
        self._client = client
        self._board = board
        self._interval = interval
        self._choose = choose
        self._wake = wake
        self._poked = threading.Event()
        self._ended = False
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Ask, round after round, until `end`."""
        try:
            while not self._ended:
                begun = time.monotonic()
                self._poked.clear()
                self.round()
                self._poked.wait(max(0.0, begun + self._interval - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that draws
            if not self._ended:
                self.failure = error
                self._wake()

    def end(self) -> None:
        """Let it end, when what it waits for has come."""
        self._ended = True
        self._poked.set()

    def poke(self) -> None:
        """Begin the next round at once: other nodes are on the screen now."""
        self._poked.set()

    def round(self, *, measure: bool = False) -> None:
        """Ask once.

        Args:
            measure: have the processors measured over a moment first, rather than take what the
                last round had measured.
        """
        try:
            self._look()
            with self._board.lock:
                names = self._board.to_ask()
                self._board.forget_unseen(names)
            self._ask(self._measured(names) if measure else names)
        except StoreError as error:
            with self._board.lock:
                self._board.away = str(error)
        self._wake()

    def _look(self) -> None:
        infos = self._choose(self._client.nodes())
        now_ms = self._client.perform(server_ms(self._client.core))
        with self._board.lock:
            self._board.heard_nodes(infos, now_ms)
        self._wake()

    def _measured(self, names: Sequence[str]) -> list[str]:
        """Have the processors of nodes measured over a moment; returns the nodes that answered."""
        answered = list(names)
        for pause in (_MEASURE, 0.0):
            survey = self._survey(answered, [_MONITOR])
            heard = {reply.node for reply in self._client.iterate(survey.run())}
            answered = [name for name in answered if name in heard]
            time.sleep(pause)
        with self._board.lock:
            for name in names:
                if name in answered:
                    self._board.nodes[name].rounds = 1
                else:
                    self._board.heard_nothing(name)
        return answered

    def _ask(self, names: Sequence[str]) -> None:
        with self._board.lock:  # of those that were not asked before the processors' figure is old
            fresh = {name for name in names if not self._board.nodes[name].rounds}
        survey = self._survey(names, [_JOBS, _MEMORY, _CPU, _MONITOR])
        told: dict[str, dict[str, Any]] = {name: {} for name in names}
        for reply in self._client.iterate(survey.run()):
            told[reply.node][reply.question.command] = reply.value
            if reply.question is _JOBS and reply.value is not None:
                with self._board.lock:
                    self._board.heard_jobs(reply.node, _others(reply.value, survey.jobs))
                self._wake()
        with self._board.lock:
            for name, answers in told.items():
                if answers.get(_JOBS.command) is None:
                    self._board.heard_nothing(name)
                cpu, processors = _processors(answers.get(_CPU.command))
                if name in fresh:
                    cpu = None
                memory = _memory(answers.get(_MEMORY.command))
                self._board.heard_usage(name, cpu, memory, processors)

    def _survey(self, names: Sequence[str], questions: Sequence[Question[Any]]) -> Survey:
        seconds = min(max(self._interval, SHORTEST_ANSWER), LONGEST_ANSWER)
        return Survey(self._client.core, names, questions, seconds)

    def kill(self, wanted: Kill) -> None:
        """Kill a job, in another thread; the board tells what came of it."""
        threading.Thread(target=self._kill, args=(wanted.job,), daemon=True).start()

    def _kill(self, job: str) -> None:
        try:
            done = self._client.job(job).kill(timeout=KILL_SECONDS)
            message = f"{job}: killed" if done else f"{job}: it had ended already"
        except (CorexError, RuntimeError) as error:  # RuntimeError: the client is closed
            message = f"{job}: {error}"
        with self._board.lock:
            self._board.message = message
        self.poke()
        self._wake()


def _others(entries: Sequence[JobEntry], ours: frozenset[str]) -> list[JobEntry]:
    return [entry for entry in entries if entry.id not in ours]


def _processors(stats: dict[str, Stat] | None) -> tuple[float | None, int]:
    """Read the figure of all processors together, and how many they are (0 when not known).

    That of each processor has its number for an instance, that of all has none.
    """
    together, count = None, 0
    for stat in (stats or {}).values():
        if any(tag.key == "id" for tag in stat.tags):
            count += 1
        else:
            together = stat.last_value
    return together, count


def _memory(info: MemoryInfo | None) -> float | None:
    return None if info is None else info.used_percent
