"""What the installer noted."""

from __future__ import annotations

import json

import pytest

from corex_node.machine.source import parse_origin

COMMIT = "fb1c7532d5028d1e47e4c1ef3d2f6f9a0e4f2b11"


@pytest.mark.parametrize(
    "asked, branch",
    [("main", "main"), ("v1.2", "v1.2"), (None, ""), (COMMIT, ""), (COMMIT[:8], "")],
)
def test_an_installation_from_a_repository(asked: str | None, branch: str) -> None:
    """A commit that was asked for is no branch."""
    noted = {"vcs": "git", "commit_id": COMMIT}
    if asked is not None:
        noted["requested_revision"] = asked
    assert parse_origin(json.dumps({"url": "https://x", "vcs_info": noted})) == (branch, COMMIT)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"url": "file:///x", "dir_info": {}}', '{"vcs_info": 5}'),
        '{"vcs_info": {"commit_id": null, "requested_revision": null}}',
    ],
)
def test_an_installation_from_elsewhere(text: str) -> None:
    assert parse_origin(text) == ("", "")
