"""How a program would be run, found without running it."""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from typing import Any

from corex_node.process.account import Account
from corex_node.process.privileges import capability_names, dropped_numbers
from corex_node.process.program import ProgramSpec, inherited_environment
from corex_node.process.setup import Setup, prepare
from corex_node.process.spawn import build_environment, check_directory, find_program
from corex_shared.errors import ForbiddenError


def explain_program(spec: ProgramSpec) -> dict[str, Any]:
    """Tell which program would be run, as whom, where and with what rights. Blocks.

    What only the new process can find out (whether a user may enter a directory or run a file of
    somebody else's) is not known here.

    Raises:
        CommandError: it would not be started, for this reason.
    """
    setup = prepare(spec)
    env = build_environment(spec, inherited_environment())
    if spec.dir is not None:
        check_directory(spec.dir)
    path = find_program(spec.argv[0], env, spec.dir)
    _check_file(path, spec.dir)
    account = setup.account
    if account is not None and account.uid not in (None, os.geteuid()) and os.geteuid() != 0:
        raise ForbiddenError(f"user: {spec.user}: only root may become another user")
    uid = os.geteuid() if account is None or account.uid is None else account.uid
    return {
        "binary": os.path.join(spec.dir or os.getcwd(), path),
        "dir": spec.dir or os.getcwd(),
        "user": _user_name(uid),
        "uid": uid,
        "gid": account.gid if account is not None else os.getegid(),
        "groups": _groups(account),
        "capabilities": _capabilities(uid, setup),
        "no_new_privs": setup.unprivileged,
        "umask": setup.umask,
        "nice": setup.nice,
        "rlimits": {name: list(pair) for name, pair in (spec.rlimits or {}).items()},
    }


def _check_file(path: str, directory: str | None) -> None:
    """See that a program named with a slash can be run.

    Raises:
        ForbiddenError: it may not.
        NotFoundError: there is none.
    """
    seen = os.path.join(directory or ".", path)
    find_program(os.path.basename(seen), {b"PATH": os.fsencode(os.path.dirname(seen))}, None)


def _groups(account: Account | None) -> list[str]:
    numbers = account.groups if account is not None else os.getgroups()
    gid = account.gid if account is not None else os.getegid()
    return [_group_name(number) for number in sorted({gid, *numbers})]


def _capabilities(uid: int, setup: Setup) -> list[str]:
    """What a program would have of its own: root's bounding set, nothing for others."""
    mask = _own_mask("CapBnd" if os.geteuid() == 0 else "CapEff") if uid == os.geteuid() else 0
    if uid == 0:
        mask = _own_mask("CapBnd")
    if setup.unprivileged:
        for number in dropped_numbers():
            mask &= ~(1 << number)
    return capability_names(mask)


def _own_mask(name: str) -> int:
    """Read one of this process's sets: proc_pid_status(5)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1], 16)
    return 0


def _user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group_name(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
