"""Driving plans by hand: no Redis, no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corex.core import Core
from corex.effects import Effect, Emit, Plan, Sleep, advance
from corex_shared.codec import Encoding, encode
from corex_shared.models import Command, JobResult, Message
from corex_shared.states import JobState


class Clock:
    """A clock that only goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_core(clock: Clock | None = None, **fields: Any) -> Core:
    """Make a core with a known client ID and a clock that stands still."""
    return Core(client_id="me", clock=clock or Clock(), now_ms=lambda: 1_700_000_000_000, **fields)


class Played:
    """What a plan did with the answers it was given."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.emitted: list[Any] = []
        self.value: Any = None
        self.done = False


def play(plan: Plan[Any], *answers: Any, clock: Clock | None = None) -> Played:
    """Run a plan, answering its effects in turn.

    An answer is a value, an error to raise, or a function of the effect. `Emit` is not answered
    but collected; `Sleep` is not answered either: the clock goes on. The plan is left where it is
    when the answers run out.
    """
    played = Played()
    rest = list(answers)
    reply: Any = None
    error: Exception | None = None
    while True:
        try:
            effect: Effect = advance(plan, reply, error)
        except StopIteration as stop:
            played.value, played.done = stop.value, True
            return played
        reply = error = None
        if isinstance(effect, Emit):
            played.emitted.append(effect.item)
            continue
        played.effects.append(effect)
        if isinstance(effect, Sleep):
            if clock is not None:
                clock.now += effect.seconds
            continue
        if not rest:
            return played
        answer = rest.pop(0)
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(effect)
        if isinstance(answer, Exception):
            error = answer
        else:
            reply = answer


def result_of(job: str, state: JobState = JobState.SUCCESS, **fields: Any) -> JobResult:
    """Make a result."""
    code = fields.pop("code", 0 if state is JobState.SUCCESS else 1001)
    return JobResult(id=job, command="core.ping", node="n1", state=state, code=code, **fields)


def packed(model: Command | JobResult | Message) -> bytes:
    """Encode in MessagePack."""
    return encode(model, Encoding.MSGPACK)


def message_of(job: str, seq: int, text: str = "", *, flags: int = 1, level: int = 1) -> Message:
    """Make a message; its text is its number unless given."""
    return Message(job, "n1", seq, level, flags, text or str(seq), 0)
