"""`NODE:PATH`."""

from __future__ import annotations

import pytest
import typer

from corex.cli.place import Place, read_place
from corex_shared.errors import InvalidIdError


@pytest.mark.parametrize(
    "text,place",
    [
        ("web-1:/etc/hosts", Place("web-1", "/etc/hosts")),
        ("web-1:a.txt", Place("web-1", "a.txt")),
        ("web-1:a/b:c", Place("web-1", "a/b:c")),
        ("web-1:a:b", Place("web-1", "a:b")),
        ("rack:7:/x", Place("rack:7", "/x")),
        ("web-1:/a:b/c", Place("web-1", "/a:b/c")),
        ("./a:b", Place("", "./a:b")),
        ("/a:b", Place("", "/a:b")),
        ("a", Place("", "a")),
        ("-", Place("", "-")),
        ("web-1:-", Place("web-1", "-")),
    ],
)
def test_places(text: str, place: Place) -> None:
    """A node is what is before the first colon, if no slash is; or before `:/`."""
    assert read_place(text, "SRC") == place


@pytest.mark.parametrize("text,why", [("", "empty"), (":x", "node is missing"), ("n:", "path is")])
def test_what_is_missing(text: str, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        read_place(text, "SRC")


def test_what_can_be_no_node() -> None:
    with pytest.raises(InvalidIdError, match="a b"):
        read_place("a b:/x", "SRC")


def test_only_here_a_dash_is_a_pipe() -> None:
    assert read_place("-", "SRC").is_pipe
    assert not read_place("n1:-", "SRC").is_pipe


def test_a_name_within_a_directory() -> None:
    assert Place("n1", "/srv/").within(Place("", "a/b.txt").name) == Place("n1", "/srv/b.txt")
