"""What runs for a job: a small protocol, and abilities that it may have besides.

`Process` is one attempt of a job, whatever it is made of: a program, a built-in, or what a factory
of your own makes (`Registry.factory`). Who has an ability is told by its methods, not by its class.
"""

from __future__ import annotations

from typing import Protocol

from corex_node.process.usage import Usage


class Process(Protocol):
    """One attempt of a job."""

    def start(self) -> None:
        """Begin; the end is told to the job's owner, perhaps before this returns.

        Raises:
            CommandError: it could not begin, and no end is told.
        """

    def stop(self, grace: float) -> None:
        """End it: politely, then after `grace` seconds for certain."""


class HasPid(Protocol):
    """Ability: it is a process of the system."""

    @property
    def pid(self) -> int:
        """Process ID; 0 while there is none."""


class Signaler(Protocol):
    """Ability: it takes signals."""

    def signal(self, number: int) -> bool:
        """Send a signal; False when it takes none now."""


class Pausable(Protocol):
    """Ability: it stops writing when it is told that too much waits."""

    def resume(self) -> None:
        """Write on."""


class Stater(Protocol):
    """Ability: it knows what it uses."""

    def usage(self) -> Usage:
        """Tell what it uses, all its children included. Blocks: not for the event loop."""


def pid_of(process: object) -> int:
    """Process ID of an attempt; 0 when it has none."""
    return getattr(process, "pid", 0)


def signal_process(process: object, number: int) -> bool:
    """Send a signal to an attempt; False when it takes none."""
    send = getattr(process, "signal", None)
    return bool(send is not None and send(number))


def resume_process(process: object) -> None:
    """Let an attempt write on that was asked not to."""
    resume = getattr(process, "resume", None)
    if resume is not None:
        resume()


def usage_of(process: object) -> Usage:
    """Tell what an attempt uses; nothing when it does not know. Blocks."""
    usage = getattr(process, "usage", None)
    return usage() if usage is not None else Usage()
