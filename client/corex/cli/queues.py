"""`corex queues`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import typer

from corex.cli.arguments import AnswerTimeout, JsonLines, MaybeTarget
from corex.cli.asking import ANSWER_TIMEOUT
from corex.cli.ps import STAGE_STYLES, age_of
from corex.cli.render import put_json
from corex.cli.session import client_of
from corex.cli.table import Cell, Column, put_table
from corex.questions.queues import QueueEntries, QueueEntry

COLUMNS = (
    Column("QUEUE", least=14),
    Column("SCOPE"),
    Column("NODE", least=8),
    Column("HOLDER"),
    Column("STAGE", rank=3),
    Column("AGE", right=True, rank=2),
    Column("TOKEN", right=True, rank=1),
    Column("WAITING", right=True),
    Column("NEXT", least=8, rank=4),
)
FLEET = "fleet"


def queues(
    context: typer.Context,
    target: MaybeTarget = None,
    timeout: AnswerTimeout = ANSWER_TIMEOUT,
    as_json: JsonLines = False,
) -> None:
    """List the named queues that are held: by which job of which node, and who waits.

    A queue of the fleet is listed once, if a job of one of the nodes holds it or waits for it; NODE
    is that of its holder, TOKEN its fencing token. AGE is the time since the holder got the queue,
    or, in a queue of a node, was started. NEXT is who is first in line.

    Exits with 1 when a node did not answer, with 3 when none did.

    **Examples**

    - `corex queues web-1`
    - `corex queues 'web-*' --json`
    - `corex call web-1 queue.release '{"queue": "deploy"}'` takes a queue from its holder
    """
    from corex.cli.asking import ask_nodes
    from corex.cli.choice import living_nodes
    from corex.cli.clock import server_ms
    from corex.questions.queues import list_queues

    with client_of(context) as client:
        nodes = [node.id for node in living_nodes(target, client.nodes())]
        answers = ask_nodes(client, nodes, list_queues(), timeout)
        now_ms = client.perform(server_ms(client.core))
    found = merge(answers.by_node)
    if as_json:
        for entry in found:
            put_json(entry)
    elif answers.by_node:
        put_table(COLUMNS, [_row(entry, now_ms) for entry in found])
    raise typer.Exit(answers.code)


def merge(by_node: Mapping[str, QueueEntries]) -> list[QueueEntry]:
    """List the queues of nodes, and each queue of the fleet once, as its holder's node tells it."""
    own: list[QueueEntry] = []
    shared: dict[str, QueueEntry] = {}
    for node, entries in by_node.items():
        for entry in entries:
            if entry.scope != FLEET:
                own.append(msgspec.structs.replace(entry, node=node))
            elif entry.queue not in shared or entry.node == node:
                shared[entry.queue] = entry
    return [*sorted(shared.values(), key=lambda entry: entry.queue), *own]


def _row(entry: QueueEntry, now_ms: int) -> list[Cell]:
    return [
        Cell(entry.queue),
        Cell(entry.scope, "magenta" if entry.scope == FLEET else ""),
        Cell(entry.node or "-"),
        Cell(entry.holder or "-"),
        Cell(entry.stage, STAGE_STYLES.get(entry.stage, "")),
        Cell(age_of(entry.since or entry.starttime, now_ms)),
        Cell(str(entry.token) if entry.token else "-"),
        Cell(str(len(entry.waiters))),
        Cell(entry.waiters[0] if entry.waiters else ""),
    ]
