"""The command line without a Redis: help, usage, what is missing."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from typer.testing import CliRunner

from corex.cli.app import app
from corex_shared.version import __version__


@pytest.mark.parametrize(
    "command",
    [
        *("run", "sh", "call", "ps", "top", "result", "logs", "kill", "cp", "queues", "nodes"),
        "doctor",
        "events",
    ],
)
def test_every_command_has_help(command: str) -> None:
    """`--help` and `-h` say what a command does."""
    for option in ("--help", "-h"):
        result = CliRunner().invoke(app, [command, option])
        assert result.exit_code == 0
        assert "Usage" in result.output


def test_the_version() -> None:
    """`--version` names the program and its version."""
    assert CliRunner().invoke(app, ["--version"]).output == f"corex {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "n1"],
        ["run", "n1", "--nonsense", "--", "ls"],
        ["run", "n1", "--env", "novalue", "--", "ls"],
        ["run", "n1", "--max-time", "-1", "--", "ls"],
        ["sh", "n1", "-", "--stdin"],
        ["sh", "n1", "ls", "--queue", "q", "--queue-scope", "world"],
        ["run", "n1", "--queue-scope", "fleet", "--", "ls"],
        ["call", "n1", "x", "{"],
        ["call", "n1", "x", "[1]"],
        ["kill", "a", "--signal", "NONSENSE"],
        ["kill", "a", "--signal", "65"],
        ["kill", "a", "--signal", "_IGN"],
        ["run", "n1", "--batch", "0", "--", "ls"],
        ["run", "n1", "--canary", "0", "--", "ls"],
        ["sh", "n1", "--max-failures", "0", "ls"],
        ["run", "n1", "--detach", "--batch", "2", "--", "ls"],
        ["sh", "n1", "--detach", "--canary", "1", "ls"],
        ["sh", "n1", "--detach", "--max-failures", "1", "ls"],
        ["nodes", "--forget", "n1", "--json"],
        ["nodes", "n1", "--forget", "n1"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """Options and arguments that make no sense are found before anything is done."""
    assert CliRunner().invoke(app, arguments, input="").exit_code == 2


@pytest.mark.parametrize(
    "arguments,code,text",
    [
        (["--url", "ftp://x", "nodes"], 2, "corex: url: ftp://x"),
        (["--namespace", "a b", "nodes"], 2, "corex: namespace: 'a b'"),
        (["--url", "redis://127.0.0.1:1", "nodes"], 3, "corex: "),
        (["--url", "redis://127.0.0.1:1", "run", "n1", "--", "ls"], 3, "corex: "),
        (["--url", "redis://u:secret@127.0.0.1:1", "nodes"], 3, "corex: "),
    ],
)
def test_errors_are_one_line(arguments: list[str], code: int, text: str) -> None:
    """What goes wrong is told in a line, without a traceback and without a password."""
    done = subprocess.run(
        [sys.executable, "-m", "corex.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(text)
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    "missing, extra, arguments",
    [
        ("typer", "cli", []),
        ("rich", "cli", []),
        ("prctl", "node", ["node", "run"]),
        ("psutil", "node", ["node", "run"]),
        ("structlog", "node", ["node", "run"]),
    ],
)
def test_without_its_extra_it_says_what_to_install(
    missing: str, extra: str, arguments: list[str]
) -> None:
    """The library alone has the entry point `corex`; it names the extra that is needed."""
    code = f"""
        import sys
        sys.modules[{missing!r}] = None
        from corex.cli.main import main
        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert missing in done.stderr
    assert f"pip install 'corex-runner[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
