"""Entries of the claimed hash, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.recovery import parse_entry
from corex_node.ticket import Source
from corex_shared.states import Stage


@pytest.mark.parametrize("prefix, source", [(b"@", Source.COMMANDS), (b"!", Source.CONTROL)])
def test_a_fresh_claim(prefix: bytes, source: Source) -> None:
    """The field has list and number, the value is the payload as it is."""
    entry = parse_entry(prefix + b"17", b"running n/1\n{}")
    assert entry is not None
    assert (entry.field, entry.source, entry.number) == (f"{prefix.decode()}17", source, 17)
    assert (entry.payload, entry.was) == (b"running n/1\n{}", Stage.CLAIMED)


@pytest.mark.parametrize("stage", ["claimed", "waiting", "running"])
def test_a_filed_one(stage: str) -> None:
    """The value has stage and claim before the payload, which may hold newlines."""
    entry = parse_entry(b"job-1", f"{stage} n1/17\n".encode() + b"{\n}")
    assert entry is not None
    assert (entry.field, entry.number, entry.was) == ("job-1", 17, Stage(stage))
    assert entry.payload == b"{\n}"


@pytest.mark.parametrize(
    "field, value",
    [
        (b"@", b"{}"),
        (b"@x", b"{}"),
        (b"job-1", b""),
        (b"job-1", b"{}"),
        (b"job-1", b"running\n{}"),
        (b"job-1", b"running n1/x\n{}"),
        (b"job-1", b"dancing n1/17\n{}"),
        (b"job-1", b"\xff n1/17\n{}"),
        (b"\xff", b"running n1/17\n{}"),
    ],
)
def test_what_no_agent_writes(field: bytes, value: bytes) -> None:
    """It is left alone."""
    assert parse_entry(field, value) is None


@given(st.binary(max_size=20), st.binary(max_size=40))
def test_arbitrary_bytes(field: bytes, value: bytes) -> None:
    """Whatever somebody else wrote there, it is an entry or none."""
    parse_entry(field, value)
