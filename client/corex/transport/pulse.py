"""Whether a subscription that is silent is alive. Pure: told what happens, and when."""

from __future__ import annotations

SILENCE = 7.0
"""Seconds of silence after which a subscription is asked whether it is there."""
PATIENCE = 7.0
"""Seconds within which it answers. Dead ones are noticed within both, and a wait (2 s at most)."""

CONFIRMATIONS = frozenset({"subscribe", "psubscribe"})
"""What redis-py calls the answers to a subscription."""
MESSAGES = frozenset({"message", "pmessage"})
"""What it calls that which was published."""
DEAD = "the subscription does not answer"


class Pulse:
    """One subscription's.

    It is judged only after it was listened to: who was busy elsewhere for an hour finds what came
    meanwhile, and then it is alive.
    """

    def __init__(self, now: float) -> None:
        """Begin with a subscription that was just confirmed."""
        self._heard = now
        self._asked: float | None = None

    def heard(self, now: float) -> None:
        """Take note that something came, whatever it was."""
        self._heard = now
        self._asked = None

    def is_to_ask(self, now: float) -> bool:
        """Tell, after listening in vain, whether to ask now; it counts as asked then."""
        if self._asked is not None or now - self._heard < SILENCE:
            return False
        self._asked = now
        return True

    def is_dead(self, now: float) -> bool:
        """Tell, after listening in vain, whether it was asked and has not answered in time."""
        return self._asked is not None and now - self._asked >= PATIENCE
