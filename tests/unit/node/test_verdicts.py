"""What becomes of a command whose node is away."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.verdicts import expiry_in, expiry_of, read, verdict_of

NOW = 1_700_000_000_000
PAST, RECENT, FUTURE = NOW - 60_000, NOW - 10, NOW + 60_000


def _verdict(stage: str, **fields: object) -> str | None:
    payload = json.dumps({"id": "j", "command": "c", **fields}).encode()
    entry = (b"@7", payload) if not stage else (b"j", f"{stage} n1/7\n".encode() + payload)
    item = read(*entry)
    assert item is not None
    outcome = verdict_of(item, NOW, "n2")
    return None if outcome is None else f"{outcome.state} {outcome.code}"


@pytest.mark.parametrize(
    "stage, fields, expected",
    [
        ("running", {}, "LOST 503"),
        ("running", {"on_lost": "report"}, "LOST 503"),
        ("running", {"expires_at": PAST}, "LOST 503"),
        ("running", {"recurring_period": 5}, "LOST 503"),
        ("running", {"on_lost": "retry"}, None),
        ("running", {"on_lost": "retry", "expires_at": FUTURE}, None),
        ("running", {"on_lost": "retry", "expires_at": PAST}, "EXPIRED 410"),
        ("waiting", {}, None),
        ("waiting", {"expires_at": FUTURE}, None),
        ("waiting", {"expires_at": PAST}, "EXPIRED 410"),
        ("waiting", {"expires_at": PAST, "recurring_period": 5}, None),
        ("claimed", {"expires_at": PAST, "recurring_period": 5}, "EXPIRED 410"),
        ("claimed", {"expires_at": PAST}, "EXPIRED 410"),
        ("claimed", {}, None),
        ("", {}, None),
        ("", {"expires_at": FUTURE}, None),
        ("", {"expires_at": PAST}, "EXPIRED 410"),
        ("", {"expires_at": RECENT}, None),
    ],
)
def test_the_verdict(stage: str, fields: dict[str, object], expected: str | None) -> None:
    """What ran is lost unless it may be repeated; what did not waits, or expires.

    A command that expired a moment ago is its node's: its clock may say that it has not.
    """
    assert _verdict(stage, **fields) == expected


@pytest.mark.parametrize(
    "field, value",
    [
        (b"@7", b"{"),
        (b"@7", b'{"command": "c", "expires_at": 1}'),
        (b"j", b"running n1/7\nnothing"),
        (b"j", b"dancing n1/7\n{}"),
        (b"j", b""),
    ],
)
def test_what_cannot_be_read_is_its_nodes(field: bytes, value: bytes) -> None:
    assert read(field, value) is None


def test_a_size_limit_is_its_nodes() -> None:
    """That of another may be larger."""
    payload = json.dumps({"id": "j", "command": "c", "arguments": {"x": "y" * 2**21}}).encode()
    item = read(b"j", b"running n1/7\n" + payload)
    assert item is not None
    assert verdict_of(item, NOW, "n2") is not None


def test_when_a_listed_command_expires() -> None:
    assert expiry_in(b'{"id": "j", "command": "c", "expires_at": 5000}') == 6000
    assert expiry_in(b'{"id": "j", "command": "c"}') is None
    assert expiry_in(b'{"id": "j", "expires_at": 5000}') is None
    assert expiry_in(b"expires_at") is None


@given(st.binary(max_size=20), st.binary(max_size=60))
def test_arbitrary_bytes(field: bytes, value: bytes) -> None:
    """Whatever somebody else wrote there, there is a verdict or none."""
    item = read(field, value)
    if item is not None:
        verdict_of(item, NOW, "n2")
        expiry_of(item)
    expiry_in(value)
