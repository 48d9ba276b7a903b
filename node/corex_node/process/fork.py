"""Start a program after steps that only its own process can take (see `setup`).

The spawner has one thread, so a fork there is safe. The child reports a step that failed on a pipe
that closes by itself when the program begins: the program either runs, or nothing of it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from corex_node.process.lookup import find_program, program_error
from corex_node.process.setup import Setup, become, limit
from corex_shared.errors import BadRequestError, CommandError, error_of_code

_EXIT = 127
_LONGEST_REASON = 1000
_REPORT_AT_MOST = 4096  # what a pipe takes and gives as one, PIPE_BUF


class _Report(msgspec.Struct, frozen=True, array_like=True):
    """Why there is no program."""

    code: int
    reason: str


def fork_program(
    argv: tuple[str, ...], env: Mapping[bytes, bytes], streams: Sequence[int], setup: Setup
) -> int:
    """Start a program.

    Args:
        argv: its name (looked up in PATH as whoever it runs as) and arguments.
        env: its whole environment.
        streams: descriptors that become its stdin, stdout and stderr; the caller still owns them.
        setup: what is done before.

    Returns:
        Its process ID.

    Raises:
        CommandError: it was not started; nothing of it is left.
        OSError: there are no descriptors or processes left.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            pid = os.fork()
            if pid == 0:
                _become_program(argv, env, streams, setup, write)
        finally:
            os.close(write)
        report = os.read(read, _REPORT_AT_MOST)
    finally:
        os.close(read)
    if not report:
        return pid
    os.waitpid(pid, 0)
    why = msgspec.msgpack.decode(report, type=_Report)
    raise error_of_code(why.code, why.reason)


def _become_program(
    argv: tuple[str, ...],
    env: Mapping[bytes, bytes],
    streams: Sequence[int],
    setup: Setup,
    report: int,
) -> NoReturn:
    """Be the child: whatever happens, this process does not go on as its parent would."""
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        become(setup)
        path = find_program(argv[0], env)
        limit(setup)
        _execute(path, argv, env, setup)
    except CommandError as error:
        _tell(report, error.code, str(error))
    except BaseException as error:  # noqa: BLE001 - there is nobody else to tell
        _tell(report, CommandError.code, f"{type(error).__name__}: {error}")
    finally:
        os._exit(_EXIT)


def _execute(
    path: str, argv: tuple[str, ...], env: Mapping[bytes, bytes], setup: Setup
) -> NoReturn:
    try:
        os.execve(path, argv, env)
    except MemoryError as error:
        if setup.limits:
            raise BadRequestError("rlimits: too little memory to start a program") from error
        raise
    except OSError as error:
        raise program_error(path, error) from error


def _tell(report: int, code: int, reason: str) -> None:
    text = reason[:_LONGEST_REASON].encode("utf-8", "replace").decode()
    os.write(report, msgspec.msgpack.encode(_Report(code, text)))
