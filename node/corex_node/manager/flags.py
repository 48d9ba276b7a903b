"""What only code inside the node may ask of a job; never read from a payload."""

from __future__ import annotations

from msgspec import Struct


class JobFlags(Struct, frozen=True):
    """How a job started by code differs from one that a caller asked for.

    Attributes:
        protected: it is always started again, whatever ends it but a shutdown or `stop`.
        no_output: nothing that it writes is kept or passed on.
        no_group: its process stays in the session of whoever starts it; signals reach its tree.
        complete: all of its output is kept, not only the last part.
    """

    protected: bool = False
    no_output: bool = False
    no_group: bool = False
    complete: bool = False


NO_FLAGS = JobFlags()
