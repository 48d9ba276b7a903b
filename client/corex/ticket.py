"""What a client knows of one job of its own or of others."""

from __future__ import annotations

from msgspec import Struct

from corex.mailbox import found_key


class Ticket(Struct, frozen=True, gc=False):
    """A job, and how to hear of its result.

    Attributes:
        id: the job ID.
        node: the node it was pushed to; None when that is not known.
        queue_key: key of the list it was pushed to; empty for a job of others.
        payload: the command as it was pushed; empty for a job of others.
        given: the caller chose the ID, so pushing it twice could make two jobs.
        streams: the command asks for live output.
        mail: keys under which the mailbox hears of it; none when its result goes elsewhere.
        key_counts: the result key speaks of this job, not of an earlier one with its ID.
        group: the group it was pushed to; empty when it was a node.
    """

    id: str
    node: str | None = None
    queue_key: str = ""
    payload: bytes = b""
    given: bool = False
    streams: bool = False
    mail: tuple[str, ...] = ()
    key_counts: bool = True
    group: str = ""

    @property
    def target(self) -> str:
        """What it was pushed to, as people write it."""
        return f"@{self.group}" if self.group else self.node or ""

    @property
    def keys_of_mail(self) -> tuple[str, ...]:
        """Keys of all mail about its result: what the inbox tells, and what is found."""
        return (*self.mail, found_key(self.id)) if self.key_counts else self.mail
