"""`corex cp`."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from corex.cli.complete import complete_node_path
from corex.cli.exits import BROKEN_PIPE, FAILED, NO_ANSWER, TIMED_OUT
from corex.cli.interruption import code_of, interruptible
from corex.cli.place import Place, read_place
from corex.cli.progress import shown_progress
from corex.cli.render import pretty, say
from corex.cli.session import client_of
from corex.transfer.error import TransferError
from corex_shared.errors import JobFailed, NoSuchNodeError, WaitTimeout
from corex_shared.models import JobResult

if TYPE_CHECKING:
    from corex.node import Node
    from corex.sync import Client
    from corex.transfer.copying import Progress

MODES = 0o777
_NOT_FOUND = 404


def cp(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="NODE:PATH, or a file of this machine; - is standard input.",
            show_default=False,
            autocompletion=complete_node_path,
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="NODE:PATH, or a file or directory of this machine; - is standard output.",
            show_default=False,
            autocompletion=complete_node_path,
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="Permissions of the copy, octal.  [default: those of the source]",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds that it may take.")
    ] = 3600.0,
) -> None:
    """Copy a file to a node or from one, whole or not at all.

    One of the two sides is on a node. A path that is not absolute is one of the agent's working
    directory there. A directory as destination gets a file of the source's name. What is under the
    final name changes in one step, when both sides have the same checksum: until then, and when
    the copying fails or is ended by Ctrl-C, it is what it was. Lost connections, a restart of Redis
    or of the agent do not end it.

    Exits with 3 when there is no such node, or it does not answer, with 124 when the time is up.

    **Examples**

    - `corex cp app.tar web-1:/srv/app.tar --mode 640`
    - `corex cp web-1:/var/log/syslog .`
    - `tar c site | corex cp - web-1:/tmp/site.tar`
    - `corex cp web-1:/etc/hosts - | grep db`
    """
    places = read_place(source, "SRC"), read_place(destination, "DST")
    permissions = _read_mode(mode)
    _check_sides(*places)
    with client_of(context) as client, interruptible():
        try:
            code = _copy(client, *places, mode=permissions, timeout=timeout)
        except KeyboardInterrupt as interrupt:  # all is tidied up by now
            code = code_of(interrupt)
    raise typer.Exit(code)


def _read_mode(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= MODES:
        raise typer.BadParameter(f"{text!r}: 0 to 777, octal, expected", param_hint="'--mode'")
    return mode


def _check_sides(source: Place, destination: Place) -> None:
    if source.node and destination.node:
        raise typer.BadParameter(
            "both sides are on nodes; by way of this machine it is: "
            f"corex cp {source} - | corex cp - {destination}",
            param_hint="'DST'",
        )
    if not source.node and not destination.node:
        hint = "neither side is on a node: write one of them as NODE:PATH"
        raise typer.BadParameter(hint, param_hint="'SRC', 'DST'")
    if not source.node and not source.is_pipe and os.path.isdir(source.path):
        raise typer.BadParameter(
            f"{source} is a directory, and files are copied one by one; as an archive it is: "
            f"tar c {source} | corex cp - {destination}",
            param_hint="'SRC'",
        )
    if destination.is_pipe and sys.stdout.isatty():
        hint = "standard output is a terminal, which would obey what the file says; redirect it"
        raise typer.BadParameter(hint, param_hint="'DST'")


def _copy(
    client: Client, source: Place, destination: Place, *, mode: int | None, timeout: float
) -> int:
    node = client.node(source.node or destination.node)
    if not node.presence().alive:
        raise NoSuchNodeError(f"node {node.id} is not alive")
    copy = _Copy(node, source, destination, mode, timeout)
    try:
        copy.run()
    except TransferError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            _silence_stdout()
            return BROKEN_PIPE
        say(copy.explain(error))
        return FAILED
    except JobFailed as error:
        say(f"{copy.remote}: {_reason(error.result)}")
        return FAILED
    except WaitTimeout as error:  # which is an OSError, too
        say(str(error))
        return TIMED_OUT if copy.heard else NO_ANSWER
    except OSError as error:
        say(f"{copy.local}: {error.strerror or error}")
        return FAILED
    return 0


class _Copy:
    """One copy.

    Attributes:
        heard: the node has answered something.
        local: the side that is here.
        remote: the side that is on the node.
    """

    def __init__(
        self, node: Node, source: Place, destination: Place, mode: int | None, timeout: float
    ) -> None:
        self._node = node
        self._source = source
        self._destination = destination
        self._mode = mode
        self._timeout = timeout
        self.heard = False

    @property
    def local(self) -> Place:
        return self._destination if self._source.node else self._source

    @property
    def remote(self) -> Place:
        return self._source if self._source.node else self._destination

    def run(self) -> None:
        """Do it.

        Raises:
            TransferError: it failed.
            JobFailed: the node does not say what is at the destination.
            WaitTimeout: the time is up.
            OSError: the file of this machine cannot be opened.
        """
        if self._source.node:
            self._destination = self._file_here()
            self._download()
        else:
            self._destination = self._file_there()
            self._upload()

    def _upload(self) -> None:
        source, path = self._source, self._destination.path
        file = sys.stdin.buffer if source.is_pipe else source.path
        ends = not source.is_pipe or sys.stdin.seekable()
        with shown_progress(self._destination.name, ends=ends) as tell:
            self._node.fs.upload(
                file, path, mode=self._mode, progress=self._heard(tell), timeout=self._timeout
            )

    def _download(self) -> None:
        destination, path = self._destination, self._source.path
        file = sys.stdout.buffer if destination.is_pipe else destination.path
        with shown_progress(self._source.name) as tell:
            self._node.fs.download(
                path, file, mode=self._mode, progress=self._heard(tell), timeout=self._timeout
            )

    def _heard(self, tell: Progress | None) -> Progress:
        def progress(done: int, total: int) -> None:
            self.heard = True
            if tell is not None:
                tell(done, total)

        return progress

    def _file_here(self) -> Place:
        """Find the file that a destination of this machine means.

        Raises:
            NotADirectoryError: it ends with a slash, and there is no such directory.
        """
        place = self._destination
        if place.is_pipe:
            return place
        if os.path.isdir(place.path):
            return place.within(self._source.name)
        if place.path.endswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, "there is no such directory")
        return place

    def _file_there(self) -> Place:
        """Find the file that a destination on the node means."""
        place = self._destination
        try:
            found = self._node.fs.stat(place.path, timeout=self._timeout)
        except JobFailed as error:
            if error.result.code != _NOT_FOUND or place.path.endswith("/"):
                raise
            self.heard = True
            return place
        self.heard = True
        if not found.is_dir:
            return place
        if self._source.is_pipe:
            hint = f"{place} is a directory, and standard input has no name: write one"
            raise typer.BadParameter(hint, param_hint="'DST'")
        return place.within(self._source.name)

    def explain(self, error: TransferError) -> str:
        """Say which side is at fault, and why."""
        if error.result is None:
            return str(error)
        how_far = f" ({error.done} of {error.total} bytes were copied)" if error.total else ""
        return f"{self.remote}: {_reason(error.result)}{how_far}"


def _reason(result: JobResult) -> str:
    return result.critical or pretty(result) or f"{result.state.value} {result.code}"


def _silence_stdout() -> None:
    """Let nothing complain, at exit, that stdout is closed."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
