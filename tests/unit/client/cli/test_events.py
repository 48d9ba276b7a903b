"""Lines of events for people, and the name by which this command line is told of."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from corex.cli import identity
from corex.cli.app import app
from corex.cli.events import line_of
from corex.cli.identity import as_identifier, client_name
from corex.events import decode_event
from corex.settings import make_core
from corex_shared.identifiers import is_valid_id

ID = "0123456789abcdef0123456789"


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are those of Greenwich."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def line(*, coloured: bool = False, **fields: Any) -> str:
    """Write an event; with the defaults of one that has finished."""
    told = {"event": "job.finished", "node": "web-1", "time": 3_723_000, **fields}
    return line_of(decode_event(json.dumps(told).encode()), coloured=coloured)


@pytest.mark.parametrize(
    "fields, text",
    [
        (
            {
                "event": "job.started",
                "job": "a1",
                "command": "core.system",
                "what": "sh",
                "reply_to": f"alice:laptop:{ID}",
            },
            "01:02:03 web-1        job.started  a1 alice:laptop core.system(sh)",
        ),
        (
            {
                "job": "a1",
                "command": "bash",
                "state": "ERROR",
                "code": 1003,
                "duration": 1234,
                "reply_to": ID,
            },
            "01:02:03 web-1        job.finished a1 01234567 bash ERROR 1003 after 1.2s",
        ),
        (
            {
                "job": "a1",
                "command": "bash",
                "state": "KILLED",
                "code": 499,
                "killed_by": f"bob:desk:{ID}",
            },
            "01:02:03 web-1        job.finished a1 bash KILLED 499 killed by bob:desk",
        ),
        (
            {"event": "node.stopped", "why": "it was told to"},
            "01:02:03 web-1        node.stopped why: it was told to",
        ),
        (
            {"event": "node.lapsed", "by": "web-2"},
            "01:02:03 web-1        node.lapsed  by web-2",
        ),
    ],
    ids=["started", "failed", "killed", "stopped", "lapsed"],
)
def test_lines(fields: dict[str, Any], text: str) -> None:
    """Time, node, event, job, who, what, state."""
    assert line(**fields) == text


def test_states_have_colours_if_wanted() -> None:
    """Ours, and nobody else's: a colour that somebody sends is shown as text."""
    assert "\x1b[32mSUCCESS\x1b[0m" in line(state="SUCCESS", coloured=True)
    assert "\x1b[31mERROR 1\x1b[0m" in line(state="ERROR", code=1, coloured=True)
    assert "\x1b[33mKILLED\x1b[0m" in line(state="KILLED", coloured=True)
    assert line(state="\x1b[8mSUCCESS", coloured=True).count("\x1b") == 2
    assert "\x1b" not in line(state="ERROR", command="\x1b[8m")


@given(st.text(), st.integers())
def test_what_others_write_is_one_harmless_line(text: str, number: int) -> None:
    """Whatever it is, and wherever it stands."""
    names = ("event", "node", "job", "command", "what", "reply_to", "state", "killed_by", "by")
    number = abs(number) % 2**53
    hostile = f"a\n\r\x1b]0;x\x07\u202e{text}"
    fields: dict[str, Any] = dict.fromkeys([*names, "why", "reason"], hostile)
    fields.update(time=number, code=number, duration=number)
    shown = line(**fields)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--kind", "job.finnished"], "job.finnished"),
        (["@build"], "@build"),
        (["zone=eu"], "zone=eu"),
        (["web-1,,"], "expected"),
        (["--job", "no job"], "no job"),
        (["--timeout", "-1"], "timeout"),
    ],
)
def test_usage(arguments: list[str], said: str) -> None:
    """What can never be heard is an error, not silence."""
    done = CliRunner().invoke(app, ["--url", "redis://127.0.0.1:1", "events", *arguments])
    assert done.exit_code in (1, 2)
    assert said in f"{done.output}{done.exception}"


# -- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, written",
    [
        ("alice", "alice"),
        ("Ünal", "nal"),
        ("DOMAIN\\alice smith", "DOMAIN-alice-smith"),
        ("李", "user"),
        ("..", "user"),
        ("a:b@c\n", "a-b-c"),
        ("x" * 300, "x" * 40),
        ("", "user"),
    ],
)
def test_whatever_a_user_is_called(name: str, written: str) -> None:
    assert as_identifier(name, 40, "user") == written


@given(st.text(), st.text())
def test_the_id_of_the_command_line_is_always_one(user: str, host: str) -> None:
    """With the longest names too: it fits into the keys of an inbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "_user", lambda: user * 50)
        patch.setattr(identity, "_host", lambda: host * 50)
        name = client_name()
    client_id = make_core(None, "msgpack", name).client_id
    assert is_valid_id(client_id)
    assert client_id.startswith(f"{name}:")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert re.fullmatch(r"uid\d+:[\w.-]+", client_name())
