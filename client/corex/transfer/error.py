"""What goes wrong with a transfer."""

from __future__ import annotations

from corex_shared.errors import CorexError
from corex_shared.models import JobResult


class TransferError(CorexError):
    """A file could not be copied. Under its final name nothing was changed, unless it says so.

    Attributes:
        done: bytes that had arrived.
        total: bytes that were to be copied.
        result: the refusal of the node, if it was one; its `code` is 404 for a file that is not
            there, 403 where the agent may not, and so on.
    """

    def __init__(
        self, what: str, reason: str, done: int, total: int, result: JobResult | None = None
    ) -> None:
        self.done = done
        self.total = total
        self.result = result
        super().__init__(f"{what}: {reason} ({done} of {total} bytes were copied)")
