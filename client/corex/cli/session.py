"""The options of `corex` itself, and the client made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from corex.cli.exits import INTERRUPTED

if TYPE_CHECKING:
    from corex.sync import Client


@contextlib.contextmanager
def client_of(context: typer.Context) -> Iterator[Client]:
    """Make the client of a command; Ctrl-C in its body ends the command quietly.

    Raises:
        ConfigError: the URL or the namespace cannot be used.
    """
    from corex.cli.identity import client_name
    from corex.sync import Client

    options = context.find_root().params
    client = Client(options.get("url"), namespace=options.get("namespace"), name=client_name())
    try:
        with client:
            yield client
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt
