"""How numbers and commands are written for people."""

from __future__ import annotations

from typing import Any

import pytest

from corex.cli.command_text import command_text
from corex.cli.screen.graph import sparkline
from corex.cli.units import age, percent, size
from corex.questions.jobs import JobCommand


@pytest.mark.parametrize(
    "count,text",
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0K"),
        (10_189, "10K"),
        (1_634_304, "1.6M"),
        (999.4 * 1024**2, "999M"),
        (1023 * 1024**3, "1.0T"),
        (5 * 1024**6, "5.0E"),
        (-1, "0B"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    "seconds,text",
    [
        (-5, "0s"),
        (0.4, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "120m"),
        (7200, "2h"),
        (2e6, "23d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize("value,text", [(0, "0.0"), (9.94, "9.9"), (9.96, "10"), (250.4, "250")])
def test_percents(value: float, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    "name,arguments,text",
    [
        ("core.system", {"name": "ls"}, "ls"),
        ("core.system", {"name": "ls", "args": ["-l", "a b", ""]}, "ls -l 'a b' ''"),
        ("core.system", {"name": "echo", "args": ["it's"]}, 'echo "it\'s"'),
        ("core.system", {"name": "echo", "args": ["it's $5"]}, "echo 'it'\"'\"'s $5'"),
        ("core.system", {"name": "x", "args": [1, None]}, "x 1 null"),
        ("core.system", {"name": 7, "args": []}, "core.system name=7 args=[]"),
        ("core.system", {"name": "x", "args": "y"}, "core.system name=x args=y"),
        ("bash", {"script": "#!/bin/sh\n# why\n\nset -e\n  make all\n"}, "set -e; make all"),
        ("bash", {"script": ["x"]}, 'bash script=["x"]'),
        ("greet", {"name": "you", "n": 2}, "greet name=you n=2"),
        ("core.ping", None, "core.ping"),
    ],
)
def test_commands(name: str, arguments: dict[str, Any] | None, text: str) -> None:
    """As one would type them; what has not the form that it should have, as JSON."""
    assert command_text(JobCommand("a1", name, arguments)) == text


@pytest.mark.parametrize(
    "values,width,top,text",
    [
        ([], 3, 100, "   "),
        ([0, 50, 100], 3, 100, "▁▅█"),
        ([0, 50, 100], 5, 100, "  ▁▅█"),
        ([1, 2, 3, 4], 2, 4, "▇█"),
        ([-5, None, 500], 3, 100, "▁ █"),
        ([1, 1], 2, 0, "▁▁"),
        ([1], 0, 1, ""),
    ],
)
def test_graphs(values: list[float | None], width: int, top: float, text: str) -> None:
    """The newest value is at the right; what is beyond the top is full."""
    assert sparkline(values, width, top) == text
