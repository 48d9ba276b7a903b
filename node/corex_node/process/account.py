"""Whom a program is run as: a user with all the groups that it has."""

from __future__ import annotations

import grp
import os
import pwd

from msgspec import Struct

from corex_shared.errors import BadRequestError, ForbiddenError, InternalError, NotFoundError

_LAST_ID = 2**32 - 2  # 2**32 - 1 means "leave as it is" to setresuid(2)
_LONGEST_NUMBER = 10  # digits of _LAST_ID


class Account(Struct, frozen=True):
    """A user and its groups.

    Attributes:
        name: what was asked for, with the name of the argument.
        uid: None to stay who the agent is.
        gid: of the primary group.
        groups: supplementary groups, all of them; None to keep the agent's.
        variables: that a login would set; None takes one away.
    """

    name: str
    uid: int | None
    gid: int
    groups: tuple[int, ...] | None
    variables: dict[bytes, bytes | None]


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
        assert gid is not None
        return Account(f"group: {group}", None, gid, None, {})
    name, entry = f"user: {user}", _find_user(user)
    if entry is None:
        if gid is None:
            raise BadRequestError(f"{name}: nobody has this number, so group is needed too")
        return Account(name, int(user), gid, (gid,), _NOBODYS)
    primary = entry.pw_gid if gid is None else gid
    groups = tuple(os.getgrouplist(entry.pw_name, primary))
    return Account(name, entry.pw_uid, primary, groups, _variables_of(entry))


_NOBODYS: dict[bytes, bytes | None] = {
    b"HOME": b"/",
    b"USER": None,
    b"LOGNAME": None,
    b"SHELL": None,
}
"""Variables of a number without a name: not those of the agent's user."""


def _variables_of(entry: pwd.struct_passwd) -> dict[bytes, bytes | None]:
    return {
        b"HOME": os.fsencode(entry.pw_dir or "/"),
        b"USER": os.fsencode(entry.pw_name),
        b"LOGNAME": os.fsencode(entry.pw_name),
        b"SHELL": os.fsencode(entry.pw_shell or "/bin/sh"),
    }


def _find_user(user: str | int) -> pwd.struct_passwd | None:
    """Find a user; None for a number that nobody has. Names win over numbers, as with chown."""
    try:
        if isinstance(user, str):
            return pwd.getpwnam(user)
        return pwd.getpwuid(_checked("user", user))
    except KeyError as error:
        if isinstance(user, int):
            return None
        if _is_number(user):
            return _find_user(int(user))
        raise NotFoundError(f"user: {user}: no such user") from error
    except ValueError as error:
        raise BadRequestError(f"user: {user!r}: {error}") from error


def _find_group(group: str | int) -> int:
    if isinstance(group, int):
        return _checked("group", group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        if _is_number(group):
            return _checked("group", int(group))
        raise NotFoundError(f"group: {group}: no such group") from error
    except ValueError as error:
        raise BadRequestError(f"group: {group!r}: {error}") from error


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER


def _checked(name: str, number: int) -> int:
    if not 0 <= number <= _LAST_ID:
        raise BadRequestError(f"{name}: {number}: 0 to {_LAST_ID} expected")
    return number


def become_account(account: Account) -> None:
    """Change groups, group and user, in this order: each needs what the next gives away.

    Whoever has these IDs already changes nothing, and needs no privilege for it.

    Raises:
        ForbiddenError: not permitted.
        InternalError: not done, although the kernel did not say so.
    """
    if _is(account):
        return
    try:
        if account.groups is not None:
            os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        if account.uid is not None:
            os.setresuid(account.uid, account.uid, account.uid)
    except PermissionError as error:
        raise ForbiddenError(f"{account.name}: the agent may not run programs as such") from error
    except OSError as error:
        raise InternalError(f"{account.name}: {error.strerror}") from error
    if not _is(account):
        raise InternalError(f"{account.name}: the kernel gave it other IDs than asked for")


def _is(account: Account) -> bool:
    """Whether this process is who it was to become, with these groups and no others."""
    gid = account.gid
    return (
        (account.uid is None or os.getresuid() == (account.uid,) * 3)
        and os.getresgid() == (gid, gid, gid)
        and (account.groups is None or {gid, *os.getgroups()} == {gid, *account.groups})
    )
