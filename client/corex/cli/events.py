"""`corex events`."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from corex.cli.escape import safe_line
from corex.cli.render import put_json, put_line, say
from corex.cli.session import client_of
from corex_shared.identifiers import check_id
from corex_shared.states import JobState

if TYPE_CHECKING:
    from corex.events import Event

FOR_EVER = 1e9
"""Seconds that events are followed unless told otherwise: until Ctrl-C."""
_RANDOM = re.compile(r":?[0-9a-f]{26}\Z")
_GREEN, _RED, _YELLOW, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_COLOURS = {JobState.SUCCESS: _GREEN, JobState.KILLED: _YELLOW, JobState.EXPIRED: _YELLOW}


def events(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Which nodes: IDs or globs with commas between.",
            show_default=False,
        ),
    ] = "*",
    job: Annotated[str | None, typer.Option(metavar="JOB", help="Of this job only.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Of this kind only, such as `job.finished`, `job` or `node`; may be repeated.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Seconds to follow at most.", show_default=False),
    ] = FOR_EVER,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, as it was told.")
    ] = False,
) -> None:
    """Follow what happens, until Ctrl-C: who runs what, where, when, and how it ends.

    A line has the time, the node, the event, the job, who sent it, what it runs, and its state.
    What was not heard, since a connection was lost, is told: with --json among the events, else on
    stderr.

    **Examples**

    - `corex events`
    - `corex events 'web-*' --kind job.finished --json >> audit.jsonl`
    """
    from corex.events import EventGap

    kinds = [_checked_kind(text) for text in kind or ()]
    globs = ",".join(_checked_glob(part.strip()) for part in target.split(","))
    wanted = None if job is None else check_id("job", job)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    with client_of(context) as client:
        for event in client.events(globs, kinds=kinds, job=wanted, timeout=timeout):
            if as_json:
                put_json(event.as_map())
            if isinstance(event, EventGap):
                say(event.why)
            elif not as_json:
                put_line(line_of(event, coloured=coloured))


def _checked_kind(text: str) -> str:
    from corex.events import KINDS

    known = sorted({*KINDS, *(name.partition(".")[0] for name in KINDS)})
    if text not in known:
        names = ", ".join(known)
        raise typer.BadParameter(f"{text!r} is none of {names}", param_hint="'--kind'")
    return text


def _checked_glob(part: str) -> str:
    """Refuse what no node ID can match: groups and labels are not in events."""
    if not part or part.startswith("@") or "=" in part:
        raise typer.BadParameter(f"{part!r}: a node's ID or a glob expected", param_hint="TARGET")
    return part


def line_of(event: Event, *, coloured: bool) -> str:
    """Write an event as one line for people; nothing that others wrote comes through raw.

    Args:
        event: any.
        coloured: whether its state has a colour.
    """
    at = time.strftime("%H:%M:%S", time.localtime(event.time / 1000)) if _is_time(event) else "?"
    parts = [at, f"{_text(event.node):<12}", f"{_text(event.event):<12}"]
    parts += [_text(event.job), _text(_who(event.reply_to)), _what(event)]
    state = _state(event)
    if state and coloured:
        colour = _COLOURS.get(JobState(event.state), _RED) if event.state in _STATES else _PLAIN
        state = f"{colour}{state}{_PLAIN}"
    return " ".join(part for part in [*parts, state, *_rest(event)] if part)


_STATES = frozenset(JobState)
_LATEST = 2**42
"""Ms since the epoch up to which a time is shown: the year 2109."""


def _is_time(event: Event) -> bool:
    return 0 <= event.time < _LATEST


def _text(text: str) -> str:
    """Make text harmless, colours too: they are ours here."""
    return safe_line(text).replace("\x1b", "\\x1b")


def _who(client: str) -> str:
    """Show who a client is without what only tells it from others, if it has a name."""
    return _RANDOM.sub("", client) or client[:8]


def _what(event: Event) -> str:
    what = f"({_text(event.what)})" if event.what else ""
    return f"{_text(event.command)}{what}"


def _state(event: Event) -> str:
    code = "" if not event.code else f" {event.code}"
    return f"{_text(event.state)}{code}" if event.state else ""


def _rest(event: Event) -> list[str]:
    """What only some events tell."""
    told = {
        "after": f"{event.duration / 1000:.1f}s" if event.duration is not None else "",
        "killed by": _text(_who(event.killed_by)) if event.killed_by else "",
        "by": _text(event.by),
        "why:": _text(event.why or event.reason),
    }
    return [f"{name} {text}" for name, text in told.items() if text]
