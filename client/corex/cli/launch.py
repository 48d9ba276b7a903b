"""Running a command on the nodes of a target, by a run of the fleet, and showing what it does."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from corex.cli.account import give_account, say_cancelled
from corex.cli.exits import BROKEN_PIPE, FAILED
from corex.cli.interruption import code_of, interruptible
from corex.cli.launched import Launch
from corex.cli.output import LiveOutput
from corex.cli.render import put_json, put_line, say
from corex.cli.run_exits import exit_code_of_run
from corex.cli.status_line import StatusLine
from corex.fleet.events import Note, Started
from corex.fleet.outcome import Outcome
from corex_shared.errors import CorexError, NoSuchRunError
from corex_shared.identifiers import new_id

if TYPE_CHECKING:
    from corex.fleet.run import FleetRun
    from corex.sync import Client


def detach_jobs(client: Client, launch: Launch) -> int:
    """Start a command on each node of a target and print the job IDs; nobody waits for the run.

    Returns:
        The exit code.
    """
    run = _begin(client, launch, new_id())
    away = {outcome.node for outcome in run.known_outcomes}
    for node, job in zip(run.nodes, run.jobs, strict=True):
        if node not in away:
            put_line(job)
    if not away:
        return 0
    give_account(client, run.known_outcomes, several=len(run.nodes) > 1, counted=False)
    return exit_code_of_run(run.known_outcomes) if len(away) == len(run.nodes) else FAILED


def run_jobs(client: Client, launch: Launch) -> int:
    """Run a command on each node of a target, showing output or printing results.

    Returns:
        The exit code.
    """
    run_id = new_id()  # chosen before it is known whether the run begins
    run: FleetRun | None = None
    with interruptible():
        try:
            begun = time.monotonic()
            run = _begin(client, launch, run_id)
            _follow(run, launch)
            overdue = time.monotonic() - begun >= launch.timeout
            if launch.as_json:
                _put_lines(run)
            else:
                give_account(
                    client,
                    run.known_outcomes,
                    several=len(run.nodes) > 1,
                    overdue=launch.timeout if overdue else None,
                )
        except KeyboardInterrupt as interrupt:
            code = code_of(interrupt)
            with contextlib.suppress(KeyboardInterrupt):  # a second one leaves at once
                _cancel(client, run, run_id, launch)
            return code
        except BrokenPipeError:
            _silence_stdout()
            with contextlib.suppress(KeyboardInterrupt):
                _stop(client, run, run_id)
            return BROKEN_PIPE
    return exit_code_of_run(run.known_outcomes, overdue=overdue)


def _begin(client: Client, launch: Launch, run_id: str) -> FleetRun:
    command = msgspec.structs.replace(
        launch.command, id=run_id, stream=None if launch.as_json else True
    )
    return client.fleet(launch.target).run(
        command,
        batch=launch.batch,
        canary=launch.canary,
        max_failures=launch.max_failures,
        timeout=launch.timeout,
    )


def _follow(run: FleetRun, launch: Launch) -> None:
    """Show what happens, to the end of the run."""
    output = LiveOutput(dict(zip(run.jobs, run.nodes, strict=True)), raw=launch.raw)
    status = StatusLine(len(run.nodes))
    with contextlib.closing(run.events(messages=not launch.as_json)) as events:
        try:
            for event in events:
                status.hide()
                if isinstance(event, Outcome):
                    status.ended(event)
                elif isinstance(event, Started):
                    status.started()
                elif isinstance(event, Note):
                    say(event.text)
                else:
                    output.show(event)
                status.show()
        finally:
            status.hide()
            output.finish()


def _put_lines(run: FleetRun) -> None:
    for outcome in run.known_outcomes:
        put_json(_line(outcome))


def _line(outcome: Outcome) -> dict[str, object]:
    """Write an outcome as an object: the result of its job, if there is one, and what it adds."""
    added = {"status": outcome.status, "reason": outcome.reason, "last_seen": outcome.last_seen}
    if outcome.result is None:
        return {"node": outcome.node, "id": outcome.job, **added}
    return {**msgspec.to_builtins(outcome.result), **added}


def _cancel(client: Client, run: FleetRun | None, run_id: str, launch: Launch) -> None:
    """End what was started, and say what was."""
    if sys.stderr.isatty():
        say("killing what was started (Ctrl-C leaves at once)")
    before = [] if run is None else run.known_outcomes
    run = _stop(client, run, run_id)
    if run is None:
        return
    say_cancelled(run.known_outcomes, before)
    if launch.as_json and len(before) < len(run.nodes):  # else they are printed, or were begun to
        try:
            _put_lines(run)
        except BrokenPipeError:  # who read them was ended by the same Ctrl-C
            _silence_stdout()


def _stop(client: Client, run: FleetRun | None, run_id: str) -> FleetRun | None:
    """Cancel a run; return it, or None if it never began or could not be."""
    try:
        run = run or client.run(run_id)
        run.cancel()
    except NoSuchRunError:
        return None
    except CorexError as error:
        say(f"while killing what was started: {error}")
        say(f"run {run_id} may go on")
        return None
    return run


def _silence_stdout() -> None:
    """Let nothing complain, at exit, that stdout is closed."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
