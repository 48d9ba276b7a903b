"""`corex top`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corex.cli.arguments import MaybeTarget
from corex.cli.exits import FAILED, NO_ANSWER
from corex.cli.render import put_json, say
from corex.cli.session import client_of

if TYPE_CHECKING:
    from corex.cli.screen.board import Board, NodeView
    from corex.cli.screen.terminal import LiveTerminal
    from corex.cli.screen.watcher import Watcher
    from corex.sync import Client
    from corex_shared.models import NodeInfo

SHORTEST_INTERVAL = 0.2
"""Seconds between two rounds, at least."""
_TICK = 1.0
"""Seconds after which the screen is drawn again, news or not."""
_SETTLE = 0.03
"""Seconds in which news are gathered before they are drawn."""
_STALE = 3.0
"""Seconds beyond two intervals after which it is said that there are no news."""
_EVERY = 1_000_000


def top(
    context: typer.Context,
    target: MaybeTarget = None,
    interval: Annotated[
        float,
        typer.Option(min=SHORTEST_INTERVAL, metavar="S", help="Seconds from look to look."),
    ] = 2.0,
    once: Annotated[
        bool,
        typer.Option("--once", help="Print one snapshot and exit, as into a pipe."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one snapshot: one JSON object a line, nodes, then jobs."
        ),
    ] = False,
) -> None:
    """Watch nodes and jobs, live.

    Of each node that is on the screen: the processors, the memory and the load of its machine, with
    how they were lately; jobs that run, of how many that may, and commands that wait. Below, the
    jobs of these nodes, those that use most of a processor first.

    Keys: arrows or j and k choose a line; Tab changes between nodes and jobs; x kills the chosen
    job after a question; s sorts by something else; / shows only nodes whose ID has what is typed
    (or fits a glob), Esc shows all again; q ends it.

    A snapshot asks all nodes; exits with 1 when one of them did not answer, with 3 when none did.

    **Examples**

    - `corex top`
    - `corex top zone=eu --interval 5`
    - `corex top --json | jq 'select(.kind == "job" and .cpu > 50)'`
    """
    from corex.cli.table import console_of_stdout

    if as_json or once or not _can_be_live():
        with client_of(context) as client:
            code = _snapshot(client, target, as_json=as_json)
    else:
        with client_of(context) as client:
            code = _live(client, target, interval, console_of_stdout())
    raise typer.Exit(code)


def _can_be_live() -> bool:
    """Tell whether there is a terminal to draw on and to read keys from."""
    try:
        import termios  # noqa: F401 - systems without it have no such terminals
    except ImportError:
        return False
    dumb = os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")
    return sys.stdin.isatty() and sys.stdout.isatty() and not dumb


def _chooser(target: str | None) -> Callable[[Sequence[NodeInfo]], Sequence[NodeInfo]]:
    """Make the choice of nodes; in a live view a target may name none for a while."""
    from corex.cli.choice import known_nodes
    from corex_shared.errors import NoSuchNodeError

    def choose(infos: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
        if target is None:
            return infos
        try:
            return known_nodes(target, infos)
        except NoSuchNodeError:
            return []

    return choose


# -- live


def _live(client: Client, target: str | None, interval: float, console: Any) -> int:
    from corex.cli.choice import living_nodes
    from corex.cli.screen.board import Board
    from corex.cli.screen.terminal import LiveTerminal
    from corex.cli.screen.watcher import Watcher

    if target is not None:
        living_nodes(target, client.nodes())  # a wrong one is an error before all else
    board = Board()
    with LiveTerminal(console) as terminal:
        watcher = Watcher(client, board, interval, _chooser(target), terminal.wake)
        watcher.start()
        try:
            return _watch(board, terminal, watcher, interval, console)
        except OSError:  # the terminal is gone
            return FAILED
        finally:
            watcher.end()


def _watch(
    board: Board, terminal: LiveTerminal, watcher: Watcher, interval: float, console: Any
) -> int:
    from corex.cli.screen.board import Kill, Quit
    from corex.cli.screen.picture import Frame, draw

    asked: list[str] = []
    news = (0, time.monotonic())
    while not terminal.ended_by:
        if watcher.failure is not None:
            raise watcher.failure
        with board.lock:
            if board.now_ms != news[0]:
                news = (board.now_ms, time.monotonic())
            stale = time.monotonic() - news[1] if not board.away else 0.0
            size = console.size
            frame = Frame(
                size.width,
                size.height,
                f"every {interval:g} s",
                stale if stale > 2 * interval + _STALE else 0.0,
            )
            picture = draw(board, frame)
            wanted = board.to_ask()
        terminal.draw(picture)
        if set(wanted) - set(asked):
            watcher.poke()
        asked = wanted
        keys = terminal.keys(_TICK)
        with board.lock:
            for key in keys:
                match board.press(key):
                    case Quit():
                        return 0
                    case Kill() as kill:
                        watcher.kill(kill)
        if not keys and not terminal.resized:
            time.sleep(_SETTLE)
    return 128 + terminal.ended_by


# -- a snapshot


def _snapshot(client: Client, target: str | None, *, as_json: bool) -> int:
    from corex.cli.choice import living_nodes
    from corex.cli.screen.board import Board, Room
    from corex.cli.screen.watcher import LONGEST_ANSWER, Watcher

    living_nodes(target, client.nodes())
    board = Board()
    board.set_room(Room(_EVERY, _EVERY))
    watcher = Watcher(client, board, LONGEST_ANSWER, _chooser(target), lambda: None)
    watcher.round(measure=True)
    if board.away:
        say(board.away)
        return NO_ANSWER
    views = board.ordered_nodes()
    if as_json:
        _put_records(board, views)
    else:
        _put_tables(board, views)
    return _code(views)


def _code(views: Sequence[NodeView]) -> int:
    asked = [view for view in views if view.info.alive]
    silent = [view for view in asked if view.silent]
    for view in silent:
        say(f"{view.info.id}: no answer")
    if not silent:
        return 0
    return FAILED if len(silent) < len(asked) else NO_ANSWER


def _put_records(board: Board, views: Sequence[NodeView]) -> None:
    import msgspec

    from corex.cli.ps import as_record

    for view in views:
        record = msgspec.to_builtins(view.info)
        answered = view.info.alive and not view.silent
        measured = {
            "cpu_percent": view.cpu[-1] if view.cpu else None,
            "memory_percent": view.memory[-1] if view.memory else None,
        }
        put_json({"kind": "node", **record, "answered": answered, **measured})
    for job in board.ordered_jobs():
        put_json({"kind": "job", **as_record(job.node, job.entry)})


def _put_tables(board: Board, views: Sequence[NodeView]) -> None:
    from corex.cli.screen.picture import job_lines, node_lines
    from corex.cli.table import console_of_stdout

    console = console_of_stdout()
    lines = node_lines(views, console.width, graphs=False)
    jobs = board.ordered_jobs()
    if jobs:
        lines += ["", *job_lines(jobs, board.now_ms, console.width)]  # type: ignore[list-item]
    for line in lines:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
