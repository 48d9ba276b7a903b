"""What a shell completes: nodes, groups and labels for a TARGET; jobs for a JOB.

It comes from Redis, within a second; when anything is wrong nothing is completed, and nothing said.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from corex.sync import Client
    from corex_shared.models import NodeInfo

_T = TypeVar("_T")

SECONDS = 1.0
"""Within which a shell gets its answer."""
ASKED = 20
"""Nodes that are asked for their jobs; where there are more, jobs are not completed."""
_ANSWER = 0.7
"""Seconds that nodes have to answer."""


def complete_target(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the last part of a target."""
    done, comma, part = incomplete.rpartition(",")
    nodes = _within(context, lambda client: client.nodes())
    return [f"{done}{comma}{name}" for name in sorted(_names(nodes)) if name.startswith(part)]


def complete_node_path(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the node of a `NODE:PATH`."""
    nodes = _within(context, lambda client: client.nodes())
    return [f"{node.id}:" for node in nodes if node.id.startswith(incomplete)]


def complete_job(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the ID of a job that some node has."""
    return sorted(job for job in _within(context, _jobs) if job.startswith(incomplete))


def _names(nodes: Iterable[NodeInfo]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        names.add(node.id)
        names.update(f"@{group}" for group in node.groups)
        names.update(f"{key}={value}" for key, value in node.labels.items() if "," not in value)
    return names


def _jobs(client: Client) -> list[str]:
    from corex.questions.jobs import list_jobs
    from corex.survey import Survey

    alive = [node.id for node in client.nodes() if node.alive]
    if len(alive) > ASKED:
        return []
    survey = Survey(client.core, alive, [list_jobs(None)], _ANSWER)
    replies = client.iterate(survey.run())
    found = {entry.id for reply in replies for entry in reply.value or ()}
    return list(found - survey.jobs)


def _within(context: typer.Context, look: Callable[[Client], list[_T]]) -> list[_T]:
    """Look, in a thread that is left to itself when the time is up."""
    import corex.questions.jobs
    import corex.survey
    import corex.sync  # noqa: F401 - what takes long on a busy machine, before the time begins
    from corex.cli.session import client_of

    found: list[_T] = []

    def run() -> None:
        # Whatever is wrong, a shell's prompt is no place to say so.
        with contextlib.suppress(Exception):
            _choose_profile(context)
            with client_of(context) as client:
                found.extend(look(client))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return [] if thread.is_alive() else found


def _choose_profile(context: typer.Context) -> None:
    """Choose the profile, as `corex` itself does when it is not run only to complete."""
    from corex.profiles.choice import choose_profile, load_file

    root = context.find_root()
    source = root.get_parameter_source("profile")
    given = source is not None and source.name == "COMMANDLINE"
    named = root.params.get("profile") if given else None
    root.obj = choose_profile(load_file(needed=bool(named)), named, "--profile")
