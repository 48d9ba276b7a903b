"""Where a file is: here, on a node, or at the other end of a pipe."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, replace

import typer

from corex_shared.identifiers import check_id

PIPE = "-"
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Place:
    """One side of a copy.

    Attributes:
        node: whose file it is; empty for one of this machine.
        path: its path; `-` here stands for standard input or output.
    """

    node: str
    path: str

    @property
    def is_pipe(self) -> bool:
        """Whether it is standard input or output."""
        return not self.node and self.path == PIPE

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.path) if self.node else os.path.basename(self.path)

    def within(self, name: str) -> Place:
        """The place of a file of that name in this directory."""
        join = posixpath.join if self.node else os.path.join
        return replace(self, path=join(self.path, name))

    def __str__(self) -> str:
        if self.is_pipe:
            return "standard input or output"
        return f"{self.node}:{self.path}" if self.node else self.path


def read_place(text: str, param: str) -> Place:
    """Read `NODE:PATH` or a path of this machine, which a slash before its first colon tells.

    A node's ID may have colons itself: then the path must begin with a slash.

    Args:
        text: as it was typed.
        param: name of the argument, for messages.

    Raises:
        typer.BadParameter: the path is missing.
        InvalidIdError: what is before the colon cannot be a node.
    """
    if not text:
        raise typer.BadParameter("it is empty", param_hint=f"'{param}'")
    head = text.partition("/")[0]
    if ":" not in head or (os.name == "nt" and _DRIVE.match(text)):
        return Place("", text)
    if head.endswith(":") and len(head) < len(text):
        node, path = head[:-1], text[len(head) :]
    else:
        node, _, path = text.partition(":")
    if not node:
        hint = f"{text!r}: the node is missing; a file of this machine is ./{text}"
        raise typer.BadParameter(hint, param_hint=f"'{param}'")
    check_id("node", node)
    if not path:
        raise typer.BadParameter(f"{text!r}: the path is missing", param_hint=f"'{param}'")
    return Place(node, path)
