"""Start a program on pipes that are given, in a session of its own.

Two ways with one outcome. `os.posix_spawn` is the fast one: one vfork, no interpreter state
touched; the directory, which it cannot change, is changed here for that moment. A program that is
to be somebody else, or have limits, goes through `fork`. Neither closes descriptors one by one:
every descriptor here is close-on-exec (PEP 446).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from corex_node.process.account import Account
from corex_node.process.fork import fork_program
from corex_node.process.lookup import enter_directory, find_program, program_error
from corex_node.process.program import ProgramSpec
from corex_node.process.setup import hand_over, needs_setup, prepare
from corex_shared.errors import BadRequestError

# The interpreter ignores these, and what is ignored stays so across exec.
_RESTORED_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]

Environment = Mapping[bytes, bytes]


class Streams(NamedTuple):
    """Descriptors that become the program's standard streams; no stdin is /dev/null."""

    stdout: int
    stderr: int
    stdin: int | None


def build_environment(
    spec: ProgramSpec, base: Environment, account: Account | None = None
) -> Environment:
    """Put together what a program sees.

    Args:
        spec: the program.
        base: what it inherits.
        account: whom it runs as, if that was asked for.

    Raises:
        BadRequestError: a name or value in `env` that no environment can hold.
    """
    merged = {} if spec.clear_env else dict(base)
    if account is not None:
        for variable, text in account.variables.items():
            merged.pop(variable, None)
            if text is not None:
                merged[variable] = text
    for name, value in (spec.env or {}).items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise BadRequestError(f"env: {name!r}: no = or NUL in a name, no NUL in a value")
        merged[os.fsencode(name)] = os.fsencode(value)
    if spec.marks:
        merged.update((os.fsencode(key), os.fsencode(text)) for key, text in spec.marks.items())
    return merged


def check_arguments(spec: ProgramSpec) -> None:
    """See that arguments can be given to a program.

    Raises:
        BadRequestError: one cannot be.
    """
    if any("\0" in argument for argument in spec.argv):
        raise BadRequestError("args: an argument holds a NUL")


def spawn(spec: ProgramSpec, base: Environment, streams: Streams) -> int:
    """Start a program.

    Args:
        spec: what to run.
        base: environment that it inherits, unless it says otherwise.
        streams: its standard streams; the caller still owns them.

    Returns:
        Its process ID; it leads a session and a process group of that number.

    Raises:
        CommandError: it could not be started, with the code that says why; nothing was started.
        OSError: there are no descriptors or processes left.
    """
    check_arguments(spec)
    if needs_setup(spec):
        return _start_set_up(spec, base, streams)
    env = build_environment(spec, base)
    if spec.dir is None:
        return _start(spec, env, streams)
    with _inside(spec.dir):
        return _start(spec, env, streams)


def _start(spec: ProgramSpec, env: Environment, streams: Streams) -> int:
    path = find_program(spec.argv[0], env)
    stdin: tuple[int, int, int] | tuple[int, int, str, int, int]
    if streams.stdin is None:
        stdin = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    else:
        stdin = (os.POSIX_SPAWN_DUP2, streams.stdin, 0)
    try:
        return os.posix_spawn(
            path,
            spec.argv,
            env,
            file_actions=[
                stdin,
                (os.POSIX_SPAWN_DUP2, streams.stdout, 1),
                (os.POSIX_SPAWN_DUP2, streams.stderr, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_RESTORED_SIGNALS,
        )
    except OSError as error:
        raise program_error(path, error) from error


@contextmanager
def _inside(directory: str) -> Iterator[None]:
    """Be in a directory for a moment: what is started meanwhile begins there."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        enter_directory(directory)
        try:
            yield
        finally:
            _return_to(here)
    finally:
        os.close(here)


def _return_to(here: int) -> None:
    """Go back; where that is not permitted, leave at least the directory of somebody's program."""
    try:
        os.fchdir(here)
    except OSError:
        os.chdir("/")


def settle_directory() -> None:
    """Leave a directory that could not be entered again, as after `su` in somebody's home."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    _return_to(here)
    os.close(here)


def _start_set_up(spec: ProgramSpec, base: Environment, streams: Streams) -> int:
    """Start a program that asks for more than a directory; see `spawn`."""
    setup = prepare(spec)
    env = build_environment(spec, base, setup.account)
    if setup.account is not None:
        hand_over(streams, setup.account)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if streams.stdin is None else -1
    try:
        stdin = null if streams.stdin is None else streams.stdin
        return fork_program(spec.argv, env, (stdin, streams.stdout, streams.stderr), setup)
    finally:
        if null >= 0:
            os.close(null)
