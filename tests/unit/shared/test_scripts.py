"""The Lua scripts and their contracts."""

from __future__ import annotations

import hashlib
import re

import pytest

from corex_shared.scripts import Script, all_scripts, script


def _header(text: bytes) -> str:
    lines = []
    for line in text.decode().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return "\n".join(lines)


def test_there_are_scripts() -> None:
    """The folder is found, in an installed package too."""
    assert {"claim", "accept", "finish", "release"} <= {one.name for one in all_scripts()}


@pytest.mark.parametrize("one", all_scripts(), ids=lambda one: one.name)
def test_a_header_is_a_contract(one: Script) -> None:
    """Each says what its keys and arguments are, what it returns and why it is atomic."""
    header = _header(one.text)
    assert re.search(r"^KEYS", header, re.MULTILINE)
    assert re.search(r"^ARGV\[1\]", header, re.MULTILINE)
    assert re.search(r"^Returns ", header, re.MULTILINE)
    assert re.search(r"^Atomic because ", header, re.MULTILINE)


@pytest.mark.parametrize("one", all_scripts(), ids=lambda one: one.name)
def test_no_script_spells_a_key(one: Script) -> None:
    """Keys come as KEYS, so that a Cluster can tell their slot."""
    code = re.sub(r"--.*", "", one.text.decode())
    assert "corex:" not in code
    assert "node:" not in code
    assert "job:" not in code


def test_a_call() -> None:
    """A script is called by its digest, with the number of its keys."""
    claim = script("claim")
    assert claim.sha == hashlib.sha1(claim.text).hexdigest()
    assert claim.call(["k1", "k2"], ["a", 7, b"b"]) == (
        *("EVALSHA", claim.sha, 2),
        *("k1", "k2", "a", 7, b"b"),
    )


def test_a_script_is_read_once() -> None:
    """The same object is returned again."""
    assert script("claim") is script("claim")
