"""Whom a program is run as: a user with all the groups that it has."""

from __future__ import annotations

import grp
import os
import pwd

from msgspec import Struct

from corex_shared.errors import BadRequestError, NotFoundError

_LAST_ID = 2**32 - 2  # 2**32 - 1 means "leave as it is" to setresuid(2)


class Account(Struct, frozen=True):
    """A user and its groups.

    Attributes:
        uid: None to stay who the agent is.
        gid: of the primary group.
        groups: supplementary groups, all of them.
        variables: that a login would set.
    """

    uid: int | None
    gid: int
    groups: list[int]
    variables: dict[bytes, bytes]


def find_account(user: str | int | None, group: str | int | None) -> Account | None:
    """Find whom a program is to be run as; None when nothing is asked for.

    Args:
        user: name or number; its groups are those of the system's database. A number that nobody
            has is taken with no group but `group`, which must be given then.
        group: name or number of the primary group, the user's own if None.

    Raises:
        NotFoundError: there is no such user or group.
        BadRequestError: a number that is none, or a number that nobody has, without a group.
    """
    if user is None and group is None:
        return None
    gid = None if group is None else _find_group(group)
    if user is None:
        return Account(None, gid if gid is not None else os.getgid(), os.getgroups(), {})
    entry = _find_user(user)
    if entry is None:
        if gid is None:
            raise BadRequestError(f"user: {user}: nobody has this number, so group is needed too")
        return Account(int(user), gid, [gid], {})
    primary = entry.pw_gid if gid is None else gid
    variables = {
        b"HOME": os.fsencode(entry.pw_dir),
        b"USER": os.fsencode(entry.pw_name),
        b"LOGNAME": os.fsencode(entry.pw_name),
        b"SHELL": os.fsencode(entry.pw_shell or "/bin/sh"),
    }
    groups = os.getgrouplist(entry.pw_name, primary)
    return Account(entry.pw_uid, primary, groups, variables)


def _find_user(user: str | int) -> pwd.struct_passwd | None:
    """Find a user; None for a number that nobody has."""
    try:
        if isinstance(user, int):
            return pwd.getpwuid(_checked("user", user))
        return pwd.getpwnam(user)
    except KeyError as error:
        if isinstance(user, int):
            return None
        raise NotFoundError(f"user: {user}: no such user") from error
    except ValueError as error:
        raise BadRequestError(f"user: {user!r}: {error}") from error


def _find_group(group: str | int) -> int:
    if isinstance(group, int):
        return _checked("group", group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise NotFoundError(f"group: {group}: no such group") from error
    except ValueError as error:
        raise BadRequestError(f"group: {group!r}: {error}") from error


def _checked(name: str, number: int) -> int:
    if not 0 <= number <= _LAST_ID:
        raise BadRequestError(f"{name}: {number}: 0 to {_LAST_ID} expected")
    return number
