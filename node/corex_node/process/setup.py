"""What has to be done in a new process before it becomes the program. Checked before the fork."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct

from corex_node.process.account import Account, become_account, find_account
from corex_node.process.lookup import enter_directory
from corex_node.process.privileges import drop_inherited, drop_privileges
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError, ForbiddenError, InternalError

LIMITS = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # another name of NOFILE
}
"""Name as in getrlimit(2), without RLIMIT_ and in lower case → number."""

_LOWEST_NICE, _HIGHEST_NICE = -20, 19
_LAST_UMASK = 0o777
_MOST = 2**63 - 1


class Limit(NamedTuple):
    """Bounds of a resource; RLIM_INFINITY is none."""

    name: str
    number: int
    soft: int
    hard: int


class Setup(Struct, frozen=True):
    """Steps between fork and exec.

    Attributes:
        account: who it becomes, None for the agent.
        limits: of resources.
        nice: added to the agent's niceness, None for nothing.
        umask: None for the agent's.
        directory: None for the agent's.
        own_session: whether it leads a session of its own.
        unprivileged: whether capabilities are dropped.
    """

    account: Account | None
    limits: tuple[Limit, ...]
    nice: int | None
    umask: int | None
    directory: str | None
    own_session: bool
    unprivileged: bool


def needs_setup(spec: ProgramSpec) -> bool:
    """Whether a program asks for anything that posix_spawn cannot do."""
    return (
        spec.user is not None
        or spec.group is not None
        or spec.nice is not None
        or spec.umask is not None
        or bool(spec.rlimits)
        or spec.unprivileged
        or not spec.own_group
    )


def prepare(spec: ProgramSpec) -> Setup:
    """Check what a program asks for.

    Raises:
        BadRequestError: a value that cannot be; the error names the argument.
        NotFoundError: there is no such user or group.
    """
    if spec.nice is not None and not _LOWEST_NICE <= spec.nice <= _HIGHEST_NICE:
        raise BadRequestError(f"nice: {spec.nice}: {_LOWEST_NICE} to {_HIGHEST_NICE} expected")
    if spec.unprivileged and spec.nice is not None and spec.nice < 0:
        raise ForbiddenError(f"nice: {spec.nice}: not on an unprivileged node")
    if spec.umask is not None and not 0 <= spec.umask <= _LAST_UMASK:
        raise BadRequestError(f"umask: {spec.umask:o}: 0 to 777, octal, expected")
    return Setup(
        find_account(spec.user, spec.group),
        tuple(_limit(name, pair) for name, pair in (spec.rlimits or {}).items()),
        spec.nice,
        spec.umask,
        spec.dir,
        spec.own_group,
        spec.unprivileged,
    )


def _limit(name: str, pair: tuple[int, int]) -> Limit:
    number = LIMITS.get(name)
    if number is None:
        known = ", ".join(sorted(LIMITS))
        raise BadRequestError(f"rlimits.{name}: no such limit; there are {known}")
    soft, hard = (resource.RLIM_INFINITY if value < 0 else value for value in pair)
    if max(soft, hard) > _MOST:
        raise BadRequestError(f"rlimits.{name}: {max(soft, hard)}: too large")
    if _is_above(soft, hard):
        raise BadRequestError(f"rlimits.{name}: the soft limit is above the hard one")
    return Limit(name, number, soft, hard)


def _is_above(one: int, other: int) -> bool:
    """Compare two limits."""
    if other == resource.RLIM_INFINITY:
        return False
    return one == resource.RLIM_INFINITY or one > other


def become(setup: Setup) -> None:
    """Do the steps, in the new process; all but the limits' last, see `limit`.

    The order matters: what needs privileges comes before they are given away, and the directory is
    entered as whoever the program runs as.

    Raises:
        CommandError: one cannot be done; it begins with the name of the argument.
    """
    if setup.own_session:
        os.setsid()
    _raise_hard_limits(setup.limits)
    if setup.nice is not None:
        _add_niceness(setup.nice)
    if setup.umask is not None:
        os.umask(setup.umask)
    if setup.unprivileged:
        drop_privileges()  # not those that it takes to become somebody else
    if setup.account is not None:
        become_account(setup.account)
        if setup.account.uid:
            drop_inherited()
    if setup.directory is not None:
        enter_directory(setup.directory)
    _settle_signals()


def limit(setup: Setup) -> None:
    """Lower the limits to what was asked for.

    This comes last: a program may be given less than the interpreter needs to get there.

    Raises:
        InternalError: it cannot be done.
    """
    for name, number, soft, hard in setup.limits:
        try:
            resource.prlimit(0, number, (soft, hard))
        except (OSError, ValueError) as error:
            raise InternalError(f"rlimits.{name}: {error}") from error


def _raise_hard_limits(limits: tuple[Limit, ...]) -> None:
    """Raise hard limits, which takes a privilege."""
    for name, number, _, hard in limits:
        soft, highest = resource.getrlimit(number)
        if _is_above(hard, highest):
            try:
                resource.prlimit(0, number, (soft, hard))
            except (OSError, ValueError) as error:
                text = f"rlimits.{name}: above {highest}, the most that the agent may give"
                raise ForbiddenError(text) from error


def _add_niceness(nice: int) -> None:
    try:
        os.nice(nice)
    except PermissionError as error:
        raise ForbiddenError(f"nice: {nice}: the agent may not favour programs") from error


def _settle_signals() -> None:
    """Have the program begin with every signal at its default and none blocked."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores these
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def hand_over(descriptors: tuple[int | None, ...], account: Account) -> None:
    """Give pipes to the user that a program runs as, so that it may open /dev/stdout."""
    for fd in descriptors:
        if fd is not None and account.uid is not None:
            with suppress(OSError):
                os.fchown(fd, account.uid, -1)
