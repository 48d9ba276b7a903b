"""Start a program after steps that only its own process can take (see `setup`).

The spawner has one thread, so a fork there is safe. The child reports a step that failed on a pipe
that closes by itself when the program begins: the program either runs, or nothing of it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from corex_node.process.setup import Setup, StepFailedError, become

_EXIT = 127
_REPORT_AT_MOST = 4096


class Report(msgspec.Struct, frozen=True):
    """What went wrong: the argument, the error's number (0 for none) and its text."""

    argument: str
    number: int
    text: str


def fork_program(
    path: str,
    argv: tuple[str, ...],
    env: Mapping[bytes, bytes],
    streams: Sequence[int],
    setup: Setup,
) -> int | Report:
    """Start a program.

    Args:
        path: of the program.
        argv: its name and arguments.
        env: its whole environment.
        streams: descriptors that become its stdin, stdout and stderr; the caller still owns them.
        setup: what is done before.

    Returns:
        Its process ID, or why it was not started: nothing of it is left then.

    Raises:
        OSError: there are no descriptors or processes left.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if pid == 0:
        _become_program(path, argv, env, streams, setup, write)
    os.close(write)
    try:
        report = os.read(read, _REPORT_AT_MOST)
    finally:
        os.close(read)
    if not report:
        return pid
    os.waitpid(pid, 0)
    return msgspec.msgpack.decode(report, type=Report)


def _become_program(
    path: str,
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
        os.execve(path, argv, env)
    except StepFailedError as failed:
        _tell(report, failed.argument, failed.__cause__)
    except BaseException as error:  # noqa: BLE001 - there is nobody else to tell
        _tell(report, "name", error)
    finally:
        os._exit(_EXIT)


def _tell(report: int, argument: str, error: BaseException | None) -> None:
    number = error.errno or 0 if isinstance(error, OSError) else 0
    text = error.strerror if isinstance(error, OSError) else None
    told = Report(argument, number, text or f"{type(error).__name__}: {error}")
    os.write(report, msgspec.msgpack.encode(told)[:_REPORT_AT_MOST])
