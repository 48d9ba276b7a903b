"""`corex nodes`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from corex.cli.complete import complete_target
from corex.cli.render import put_json, put_line
from corex.cli.session import client_of
from corex.cli.table import Cell, Column, put_table
from corex.cli.units import age
from corex_shared.models import NodeInfo

COLUMNS = (
    Column("NODE", least=12),
    Column("STATE"),
    Column("VERSION", rank=5),
    Column("LOAD", right=True, rank=2),
    Column("RUNNING", right=True, rank=1),
    Column("QUEUED", right=True, rank=3),
    Column("GROUPS", least=10, rank=6),
    Column("LABELS", least=12, rank=7),
    Column("SEEN", right=True, rank=4),
)
STYLES = {"alive": "green", "quiet": "yellow", "gone": "red"}
"""How the states of nodes look on a terminal."""


def nodes(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="Which nodes; of a group (@build) all.  [default: all]",
            show_default=False,
            autocompletion=complete_target,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="ID",
            help="Take a node that is gone for good out of the list; one that is alive stays.",
        ),
    ] = None,
) -> None:
    """List the nodes that were ever seen, with what their last heartbeat said.

    A node without a heartbeat is listed as gone; of its groups and labels nothing is known then.
    A node that is quiet takes no commands: it is about to stop. SEEN is how long ago its heartbeat
    was.

    **Examples**

    - `corex nodes`
    - `corex nodes 'web-*'`
    - `corex nodes zone=eu --json`
    - `corex nodes --forget web-9`
    """
    from corex.cli.choice import known_nodes
    from corex.cli.clock import server_ms

    if forget is not None:
        _forget(context, forget, alone=target is None and not as_json)
        return
    with client_of(context) as client:
        found = client.nodes()
        now_ms = client.perform(server_ms(client.core))
    if target is not None:
        found = known_nodes(target, found)
    if as_json:
        for node in found:
            put_json(node)
    else:
        put_nodes(found, now_ms)


def _forget(context: typer.Context, node: str, *, alone: bool) -> None:
    if not alone:
        why = "it takes neither TARGET nor --json: one node is forgotten, and none listed"
        raise typer.BadParameter(why, param_hint="'--forget'")
    with client_of(context) as client:
        client.forget_node(node)
    put_line(f"{node}: forgotten")


def put_nodes(nodes: Sequence[NodeInfo], now_ms: int | None = None) -> None:
    """Write a table of nodes.

    Args:
        nodes: which.
        now_ms: by which ages are told, in ms since the epoch; this machine's time if None.
    """
    now = time.time() if now_ms is None else now_ms / 1000
    put_table(COLUMNS, [_row(node, now) for node in nodes])


def state_of(node: NodeInfo) -> str:
    """Say in a word how a node is."""
    if not node.alive:
        return "gone"
    return "quiet" if node.quiet else "alive"


def _row(node: NodeInfo, now: float) -> list[Cell]:
    state = state_of(node)
    cells = [Cell(node.id), Cell(state, STYLES[state])]
    if node.alive:
        labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
        cells += [
            Cell(node.version),
            Cell(f"{node.load:.2f}"),
            Cell(f"{node.running}/{node.slots}"),
            Cell(str(node.queued)),
            Cell(",".join(node.groups)),
            Cell(labels),
        ]
    else:
        cells += [Cell("")] * 6
    return [*cells, Cell(f"{age(now - node.last_seen / 1000)} ago")]
