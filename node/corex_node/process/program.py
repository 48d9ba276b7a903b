"""What a program is to be run like."""

from __future__ import annotations

import os

from msgspec import Struct

JOB_MARK = "COREX_JOB_ID"
"""Variable by which every process of a job is known, unless it took care to remove it."""
NODE_MARK = "COREX_JOB_NODE"
"""Variable that tells the node of such a process."""

TOKEN_VARIABLE = "COREX_FENCING_TOKEN"
"""Variable that tells by which token the job holds its queue, if all nodes share that."""

_PRIVATE_PREFIX = b"COREX_"


class ProgramSpec(Struct, frozen=True, array_like=True):
    """A program to run.

    Attributes:
        argv: name (looked up in PATH) and arguments.
        env: added to the inherited environment.
        clear_env: whether `env` replaces it instead.
        dir: working directory, None for the agent's.
        marks: names that are set in its environment whatever `env` says.
        user: name or number of whom it runs as, with all supplementary groups.
        group: name or number of its primary group, the user's own if None.
        umask: of the files that it makes.
        nice: added to the agent's niceness.
        rlimits: name as in getrlimit(2), lower case, without RLIMIT_ → soft and hard limit; -1 for
            none.
        own_group: whether it leads a session and a process group of its own.
        unprivileged: whether it lacks the capabilities listed in `privileges`.
    """

    argv: tuple[str, ...]
    env: dict[str, str] | None = None
    clear_env: bool = False
    dir: str | None = None
    marks: dict[str, str] | None = None
    user: str | int | None = None
    group: str | int | None = None
    umask: int | None = None
    nice: int | None = None
    rlimits: dict[str, tuple[int, int]] | None = None
    own_group: bool = True
    unprivileged: bool = False


def inherited_environment() -> dict[bytes, bytes]:
    """The environment as programs may see it: without the agent's own settings.

    Those hold the address of Redis and its password.
    """
    return {
        name: value for name, value in os.environb.items() if not name.startswith(_PRIVATE_PREFIX)
    }
