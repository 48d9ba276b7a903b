"""`corex nodes`."""

from __future__ import annotations

from typing import Annotated

import typer

from corex.cli.render import put_json, put_nodes
from corex.cli.session import client_of


def nodes(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON list instead of a table.")
    ] = False,
) -> None:
    """List the nodes that were ever seen, with what their last heartbeat said.

    A node without a heartbeat is listed as gone.
    """
    with client_of(context) as client:
        found = client.nodes()
    if as_json:
        put_json(found)
    else:
        put_nodes(found)
