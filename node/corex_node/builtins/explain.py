"""`core.explain`: what would become of a command. Runs nothing."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from corex_node.manager.context import Context
from corex_node.manager.outcome import Outcome, of_error, of_state
from corex_node.manager.ports import Clock
from corex_node.manager.registry import Entry, Kind, Registry
from corex_node.process.explain import explain_program
from corex_node.rules import refusal_of
from corex_shared import codec
from corex_shared.errors import CommandError
from corex_shared.models import Command
from corex_shared.states import JobState


def register(registry: Registry, clock: Clock) -> None:
    """Add the command to a registry."""

    async def explain(context: Context, asked: Command) -> dict[str, Any]:
        """Answer whether a command would be run, by which rule, how, and when.

        `rule` is the field or argument that decides, empty when nothing forbids it; `state`, `code`
        and `reason` are those of the result that it would have at once.
        """
        entry = context.manager.registry.get(asked.command)
        answer: dict[str, Any] = {"command": asked.command, "allowed": True, "rule": ""}
        refusal = refusal_of(asked, entry is not None, clock.now_ms())
        if refusal is not None or entry is None:
            return answer | _refused(*refusal) if refusal is not None else answer
        if asked.id is not None and asked.id in context.manager.jobs:
            used = of_state(JobState.DUPLICATE_ID, "id: it is in use or has a result")
            return answer | _refused("id", used)
        answer["kind"] = entry.kind.value
        try:
            answer |= await _explain_call(context, entry, asked)
        except CommandError as error:
            argument, colon, _ = str(error).partition(":")
            answer |= _refused(argument if colon else "arguments", of_error(error))
        return answer | await _place(context, asked)

    registry.command("core.explain", Command, repeatable=True)(explain)


def _refused(rule: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "allowed": False,
        "rule": rule,
        "state": outcome.state,
        "code": outcome.code,
        "reason": codec.decode_data(outcome.data) if outcome.data else "",
    }


async def _explain_call(context: Context, entry: Entry, asked: Command) -> dict[str, Any]:
    """Check the arguments, and tell how a program would be run.

    Raises:
        CommandError: the arguments are wrong, or it would not be started.
    """
    arguments = entry.parse(asked.arguments)
    if entry.kind is not Kind.PROGRAM:
        return {}
    spec = entry.bind(arguments, context)().spec
    if context.manager.unprivileged:
        spec = structs.replace(spec, unprivileged=True)
    return await context.in_thread(explain_program, spec)


async def _place(context: Context, asked: Command) -> dict[str, Any]:
    """Tell where the command would stand now.

    Raises:
        ServiceUnavailableError: its queue is one of all nodes, and Redis cannot be asked.
    """
    lineup = context.manager.lineup
    place: dict[str, Any] = {"queue": asked.queue, "position": 0, "waits_for": None}
    if asked.queue is not None and asked.queue_scope == "fleet" and lineup.fleet is not None:
        shown = await lineup.fleet.shown(asked.queue)
        if shown.holder or shown.waiters:
            ahead = len(shown.waiters) + bool(shown.holder)
            return place | {"position": ahead, "holder": shown.holder, "waits_for": "queue"}
        asked = structs.replace(asked, queue=None)  # nobody of the node's own queue is meant
    holder = lineup.queues.holder(asked.queue) if asked.queue is not None else None
    if holder is not None and asked.queue is not None:
        ahead = 1 + len(lineup.queues.waiters(asked.queue))
        place |= {"position": ahead, "holder": holder.id, "waits_for": "queue"}
    elif lineup.free <= 0:
        place["waits_for"] = "slot"
    return place
