"""What commands print."""

from __future__ import annotations

import pytest

from corex.cli.nodes import put_nodes
from corex.cli.render import failure, pretty, say
from corex_shared.models import NodeInfo
from corex_shared.states import JobState
from tests.unit.client.playing import result_of


@pytest.mark.parametrize(
    "data,level,text",
    [
        ('"PONG"', 20, "PONG"),
        ('{"a":[1,2]}', 20, '{\n  "a": [\n    1,\n    2\n  ]\n}'),
        ("12345678901234567890123", 20, "12345678901234567890123"),
        ("not json", 20, "not json"),
        ("a: 1", 21, "a: 1"),
    ],
)
def test_answers_for_people(data: str, level: int, text: str) -> None:
    """Strings plain, other JSON indented, other forms as they are."""
    assert pretty(result_of("a", data=data, level=level)) == text


@pytest.mark.parametrize(
    "result,text",
    [
        (result_of("a", JobState.ERROR, code=1003), "n1: exit code 3"),
        (result_of("a", JobState.ERROR, code=1137, signal=9), "n1: died of signal 9"),
        (result_of("a", JobState.TIMEOUT, code=504), "n1: TIMEOUT 504"),
        (result_of("a", JobState.KILLED, code=499, critical="why"), "n1: KILLED 499: why"),
        (
            result_of("a", JobState.ERROR, code=404, data='"no such file"', level=20),
            "n1: ERROR 404: no such file",
        ),
        (result_of("a", JobState.UNKNOWN_CMD, code=404), "n1: no such command: core.ping"),
    ],
)
def test_failures_in_a_line(result: object, text: str) -> None:
    """Where, what, and why if that is known."""
    assert failure(result) == text  # type: ignore[arg-type]


def test_our_own_messages_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A message that quotes a remote text stays one harmless line."""
    say("n1: a\nb\x1b[2J")
    assert capsys.readouterr().err == "corex: n1: a b\\x1b[2J\n"


def test_a_table_of_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """Every node has its line; what it says of itself is neither markup nor control."""
    put_nodes(
        [
            NodeInfo("n1", alive=True, last_seen=0, version="1", slots=9, labels={"z": "[b]\x1b"}),
            NodeInfo("n2", alive=False, last_seen=0),
        ]
    )
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["NODE", "STATE", "VERSION"]
    assert first.split()[:2] == ["n1", "alive"]
    assert "z=[b]\\x1b" in first
    assert second.split()[:2] == ["n2", "gone"]
