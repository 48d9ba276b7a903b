"""`core.system`, `bash`: programs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from corex_node.builtins.stdin import stdin_of
from corex_node.manager.registry import Program, Registry
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError

Number = Annotated[int, Meta(ge=0, le=2**32 - 2)]
"""Of a user or group; 2**32 - 1 means "leave as it is" to setresuid(2)."""
_LONGEST_SCRIPT = 128 * 1024 - 1
"""Bytes of one argument of a program, see execve(2)."""
_NO_LIMIT = -1
_OCTAL = re.compile(r"[0-7]{1,4}")
_MOST = 2**63 - 1


class SystemArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `core.system`.

    Attributes:
        name: program, looked up in the PATH of its own environment.
        args: its arguments.
        dir: working directory.
        env: added to the agent's environment, or in its place with `clear_env`.
        clear_env: see `env`.
        stdin: text, or bytes in MessagePack.
        user: name or number of whom it runs as, with all supplementary groups.
        group: name or number of its primary group.
        umask: a number, or octal text such as "022".
        nice: added to the agent's niceness, -20 to 19.
        rlimits: name as in getrlimit(2), lower case, without RLIMIT_ → one number for both limits,
            or [soft, hard]; null or -1 for no limit.
    """

    name: str
    args: list[str] | None = None
    dir: str | None = None
    env: dict[str, str] | None = None
    clear_env: bool | None = None
    stdin: Any = None
    user: str | Number | None = None
    group: str | Number | None = None
    umask: Annotated[int, Meta(ge=0, le=0o777)] | str | None = None
    nice: Annotated[int, Meta(ge=-20, le=19)] | None = None
    rlimits: dict[str, Any] | None = None


class BashArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `bash`: a script for `sh`, and what it reads."""

    script: str
    stdin: Any = None


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.program("core.system", SystemArguments)(system)
    registry.program("bash", BashArguments)(bash)


def system(arguments: SystemArguments) -> Program:
    """Run a program."""
    _check_text("name", arguments.name)
    spec = ProgramSpec(
        (arguments.name, *(arguments.args or ())),
        arguments.env,
        bool(arguments.clear_env),
        arguments.dir,
    )
    if _asks_more(arguments):
        spec = _with_options(spec, arguments)
    return Program(spec, stdin_of(arguments.stdin))


def bash(arguments: BashArguments) -> Program:
    """Run a script with `sh`."""
    _check_text("script", arguments.script)
    if len(arguments.script.encode("utf-8", "replace")) > _LONGEST_SCRIPT:
        raise BadRequestError(
            f"script: more than {_LONGEST_SCRIPT} bytes: feed it to `sh` by stdin"
        )
    return Program(ProgramSpec(("sh", "-c", arguments.script)), stdin_of(arguments.stdin))


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise BadRequestError(f"{name}: it holds a NUL")


def _asks_more(arguments: SystemArguments) -> bool:
    more = (arguments.user, arguments.group, arguments.umask, arguments.nice, arguments.rlimits)
    return any(value is not None for value in more)


def _with_options(spec: ProgramSpec, arguments: SystemArguments) -> ProgramSpec:
    return ProgramSpec(
        spec.argv,
        spec.env,
        spec.clear_env,
        spec.dir,
        user=arguments.user,
        group=arguments.group,
        umask=_umask(arguments.umask),
        nice=arguments.nice,
        rlimits={name: _pair(name, value) for name, value in (arguments.rlimits or {}).items()}
        or None,
    )


def _umask(value: int | str | None) -> int | None:
    if not isinstance(value, str):
        return value
    if not _OCTAL.fullmatch(value):
        raise BadRequestError(f"umask: {value[:40]!r}: one to four octal digits expected")
    return int(value, 8)


def _pair(name: str, value: Any) -> tuple[int, int]:
    """Read the soft and the hard limit."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise BadRequestError(f"rlimits.{name}: a number, or a soft and a hard one, expected")
    soft, hard = (_limit(name, part) for part in pair)
    return soft, hard


def _limit(name: str, value: Any) -> int:
    if value is None:
        return _NO_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or not _NO_LIMIT <= value <= _MOST:
        raise BadRequestError(f"rlimits.{name}: -1 to {_MOST}, or null, expected")
    return value
