"""What the agent was installed from."""

from __future__ import annotations

from typing import Any

import msgspec

DISTRIBUTION = "corex-runner"


class _Origin(msgspec.Struct):
    """What an installer says of a source that is no index: PEP 610."""

    vcs_info: dict[str, Any] = {}


def read_source() -> tuple[str, str]:
    """Tell the branch (or tag) and the revision that were installed, as the installer noted them.

    Both are empty when that was a release or a folder. Blocks.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        return "", ""
    return parse_origin(text or "")


def parse_origin(text: str) -> tuple[str, str]:
    """Read the text of direct_url.json."""
    try:
        source = msgspec.json.decode(text, type=_Origin).vcs_info
    except msgspec.DecodeError:
        return "", ""
    revision, asked = (str(source.get(name) or "") for name in ("commit_id", "requested_revision"))
    return ("" if revision.startswith(asked) else asked), revision
