"""What a program is to be run like."""

from __future__ import annotations

import os

from msgspec import Struct

_PRIVATE_PREFIX = b"COREX_"


class ProgramSpec(Struct, frozen=True, array_like=True):
    """A program to run.

    Attributes:
        argv: name (looked up in PATH) and arguments.
        env: added to the inherited environment.
        clear_env: whether `env` replaces it instead.
        dir: working directory, None for the agent's.
        marks: names that are set in its environment whatever `env` says.
    """

    argv: tuple[str, ...]
    env: dict[str, str] | None = None
    clear_env: bool = False
    dir: str | None = None
    marks: dict[str, str] | None = None


def inherited_environment() -> dict[bytes, bytes]:
    """The environment as programs may see it: without the agent's own settings.

    Those hold the address of Redis and its password.
    """
    return {
        name: value for name, value in os.environb.items() if not name.startswith(_PRIVATE_PREFIX)
    }
