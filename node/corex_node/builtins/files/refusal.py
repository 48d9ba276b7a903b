"""What the system refuses, as errors of a command."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ConflictError,
    ForbiddenError,
    InternalError,
    NotAcceptableError,
    NotFoundError,
    ServiceUnavailableError,
)

_KINDS: dict[type[CommandError], tuple[int, ...]] = {
    # A path that cannot be one, or is that of something else than what is asked for.
    BadRequestError: (
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
    ),
    ForbiddenError: (errno.EACCES, errno.EPERM, errno.EROFS),
    NotFoundError: (errno.ENOENT,),
    # There it is, but nothing of the kind can be done with it.
    NotAcceptableError: (errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP, errno.ESPIPE),
    ConflictError: (errno.EBUSY, errno.EEXIST, errno.ENOTEMPTY, errno.ETXTBSY),
    ServiceUnavailableError: (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}
_KIND = {number: kind for kind, numbers in _KINDS.items() for number in numbers}


def refusal(argument: str, what: str, error: OSError) -> CommandError:
    """Make the error of a command; one that has no code of its own (a full disk) is a 500.

    Args:
        argument: that is at fault.
        what: its value, for people.
        error: what the system said.
    """
    kind = _KIND.get(error.errno or 0, InternalError)
    reason = error.strerror or str(error)
    return kind(f"{argument}: {shown(what)}: {reason[:1].lower()}{reason[1:]}")


@contextmanager
def refusing(argument: str, path: str) -> Iterator[None]:
    """Raise errors of the system as those of a command about a path.

    An error that names what is below the path tells about that.
    """
    try:
        yield
    except OSError as error:
        named = error.filename
        below = isinstance(named, str) and named.startswith(path)
        raise refusal(argument, named if below else path, error) from error


def shown(path: str) -> str:
    """A path as text: names are bytes, and some are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
