"""How a program would be run: asked of a process that does all but begin it.

Whether another user may enter a directory or run a program is the kernel's to say, and it says so
only to a process of that user. So a process is made that goes the way of a real start, up to the
last step, and then tells what it has become, or why it could not.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from corex_node.process.lookup import find_program, program_error
from corex_node.process.privileges import capability_names
from corex_node.process.program import ProgramSpec, inherited_environment
from corex_node.process.setup import LIMITS, Setup, become, prepare
from corex_node.process.spawn import build_environment, check_arguments
from corex_shared.errors import CommandError, InternalError, error_of_code

_PATIENCE = 10.0


class _Question(msgspec.Struct, array_like=True):
    spec: ProgramSpec
    environment: dict[bytes, bytes]


class _Answer(msgspec.Struct, array_like=True):
    """What was found, or the code and reason of an error."""

    found: dict[str, Any]
    code: int = 0
    reason: str = ""


def explain_program(spec: ProgramSpec) -> dict[str, Any]:
    """Tell how a program would be run, and run nothing of it. Blocks for some tenths of a second.

    Returns:
        `binary`, its path; `dir`; `user` and `groups` (all of them) by name, else by number; `uid`;
        `gid`; `capabilities` that it would have in effect; `no_new_privs`; `nice`; `umask` in
        octal; `rlimits`, name → [soft, hard], null for none. What set-user-ID bits and capabilities
        of the program's file would add is not told.

    Raises:
        CommandError: it could not be started; the error is that of a start.
    """
    question = msgspec.msgpack.encode(_Question(spec, inherited_environment()))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "corex_node.process.explain"],
            input=question,
            stdout=subprocess.PIPE,
            timeout=_PATIENCE,
            check=True,
        )
        answer = msgspec.msgpack.decode(done.stdout, type=_Answer)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise InternalError(f"how the program would be run cannot be told: {error}") from error
    if answer.code:
        raise error_of_code(answer.code, answer.reason)
    return answer.found


def _try(spec: ProgramSpec, environment: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Become the process that a program would begin in, and tell what that is."""
    check_arguments(spec)
    setup = prepare(spec)
    env = build_environment(spec, environment, setup.account)
    become(setup)
    path = find_program(spec.argv[0], env)
    _check_program(path)
    return {"binary": os.path.abspath(path), **_whom(), **_rights(), **_bounds(setup)}


def _check_program(path: str) -> None:
    """See that a program may be run; what is in its file is not looked at."""
    try:
        os.stat(path)
    except OSError as error:
        raise program_error(path, error) from error
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise program_error(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _whom() -> dict[str, Any]:
    uid, gid = os.geteuid(), os.getegid()
    groups = sorted({gid, *os.getgroups()})
    return {
        "user": _user_name(uid),
        "uid": uid,
        "gid": gid,
        "groups": [_group_name(number) for number in groups],
    }


def _user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group_name(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def _rights() -> dict[str, Any]:
    """Capabilities after an exec: root gets what its bounds allow, others keep the ambient ones."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    bounds, own, ambient = (int(status[name], 16) for name in ("CapBnd", "CapPrm", "CapAmb"))
    bound = status.get("NoNewPrivs") == "1"
    in_effect = ambient if os.geteuid() else bounds & own if bound else bounds
    return {"capabilities": capability_names(in_effect), "no_new_privs": bound}


def _bounds(setup: Setup) -> dict[str, Any]:
    umask = os.umask(0)
    limits = {name: resource.getrlimit(number) for name, number in LIMITS.items()}
    limits.update((name, (soft, hard)) for name, _, soft, hard in setup.limits)
    return {
        "dir": _directory(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "umask": f"{umask:04o}",
        "rlimits": {name: [_limit(value) for value in pair] for name, pair in limits.items()},
    }


def _directory() -> str | None:
    with suppress(OSError):  # it may have been removed
        return os.getcwd()
    return None


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def main() -> None:
    """Answer the question at stdin on stdout."""
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Question)
    try:
        answer = _Answer(_try(question.spec, question.environment))
    except CommandError as error:
        reason = str(error).encode("utf-8", "replace").decode()
        answer = _Answer({}, error.code, reason)
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main()
