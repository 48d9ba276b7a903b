"""Whether a silent subscription is alive."""

from __future__ import annotations

from corex.core import BLOCK
from corex.transport.pulse import PATIENCE, SILENCE, Pulse


def test_a_silent_subscription_is_asked_once() -> None:
    """After a silence it is asked, and not again before it has answered."""
    pulse = Pulse(0.0)
    assert not pulse.is_to_ask(SILENCE - 0.1)
    assert pulse.is_to_ask(SILENCE)
    assert not pulse.is_to_ask(SILENCE + 1)
    pulse.heard(SILENCE + 1)
    assert not pulse.is_to_ask(SILENCE + 2)
    assert pulse.is_to_ask(2 * SILENCE + 1)


def test_one_that_does_not_answer_is_dead() -> None:
    """It has some seconds to answer in; silence alone is no death."""
    pulse = Pulse(0.0)
    assert not pulse.is_dead(1000.0)
    assert pulse.is_to_ask(1000.0)
    assert not pulse.is_dead(1000.0 + PATIENCE - 0.1)
    assert pulse.is_dead(1000.0 + PATIENCE)
    pulse.heard(1000.0 + PATIENCE)
    assert not pulse.is_dead(2000.0)


def test_a_dead_one_is_noticed_within_twenty_seconds() -> None:
    """Silence, patience and a wait in between are no more."""
    assert SILENCE + PATIENCE + 2 <= 20


def test_a_dead_one_is_noticed_within_the_time_that_is_promised() -> None:
    """20 seconds, a wait included that was begun just before."""
    assert SILENCE + PATIENCE + 2 * BLOCK < 20
