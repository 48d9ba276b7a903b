"""Start a program with pipes, in a session of its own.

Two ways with one outcome. `os.posix_spawn` is the fast one: one vfork, no interpreter state
touched. It cannot change the directory, so a program with a directory of its own goes through
`subprocess.Popen`, used for its fork alone. Neither closes descriptors one by one: every
descriptor of the agent is made close-on-exec (PEP 446).
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping

from msgspec import Struct

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
_PRIVATE_PREFIX = b"COREX_"

Environment = Mapping[bytes, bytes]


class ProgramSpec(Struct, frozen=True):
    """A program to run.

    Attributes:
        argv: name (looked up in PATH) and arguments.
        env: added to the agent's environment.
        clear_env: whether `env` replaces it instead.
        dir: working directory, None for the agent's.
        stdin: what the program reads, None for nothing.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    clear_env: bool = False
    dir: str | None = None
    stdin: bytes | None = None


class Spawned(Struct, frozen=True):
    """A child just started: its ID and the agent's ends of its pipes (stdin None for none)."""

    pid: int
    pidfd: int
    stdin: int | None
    stdout: int
    stderr: int


def inherited_environment() -> dict[bytes, bytes]:
    """The agent's environment as its children may see it: without the agent's own settings.

    Those hold the address of Redis and its password.
    """
    return {
        name: value for name, value in os.environb.items() if not name.startswith(_PRIVATE_PREFIX)
    }


def build_environment(spec: ProgramSpec, base: Environment, more: Environment) -> Environment:
    """Put together what a program sees.

    Args:
        spec: the program.
        base: environment of the agent.
        more: names that are set whatever the others say.

    Raises:
        BadRequestError: a name or value in `env` that no environment can hold.
    """
    merged = {} if spec.clear_env else dict(base)
    for name, value in (spec.env or {}).items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise BadRequestError(
                f"env: {name!r}: no '=' or NUL may be in a name, no NUL in a value"
            )
        merged[os.fsencode(name)] = os.fsencode(value)
    merged.update(more)
    return merged


def find_program(name: str, env: Environment, directory: str | None) -> str:
    """Find a program as a shell would, in the PATH of its own environment.

    Raises:
        BadRequestError: the name cannot be one.
        NotFoundError: there is no such program.
        ForbiddenError: there is one, and it must not be run.
    """
    if not name or "\0" in name:
        raise BadRequestError("name: it is empty or holds a NUL")
    if "/" in name:
        return name  # starting it will tell
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


def spawn(spec: ProgramSpec, env: Environment) -> Spawned:
    """Start a program.

    Args:
        spec: what to run; its own `env` is not looked at.
        env: the whole environment.

    Returns:
        The child with its pipes, non-blocking on the agent's side; the caller owns them.

    Raises:
        CommandError: it could not be started, with the code that says why; nothing was started
            and no descriptor is left open.
    """
    if any("\0" in argument for argument in spec.argv):
        raise BadRequestError("args: an argument holds a NUL")
    if spec.dir is not None:
        check_directory(spec.dir)
    path = find_program(spec.argv[0], env, spec.dir)
    pipes = _Pipes(with_stdin=spec.stdin is not None)
    try:
        pid = _start(path, spec, env, pipes)
        pidfd = _open_pidfd(pid)
    except OSError as error:
        pipes.close_ours()
        raise _spawn_error(path, error) from error
    finally:
        pipes.close_theirs()
    return Spawned(pid, pidfd, pipes.stdin, pipes.stdout, pipes.stderr)


class _Pipes:
    """Both ends of a child's standard streams while it is started; no stdin is /dev/null."""

    def __init__(self, with_stdin: bool) -> None:
        self._theirs: list[int] = []
        self._ours: list[int] = []
        self.stdin: int | None = None
        self.child_stdin: int | None = None
        try:
            self.stdout, self.child_stdout = self._pipe_to_us()
            self.stderr, self.child_stderr = self._pipe_to_us()
            if with_stdin:
                self.child_stdin, self.stdin = os.pipe()
                self._theirs.append(self.child_stdin)
                self._ours.append(self.stdin)
        except OSError as error:
            self.close_theirs()
            self.close_ours()
            raise InternalError(f"no pipe for the program: {error.strerror}") from error
        for fd in self._ours:
            os.set_blocking(fd, False)

    def _pipe_to_us(self) -> tuple[int, int]:
        ours, theirs = os.pipe()
        self._ours.append(ours)
        self._theirs.append(theirs)
        return ours, theirs

    def close_theirs(self) -> None:
        for fd in self._theirs:
            os.close(fd)

    def close_ours(self) -> None:
        for fd in self._ours:
            os.close(fd)


def _start(path: str, spec: ProgramSpec, env: Environment, pipes: _Pipes) -> int:
    if spec.dir is not None:
        return _start_in_directory(path, spec, env, pipes)
    stdin: tuple[int, int, int] | tuple[int, int, str, int, int]
    if pipes.child_stdin is None:
        stdin = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    else:
        stdin = (os.POSIX_SPAWN_DUP2, pipes.child_stdin, 0)
    return os.posix_spawn(
        path,
        spec.argv,
        env,
        file_actions=[
            stdin,
            (os.POSIX_SPAWN_DUP2, pipes.child_stdout, 1),
            (os.POSIX_SPAWN_DUP2, pipes.child_stderr, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_RESTORED_SIGNALS,
    )


def _start_in_directory(path: str, spec: ProgramSpec, env: Environment, pipes: _Pipes) -> int:
    process = subprocess.Popen(
        spec.argv,
        executable=path,
        env=env,
        cwd=spec.dir,
        stdin=subprocess.DEVNULL if pipes.child_stdin is None else pipes.child_stdin,
        stdout=pipes.child_stdout,
        stderr=pipes.child_stderr,
        close_fds=False,
        start_new_session=True,
    )
    process.returncode = 0  # it is reaped by its pidfd, never by this object
    return process.pid


def _open_pidfd(pid: int) -> int:
    """Open the child's descriptor; without one it cannot be watched, so it is ended at once."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _spawn_error(path: str, error: OSError) -> CommandError:
    text = f"{path}: {error.strerror}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(text)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ForbiddenError(text)
    if error.errno in (errno.E2BIG, errno.ENOEXEC, errno.ELOOP, errno.ENAMETOOLONG):
        return BadRequestError(text)
    return InternalError(text)
