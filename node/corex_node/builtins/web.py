"""`web.download`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from corex_node.builtins.fetch import Fetch, parse_source
from corex_node.builtins.files.place import checked
from corex_node.manager.context import Context
from corex_node.manager.registry import Registry
from corex_shared.errors import ServiceUnavailableError

_PATIENCE = 60.0
_TIDY = 2.0
"""Seconds that the end of a job waits for the thread of its download, which was given up. It may
hang in the look-up of a name for longer, but has not made a file then."""

Seconds = Annotated[float, Meta(gt=0, le=86400)]


class DownloadArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `web.download`.

    Attributes:
        url: of HTTP or HTTPS, with `user:password@` perhaps.
        destination: path of the file, in a directory that is there.
        timeout: seconds until the server must have begun to answer, redirects included, and that
            it may be silent for afterwards; 60 when None. All of it has the command's `max_time`.
    """

    url: str
    destination: str
    timeout: Seconds | None = None


def register(registry: Registry) -> None:
    """Add the command to a registry."""
    registry.command("web.download", DownloadArguments)(download)


async def download(context: Context, arguments: DownloadArguments) -> str:
    """Download a file; answer its path.

    The file is there when all of it has come; else there is what was there before, and no part.

    Raises:
        BadRequestError: the URL or the destination cannot be one, or the server leads elsewhere
            than to HTTP.
        NotFoundError: the server has no such file, or the destination's directory is not there.
        ForbiddenError: the server or the system does not allow it.
        ServiceUnavailableError: the server cannot be reached, is silent, ended too early, or says
            "not now".
        InternalError: the server refused for another reason, or the file cannot be written.
    """
    source = parse_source(arguments.url)
    destination = checked("destination", arguments.destination)
    patience = _PATIENCE if arguments.timeout is None else arguments.timeout
    fetch = Fetch(source, destination, patience)
    try:
        async with asyncio.timeout(patience):
            await _in_thread(context, fetch, fetch.begin)
    except TimeoutError as error:
        raise ServiceUnavailableError(
            f"url: {source.shown}: no answer within {patience:g} s"
        ) from error
    await _in_thread(context, fetch, fetch.save)
    return destination


async def _in_thread(context: Context, fetch: Fetch, step: Callable[[], None]) -> None:
    """Do a step of a download; when cancelled, give it up and see that it leaves no part."""
    working = asyncio.create_task(context.in_thread(step))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        fetch.give_up()
        await asyncio.wait({working}, timeout=_TIDY)
        if working.done():
            fetch.close()
        if not working.cancel() and not working.cancelled():
            working.exception()  # whatever it is, nobody waits for it any more
        raise
