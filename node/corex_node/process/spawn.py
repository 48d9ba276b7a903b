"""Start a program on pipes that are given, in a session of its own.

Two ways with one outcome. `os.posix_spawn` is the fast one: one vfork, no interpreter state
touched; the directory, which it cannot change, is changed here for that moment. A program that is
to be somebody else, or have limits, goes through `fork`. Neither closes descriptors one by one:
every descriptor here is close-on-exec (PEP 446).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from typing import NamedTuple

from corex_node.process.fork import Report, fork_program
from corex_node.process.program import ProgramSpec
from corex_node.process.setup import needs_setup, prepare
from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ForbiddenError,
    InternalError,
    NotFoundError,
)

# The interpreter ignores these, and what is ignored stays so across exec.
_RESTORED_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]
_DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Environment = Mapping[bytes, bytes]


class Streams(NamedTuple):
    """Descriptors that become the program's standard streams; no stdin is /dev/null."""

    stdout: int
    stderr: int
    stdin: int | None


def build_environment(spec: ProgramSpec, base: Environment) -> Environment:
    """Put together what a program sees.

    Args:
        spec: the program.
        base: what it inherits.

    Raises:
        BadRequestError: a name or value in `env` that no environment can hold.
    """
    merged = {} if spec.clear_env else dict(base)
    for name, value in (spec.env or {}).items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise BadRequestError(f"env: {name!r}: no = or NUL in a name, no NUL in a value")
        merged[os.fsencode(name)] = os.fsencode(value)
    if spec.marks:
        merged.update((os.fsencode(key), os.fsencode(text)) for key, text in spec.marks.items())
    return merged


def find_program(name: str, env: Environment, directory: str | None) -> str:
    """Find a program as a shell would, in the PATH of its own environment.

    A name with a slash is taken as it is: starting it will tell.

    Raises:
        BadRequestError: the name cannot be one.
        NotFoundError: there is no such program.
        ForbiddenError: there is one, and it must not be run.
    """
    if not name or "\0" in name:
        raise BadRequestError("name: it is empty or holds a NUL")
    if "/" in name:
        return name
    folders = os.fsdecode(env.get(b"PATH", _DEFAULT_PATH)).split(":")
    found: str | None = None
    for folder in folders:
        path = os.path.join(folder, name) if folder else name
        seen = os.path.join(directory, path) if directory else path
        if os.access(seen, os.X_OK) and not os.path.isdir(seen):
            return path
        if found is None and os.path.exists(seen):
            found = path
    if found is not None:
        raise ForbiddenError(f"name: {found}: it may not be run")
    raise NotFoundError(f"name: {name}: no such program")


def check_directory(directory: str) -> None:
    """See that a working directory can be entered.

    Raises:
        BadRequestError: it cannot be a path, or is not a directory.
        NotFoundError: it does not exist.
        ForbiddenError: it must not be entered.
    """
    if "\0" in directory:
        raise BadRequestError("dir: it holds a NUL")
    if not os.path.isdir(directory):
        if os.path.exists(directory):
            raise BadRequestError(f"dir: {directory}: not a directory")
        raise NotFoundError(f"dir: {directory}: no such directory")
    if not os.access(directory, os.X_OK):
        raise ForbiddenError(f"dir: {directory}: it may not be entered")


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
    """
    if any("\0" in argument for argument in spec.argv):
        raise BadRequestError("args: an argument holds a NUL")
    if needs_setup(spec):
        return _start_set_up(spec, base, streams)
    env = build_environment(spec, base)
    path = find_program(spec.argv[0], env, spec.dir)
    try:
        if spec.dir is not None:
            return _start_in_directory(path, spec, env, streams)
        return _start(path, spec, env, streams)
    except OSError as error:
        raise _spawn_error(path, error) from error


def _start(path: str, spec: ProgramSpec, env: Environment, streams: Streams) -> int:
    stdin: tuple[int, int, int] | tuple[int, int, str, int, int]
    if streams.stdin is None:
        stdin = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    else:
        stdin = (os.POSIX_SPAWN_DUP2, streams.stdin, 0)
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


def _start_in_directory(path: str, spec: ProgramSpec, env: Environment, streams: Streams) -> int:
    """Start a program where it wants to be; this process is elsewhere for that moment."""
    directory = spec.dir or "."
    check_directory(directory)
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        os.chdir(directory)
        try:
            return _start(path, spec, env, streams)
        finally:
            os.fchdir(here)
    finally:
        os.close(here)


def _start_set_up(spec: ProgramSpec, base: Environment, streams: Streams) -> int:
    """Start a program that asks for more than a directory.

    Raises:
        CommandError: it could not be started; nothing was.
        OSError: there are no descriptors or processes left.
    """
    setup = prepare(spec)
    env = dict(build_environment(spec, base))
    if setup.account is not None:
        given = {os.fsencode(name) for name in spec.env or {}}
        env |= {name: value for name, value in setup.account.variables.items() if name not in given}
    path = find_program(spec.argv[0], env, spec.dir)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if streams.stdin is None else -1
    try:
        stdin = null if streams.stdin is None else streams.stdin
        started = fork_program(path, spec.argv, env, (stdin, streams.stdout, streams.stderr), setup)
    finally:
        if null >= 0:
            os.close(null)
    if isinstance(started, Report):
        raise _step_error(path, spec, started)
    return started


def _step_error(path: str, spec: ProgramSpec, report: Report) -> CommandError:
    """Make the error of a step that could not be done; its message begins with the argument."""
    asked = {"user": spec.user, "group": spec.group, "dir": spec.dir, "nice": spec.nice}
    value = asked.get(report.argument)
    about = report.argument if value is None else f"{report.argument}: {value}"
    text = f"{about}: {report.text}"
    if report.argument == "name":
        return _spawn_error(path, OSError(report.number, report.text))
    if report.number in (errno.EACCES, errno.EPERM):
        return ForbiddenError(text)
    if report.number == errno.ENOENT:
        return NotFoundError(text)
    if report.number in (errno.EINVAL, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
        return BadRequestError(text)
    return InternalError(text)


def _spawn_error(path: str, error: OSError) -> CommandError:
    text = f"{path}: {error.strerror}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(text)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ForbiddenError(text)
    if error.errno in (errno.E2BIG, errno.ENOEXEC, errno.ELOOP, errno.ENAMETOOLONG):
        return BadRequestError(text)
    return InternalError(text)
