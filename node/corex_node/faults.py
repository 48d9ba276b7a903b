"""Named points at which a test has the agent die, to see what its successor makes of it.

`COREX_FAULT=<point>[:<count>]` in the environment has the agent killed (SIGKILL, as by the kernel
when memory runs out) as it passes that point for the count-th time, 1 unless given. With
`<point>:<count>:stop` it is stopped there instead (SIGSTOP), as machines are that hang: what it
was about to do it does when it goes on, by when it may have a successor.
"""

from __future__ import annotations

import signal

from corex_shared.errors import ConfigError

VARIABLE = "COREX_FAULT"

CLAIMED = "claimed"
"""Commands were claimed; nothing else is known of them."""
ACCEPTED = "accepted"
"""IDs and stages are written; nothing was started."""
MARKED = "marked"
"""It is written that jobs which waited run now; they were not started."""
STARTED = "started"
"""A job was started, perhaps as a process."""
ENDED = "ended"
"""A job has ended; its result is nowhere but here."""
FINISHED = "finished"
"""Results are written; their commands are claimed still."""
RELEASED = "released"
"""Finished commands were forgotten."""
GAVE_BACK = "gave-back"
"""Commands that had not started are back on their list."""
REAP_MOVED = "reap-moved"
"""Expired commands of a node that is gone were moved off its list; they have no results yet."""
REAP_FINISHED = "reap-finished"
"""Results of a node that is gone are written; its commands are claimed still."""

TAKEN_OVER = "taken-over"
"""Jobs of a node that is gone were taken over; neither their ends are written nor their commands
back on the list of their group."""

POINTS = (
    CLAIMED,
    ACCEPTED,
    MARKED,
    STARTED,
    ENDED,
    FINISHED,
    RELEASED,
    GAVE_BACK,
    REAP_MOVED,
    REAP_FINISHED,
    TAKEN_OVER,
)


class Faults:
    """The point at which this agent is to die, if any."""

    def __init__(self) -> None:
        """Let it live."""
        self._point = ""
        self._left = 0
        self._signal = signal.SIGKILL

    def arm(self, setting: str) -> None:
        """Choose the point.

        Args:
            setting: `<point>[:<count>[:stop]]`, or empty for none.

        Raises:
            ConfigError: there is no such point, or the count is no number.
        """
        point, *more = setting.split(":")
        good = point in POINTS and (not more or more[0].isdecimal()) and more[1:] in ([], ["stop"])
        if setting and not good:
            expected = (
                f"one of {', '.join(POINTS)}, and perhaps :<count>, or :<count>:stop expected"
            )
            raise ConfigError("environment", VARIABLE, f"{setting!r}: {expected}")
        self._point, self._left = point, int(more[0]) if more else 1
        self._signal = signal.SIGSTOP if more[1:] else signal.SIGKILL

    def reach(self, point: str) -> None:
        """Pass a point."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                signal.raise_signal(self._signal)


FAULTS = Faults()
"""Those of this process."""
