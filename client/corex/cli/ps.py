"""`corex ps`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from corex.cli.arguments import AnswerTimeout, JsonLines, MaybeTarget
from corex.cli.asking import ANSWER_TIMEOUT
from corex.cli.render import put_json
from corex.cli.session import client_of
from corex.cli.table import Cell, Column, put_table
from corex.cli.units import age, percent, size
from corex.questions.jobs import JobEntries, JobEntry

COLUMNS = (
    Column("NODE", least=8),
    Column("JOB"),
    Column("STAGE"),
    Column("AGE", right=True, rank=1),
    Column("CPU%", right=True, rank=3),
    Column("MEM", right=True, rank=2),
    Column("QUEUE", least=6, rank=4),
    Column("TAGS", least=6, rank=5),
    Column("COMMAND", least=12),
)
STAGE_STYLES = {"running": "green", "waiting": "yellow", "claimed": "cyan"}
"""How the stages of jobs look on a terminal."""


def ps(
    context: typer.Context,
    target: MaybeTarget = None,
    timeout: AnswerTimeout = ANSWER_TIMEOUT,
    as_json: JsonLines = False,
) -> None:
    """List the jobs that nodes have not finished: those that run, and those that wait.

    All nodes are asked at once, past their backlogs. One that does not answer is named on stderr.
    A job that waits does so for its queue, or for its next run. AGE is the time since it was first
    started, CPU% the share of one processor that its processes use.

    Exits with 1 when a node did not answer, with 3 when none did.

    **Examples**

    - `corex ps`
    - `corex ps 'web-*'`
    - `corex ps @build --json`
    """
    from corex.cli.asking import ask_nodes
    from corex.cli.choice import living_nodes
    from corex.cli.clock import server_ms
    from corex.questions.jobs import list_jobs

    with client_of(context) as client:
        nodes = [node.id for node in living_nodes(target, client.nodes())]
        answers = ask_nodes(client, nodes, list_jobs(None), timeout)
        now_ms = client.perform(server_ms(client.core))
    found = {
        node: [entry for entry in entries if entry.id not in answers.jobs]
        for node, entries in answers.by_node.items()
    }
    if as_json:
        for node, entries in found.items():
            for entry in entries:
                put_json(as_record(node, entry))
    elif found:
        _put_jobs(found, now_ms)
    raise typer.Exit(answers.code)


def _put_jobs(found: Mapping[str, JobEntries], now_ms: int) -> None:
    rows = [_row(node, entry, now_ms) for node, entries in found.items() for entry in entries]
    put_table(COLUMNS, rows)


def as_record(node: str, entry: JobEntry) -> dict[str, Any]:
    """Write a job as one flat object for `--json`: times in ms, sizes in bytes."""
    from corex.cli.command_text import command_text

    return {
        "node": node,
        "id": entry.id,
        "stage": entry.stage,
        "command": entry.cmd.command,
        "text": command_text(entry.cmd),
        "arguments": entry.cmd.arguments,
        "starttime": entry.starttime,
        "pid": entry.pid,
        "cpu": entry.cpu,
        "rss": entry.rss,
        "queue": entry.cmd.queue,
        "max_time": entry.cmd.max_time,
        "tags": entry.cmd.tags or [],
    }


def age_of(started_ms: int, now_ms: int) -> str:
    """Write how long ago something was started; a dash for what was not."""
    return age((now_ms - started_ms) / 1000) if started_ms else "-"


def _row(node: str, entry: JobEntry, now_ms: int) -> list[Cell]:
    from corex.cli.command_text import command_text

    used = entry.pid != 0
    return [
        Cell(node),
        Cell(entry.id),
        Cell(entry.stage, STAGE_STYLES.get(entry.stage, "")),
        Cell(age_of(entry.starttime, now_ms)),
        Cell(percent(entry.cpu) if used else "-"),
        Cell(size(entry.rss) if used else "-"),
        Cell(entry.cmd.queue or ""),
        Cell(",".join(entry.cmd.tags or [])),
        Cell(command_text(entry.cmd)),
    ]
