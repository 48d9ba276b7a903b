"""The pipes of a child, both ends, while it is started."""

from __future__ import annotations

import os

from corex_shared.errors import InternalError


class Pipes:
    """Standard streams of a child.

    Attributes:
        stdout: our end, non-blocking.
        stderr: our end, non-blocking.
        stdin: our end, non-blocking; None for none.
        theirs: the child's ends: stdout, stderr, stdin if there is one.
    """

    __slots__ = ("stderr", "stdin", "stdout", "theirs")

    def __init__(self, with_stdin: bool) -> None:
        """Open them.

        Raises:
            InternalError: there are no descriptors left; none stays open.
        """
        ours: list[int] = []
        self.theirs: list[int] = []
        try:
            for _ in range(2):
                read, write = os.pipe()
                ours.append(read)
                self.theirs.append(write)
            if with_stdin:
                read, write = os.pipe()
                ours.append(write)
                self.theirs.append(read)
        except OSError as error:
            for fd in (*ours, *self.theirs):
                os.close(fd)
            raise InternalError(f"no pipe for the program: {error.strerror}") from error
        for fd in ours:
            os.set_blocking(fd, False)
        self.stdout, self.stderr = ours[0], ours[1]
        self.stdin = ours[2] if with_stdin else None
