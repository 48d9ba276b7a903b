"""What has to be done in a new process before it becomes the program. Checked before the fork."""

from __future__ import annotations

import os
import resource
import signal

from msgspec import Struct

from corex_node.process.account import Account, find_account
from corex_node.process.privileges import drop_privileges
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError

LIMITS = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}
"""Name as in getrlimit(2), without RLIMIT_ and in lower case → number."""

_LOWEST_NICE, _HIGHEST_NICE = -20, 19
_LAST_UMASK = 0o777
_MOST = 2**63 - 1


class Setup(Struct, frozen=True):
    """Steps between fork and exec.

    Attributes:
        account: who it becomes, None for the agent.
        limits: number, soft and hard limit of each resource.
        nice: added to the agent's niceness, None for nothing.
        umask: None for the agent's.
        directory: None for the agent's.
        own_session: whether it leads a session of its own.
        unprivileged: whether capabilities are dropped.
    """

    account: Account | None
    limits: list[tuple[int, int, int]]
    nice: int | None
    umask: int | None
    directory: str | None
    own_session: bool
    unprivileged: bool


class StepFailedError(Exception):
    """A step could not be done; its `OSError` or `ValueError` is the cause."""

    def __init__(self, argument: str) -> None:
        """Name the argument that asked for the step."""
        super().__init__(argument)
        self.argument = argument


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
    if spec.umask is not None and not 0 <= spec.umask <= _LAST_UMASK:
        raise BadRequestError(f"umask: {spec.umask:o}: 0 to 777, octal, expected")
    return Setup(
        find_account(spec.user, spec.group),
        [_limit(name, pair) for name, pair in (spec.rlimits or {}).items()],
        spec.nice,
        spec.umask,
        spec.dir,
        spec.own_group,
        spec.unprivileged,
    )


def _limit(name: str, pair: tuple[int, int]) -> tuple[int, int, int]:
    number = LIMITS.get(name)
    if number is None:
        known = ", ".join(sorted(LIMITS))
        raise BadRequestError(f"rlimits.{name}: no such limit; there are {known}")
    soft, hard = (resource.RLIM_INFINITY if value < 0 else value for value in pair)
    if max(soft, hard) > _MOST:
        raise BadRequestError(f"rlimits.{name}: {max(soft, hard)}: too large")
    if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
        raise BadRequestError(f"rlimits.{name}: the soft limit is above the hard one")
    return number, soft, hard


def become(setup: Setup) -> None:
    """Do the steps, in the new process.

    The order matters: what needs privileges comes before they are given away, and the directory is
    entered as whoever the program runs as.

    Raises:
        StepFailedError: one cannot be done.
    """
    argument = "name"
    try:
        if setup.own_session:
            os.setsid()
        argument = "rlimits"
        for number, soft, hard in setup.limits:
            resource.setrlimit(number, (soft, hard))
        argument = "nice"
        if setup.nice is not None:
            os.nice(setup.nice)
        if setup.umask is not None:
            os.umask(setup.umask)
        argument = "unprivileged"
        if setup.unprivileged and setup.account is not None:
            _become_account(setup.account, unprivileged=True)
        elif setup.unprivileged:
            drop_privileges()
        elif setup.account is not None:
            argument = "user"
            _become_account(setup.account, unprivileged=False)
        argument = "dir"
        if setup.directory is not None:
            os.chdir(setup.directory)
    except (OSError, ValueError) as error:
        raise StepFailedError(argument) from error
    _settle_signals()


def _become_account(account: Account, *, unprivileged: bool) -> None:
    """Change groups, group and user, in this order: each needs what the next gives away.

    Raises:
        StepFailedError: not permitted, or not done although the kernel did not say so.
    """
    argument = "group"
    try:
        if account.uid is not None or os.getuid() == 0:
            os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        argument = "unprivileged"
        if unprivileged:
            drop_privileges()  # keeps SETUID, SETGID
        argument = "user"
        if account.uid is not None:
            os.setresuid(account.uid, account.uid, account.uid)
    except OSError as error:
        raise StepFailedError(argument) from error
    if account.uid is not None and not _is(account):
        raise StepFailedError(argument) from PermissionError(1, "it has other IDs than asked for")


def _is(account: Account) -> bool:
    """Whether this process is who it was to become, with these groups and no others."""
    wanted = {*account.groups, account.gid}
    return (
        os.getresuid() == (account.uid,) * 3
        and os.getresgid() == (account.gid,) * 3
        and set(os.getgroups()) | {account.gid} == wanted
    )


def _settle_signals() -> None:
    """Have the program begin with every signal at its default and none blocked."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores these
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
