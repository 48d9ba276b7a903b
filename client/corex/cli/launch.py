"""Running a command on several targets at once, over one subscription."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from corex.cli.exits import (
    BROKEN_PIPE,
    FAILED,
    INTERRUPTED,
    NO_ANSWER,
    TIMED_OUT,
    exit_code_of_all,
    has_exit_code,
)
from corex.cli.output import LiveOutput
from corex.cli.render import failure, put_json, put_line, say
from corex.follow import launch
from corex.gather import as_completed
from corex.kill import kill_many
from corex.submit import prepare, send
from corex.targets import parse_target, select
from corex.ticket import Ticket
from corex_shared.errors import CorexError, WaitTimeout
from corex_shared.models import Command, JobResult

if TYPE_CHECKING:
    from corex.sync import Client

STOP_TIMEOUT = 5.0
"""Seconds that killing what was started may take."""
RESULT_TIMEOUT = 10.0
"""Seconds within which a result follows the last message: they are written together."""


def _prepare(client: Client, target: str, command: Command) -> list[Ticket]:
    """Prepare a command for each node, or group, of a target.

    Raises:
        NoSuchNodeError: a part of the target names no node; nothing was pushed.
    """
    chosen = select(parse_target(target), client.nodes())
    return [prepare(client.core, one, command) for one in chosen]


def detach_jobs(client: Client, target: str, command: Command) -> int:
    """Push a command to each target and print the job IDs."""
    command = msgspec.structs.replace(command, stream=True)  # for `corex logs`
    tickets = _prepare(client, target, command)
    client.perform(send(client.core, tickets))
    for ticket in tickets:
        put_line(ticket.id)
    return 0


def run_jobs(
    client: Client, target: str, command: Command, *, timeout: float, as_json: bool
) -> int:
    """Run a command on each target, showing output or printing results.

    Returns:
        The exit code.
    """
    command = msgspec.structs.replace(command, stream=None if as_json else True)
    tickets = _prepare(client, target, command)
    results: dict[int, JobResult] = {}
    with _interruptible():
        try:
            if as_json:
                client.perform(send(client.core, tickets))
            else:
                _show_output(client, tickets, timeout)
            _gather(client, tickets, results, timeout if as_json else RESULT_TIMEOUT)
            _report([results[index] for index in range(len(tickets))], as_json=as_json)
        except WaitTimeout as error:
            return _give_up(client, tickets, results, error, as_json=as_json)
        except KeyboardInterrupt as interrupt:
            stop_jobs(client, tickets)
            return interrupt.code if isinstance(interrupt, _Stopped) else INTERRUPTED
        except BrokenPipeError:
            _silence_stdout()
            stop_jobs(client, tickets)
            return BROKEN_PIPE
    return exit_code_of_all(list(results.values()))


def _show_output(client: Client, tickets: Sequence[Ticket], timeout: float) -> None:
    output = LiveOutput({ticket.id: ticket.target for ticket in tickets})
    with contextlib.closing(client.iterate(launch(client.core, tickets, timeout))) as messages:
        try:
            for message in messages:
                output.show(message)
        finally:
            output.finish()


def _gather(
    client: Client, tickets: Sequence[Ticket], results: dict[int, JobResult], timeout: float
) -> None:
    plan = as_completed(client.core, tickets, timeout, fresh=True)
    results.update(client.iterate(plan))  # also what came before an error


def _report(results: Sequence[JobResult], *, as_json: bool) -> None:
    for result in results:
        if as_json:
            put_json(result)
        elif not result.ok and (len(results) > 1 or not has_exit_code(result)):
            say(failure(result))


def _give_up(
    client: Client,
    tickets: Sequence[Ticket],
    results: dict[int, JobResult],
    error: WaitTimeout,
    *,
    as_json: bool,
) -> int:
    """Kill what has not ended in time, and say what has."""
    say(str(error))
    results.update(stop_jobs(client, tickets))
    _report([results[index] for index in sorted(results)], as_json=as_json)
    if len(results) == len(tickets) and not any(result.attempts for result in results.values()):
        return NO_ANSWER
    return TIMED_OUT if len(tickets) == 1 else FAILED


def stop_jobs(client: Client, tickets: Sequence[Ticket]) -> dict[int, JobResult]:
    """Kill jobs, within a few seconds.

    Returns:
        The results that came in that time, by the index of their ticket.
    """
    results: dict[int, JobResult] = {}
    if sys.stderr.isatty():
        say("killing what was started (Ctrl-C leaves at once)")
    try:
        results.update(client.iterate(kill_many(client.core, tickets, STOP_TIMEOUT)))
    except WaitTimeout:
        pass  # told below, of each job
    except CorexError as error:
        say(f"while killing what was started: {error}")
    for index, ticket in enumerate(tickets):
        if index not in results:
            say(f"{ticket.target}: job {ticket.id} may still run")
    return results


class _Stopped(KeyboardInterrupt):
    """Another signal than that of Ctrl-C asks to end."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number
        super().__init__()


def _stop(number: int, _: FrameType | None) -> None:
    raise _Stopped(number)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let the signals that end a program do what Ctrl-C does."""
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    # An ignored signal stays so: nohup.
    before = {
        number: signal.signal(number, _stop)
        for number in numbers
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _silence_stdout() -> None:
    """Let nothing complain, at exit, that stdout is closed."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
