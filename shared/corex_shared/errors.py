"""The whole hierarchy of errors that leave corex.

::

    CorexError
    ├── ConfigError                    settings that cannot be used; names the source and the key
    ├── InvalidIdError                 an identifier outside its alphabet
    ├── DecodeError                    a payload that cannot be read; names the field
    │   └── PayloadTooLargeError
    ├── StoreError                     Redis
    │   ├── StoreUnavailableError      not reachable, not ready, connection cut, no answer in time
    │   └── StoreRefusedError          it answered, with an error (wrong type …)
    │       ├── StoreForbiddenError    it does not let this user do that
    │       └── CredentialsError       it does not let this user in
    ├── LeaseError                     the right to act for a node
    │   ├── LeaseHeldError             another agent serves the node
    │   ├── LeaseLostError             this agent no longer does
    │   └── GroupLostError             this agent no longer takes part in a group
    ├── WaitTimeout                    a bounded wait ended; says what it waited for
    ├── TransferError                  a file that could not be copied (corex.transfer)
    ├── JobFailed                      a result that is not SUCCESS, raised by `check`
    ├── NoSuchNodeError                no node fits the target
    ├── NodeAliveError                 a node that is there cannot be forgotten
    ├── NoSuchRunError                 no run has that ID, or its record has gone
    └── CommandError                   a command's own error, with the code of its result
        ├── BadRequestError            400   a wrong or missing argument
        ├── ForbiddenError             403
        ├── NotFoundError              404
        ├── NotAcceptableError         406
        ├── ConflictError              409
        ├── PreconditionFailedError    412
        ├── InternalError              500
        └── ServiceUnavailableError    503

Errors of libraries are raised on as one of these, with the cause attached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from corex_shared.models import JobResult


class CorexError(Exception):
    """Root of every error that corex raises."""


class ConfigError(CorexError):
    """Settings that cannot be used.

    Attributes:
        source: the file, environment variable or option it came from.
        key: dotted name of the setting, empty when the whole source cannot be read.
    """

    def __init__(self, source: str, key: str, reason: str) -> None:
        self.source = source
        self.key = key
        self.reason = reason
        super().__init__(f"{source}: {key}: {reason}" if key else f"{source}: {reason}")


class InvalidIdError(CorexError, ValueError):
    """An identifier outside `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`."""

    def __init__(self, kind: str, text: object) -> None:
        self.kind = kind
        self.text = text
        super().__init__(
            f"{kind} ID {str(text)[:140]!r}: 1 to 128 letters, digits and ._:- are allowed, "
            "the first a letter or digit"
        )


class DecodeError(CorexError, ValueError):
    """A payload that cannot be read.

    Attributes:
        field: dotted name of the field at fault; `payload` when it is the whole.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class PayloadTooLargeError(DecodeError):
    """A payload over the size limit; sizes are in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__("payload", f"{size} bytes, the limit is {limit}")


class StoreError(CorexError):
    """Redis did not do what it was asked."""


class StoreUnavailableError(StoreError):
    """Redis cannot be reached, is not ready, or did not answer in time.

    Whether the last command had its effect is not known.
    """


class StoreRefusedError(StoreError):
    """Redis answered with an error; the command had no effect."""


class StoreForbiddenError(StoreRefusedError):
    """The user that the URL names has no permission for this command or key."""


class CredentialsError(StoreRefusedError):
    """Redis refuses the user or the password that the URL has, or wants one and it has none."""


class LeaseError(CorexError):
    """The right to act for a node."""


class LeaseHeldError(LeaseError):
    """Another agent serves the node."""


class LeaseLostError(LeaseError):
    """This agent no longer serves the node."""


class GroupLostError(LeaseError):
    """This agent no longer takes part in a group: its claims there are others' now."""


class WaitTimeout(CorexError, TimeoutError):
    """A bounded wait ended before what it waited for."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what = what
        self.seconds = seconds
        super().__init__(f"{what}: not within {seconds:g} s")


class JobFailed(CorexError):
    """A result that is not SUCCESS.

    Attributes:
        result: the whole result.
    """

    def __init__(self, result: JobResult) -> None:
        self.result = result
        why = result.critical or result.data or result.stderr.strip()[-400:]
        text = f"job {result.id} ({result.command} on {result.node}): {result.state} {result.code}"
        super().__init__(f"{text}: {why}" if why else text)


class NoSuchNodeError(CorexError):
    """No node fits the target."""


class NodeAliveError(CorexError):
    """A node that is there cannot be forgotten."""


class NoSuchRunError(CorexError):
    """No run has that ID, or its record has gone."""


class CommandError(CorexError):
    """A command's own error: its result gets the code, and the message as JSON."""

    code: ClassVar[int] = 500


class BadRequestError(CommandError):
    """A wrong or missing argument."""

    code = 400


class ForbiddenError(CommandError):
    """Not permitted."""

    code = 403


class NotFoundError(CommandError):
    """What was named does not exist."""

    code = 404


class NotAcceptableError(CommandError):
    """It exists but cannot be served in this way."""

    code = 406


class ConflictError(CommandError):
    """It is in use."""

    code = 409


class PreconditionFailedError(CommandError):
    """Something that must hold first does not."""

    code = 412


class InternalError(CommandError):
    """The command went wrong by itself."""

    code = 500


class ServiceUnavailableError(CommandError):
    """Not now."""

    code = 503


def error_of_code(code: int, text: str) -> CommandError:
    """Make the error that has a code; `InternalError` for a code that none has."""
    for kind in CommandError.__subclasses__():
        if kind.code == code:
            return kind(text)
    return InternalError(text)
