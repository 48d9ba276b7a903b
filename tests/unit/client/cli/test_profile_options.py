"""`--profile`, and the defaults of a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from corex.cli.app import run
from corex.cli.render import say
from corex.core import Core
from corex.effects import Do, Plan
from corex_node import cli as node_cli
from corex_node.config import Config
from corex_shared.connection import Endpoint
from corex_shared.errors import ConfigError

SECRET = "a-secret-of-tests"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file of profiles."""
    for name in ("COREX_URL", "COREX_NAMESPACE", "COREX_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("COREX_CONFIG", str(path))
    return path


def corex(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line; return its exit code."""
    monkeypatch.setattr("sys.argv", ["corex", *arguments])
    try:
        return run()
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    "defaults, key, reason",
    [
        ('timeout = "60"', "timeout", "Expected `float`, got `str`"),
        ("timeout = -1", "timeout", "it must be 0 or more"),
        ("timeout = true", "timeout", "Expected `float`, got `bool`"),
        ("tmeout = 1", "tmeout", "no command has such an option"),
        ("run = {signal = 'TERM'}", "run.signal", "corex run has no such option"),
        ("walk = {timeout = 1}", "walk", "there is no such command"),
        ("tag = 'x'", "tag", "Expected `array | null`, got `str`"),
        ("help = true", "help", "no command has such an option"),
    ],
)
def test_a_default_that_makes_no_sense(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    defaults: str,
    key: str,
    reason: str,
) -> None:
    """The error names file and key, and the exit code is that of wrong usage."""
    file.write_text(f"default = 'p'\n[profile.p.defaults]\n{defaults}")
    assert corex(monkeypatch, "nodes") == 2
    assert capsys.readouterr().err == f"corex: {file}: profile.p.defaults.{key}: {reason}\n"


def test_errors_of_the_file_are_wrong_usage(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with it; also a profile that there is not, and a password that fails."""
    assert corex(monkeypatch, "nodes") == 2
    file.write_text('[profile.a]\n[profile.b]\nurl = "redis://h"\npassword_env = "NOT_SET"')
    assert corex(monkeypatch, "--profile", "c", "nodes") == 2
    assert corex(monkeypatch, "--profile", "b", "nodes") == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == f"corex: {file}: there is no such file"
    assert errors[1].endswith("there are: a, b")
    assert errors[2] == f"corex: {file}: profile.b.password_env: NOT_SET is not set"


def interrupt() -> None:
    """Be Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "defaults, arguments, timeout",
    [
        ("timeout = 7", [], 7.0),
        ("timeout = 7\ndoctor = {timeout = 8}", [], 8.0),
        ("run = {timeout = 8}", [], 5.0),
        ("timeout = 7", ["--timeout", "9"], 9.0),
    ],
)
def test_defaults_of_commands(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    defaults: str,
    arguments: list[str],
    timeout: float,
) -> None:
    """One for all commands, one for a command before that, an option before all."""
    file.write_text(f"default = 'p'\n[profile.p.defaults]\n{defaults}")
    asked: list[float] = []

    def diagnose(core: Core, seconds: float) -> Plan[None]:
        asked.append(seconds)
        yield Do(interrupt)

    monkeypatch.setattr("corex.doctor.diagnose.diagnose", diagnose)
    assert corex(monkeypatch, "doctor", *arguments) == 130
    assert asked == [timeout]


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@127.0.0.1:1/0",
        f"redis://u:{SECRET}@127.0.0.1:1/x",
        f"redis://u:{SECRET}@127.0.0.1:port/0",
        f"redis://u:{SECRET}#@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={SECRET}",
        f"redis://127.0.0.1:1/0?Password={SECRET}",
        f"http://u:{SECRET}@127.0.0.1:1/0",
        f"redis+cluster://u:{SECRET}@127.0.0.1:1",
        f"rediss://u:{SECRET}@127.0.0.1:1/0?ssl_ca_certs=/nowhere",
    ],
)
@pytest.mark.parametrize("command", ["nodes", "doctor", "result x", "node run"])
def test_a_url_that_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, command: str
) -> None:
    """Errors, and what the doctor finds, show no password."""

    def start(config: Config) -> None:
        try:
            Endpoint(config.main.url)  # the first that an agent does
        except ConfigError as error:
            say(str(error))
            raise SystemExit(1) from error
        say("started")
        raise SystemExit(1)

    monkeypatch.setattr(node_cli, "replace_process", start)
    assert corex(monkeypatch, "--url", url, *command.split()) != 0
    heard = capsys.readouterr()
    assert heard.out + heard.err
    assert SECRET not in heard.out + heard.err


def test_a_warning_goes_to_stderr(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that output stays what it is."""
    file.write_text(f'[profile.p]\nurl = "redis://u:{SECRET}@127.0.0.1:1/0"')
    file.chmod(0o644)
    assert corex(monkeypatch, "--profile", "p", "nodes") == 3
    heard = capsys.readouterr()
    assert heard.out == ""
    assert f"corex: warning: {file}: profile.p.url: holds a password" in heard.err
    assert SECRET not in heard.err


def test_a_node_takes_a_profile_only_if_it_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent has settings of its own: what a user's file says is not for it unless asked."""
    file.write_text('default = "p"\n[profile.p]\nurl = "redis://h"\nnamespace = "n"')
    taken: list[Config] = []
    monkeypatch.setattr(node_cli, "replace_process", taken.append)
    corex(monkeypatch, "node", "run", "--id", "x")
    corex(monkeypatch, "--profile", "p", "node", "run", "--id", "x")
    corex(monkeypatch, "--profile", "p", "node", "run", "--id", "x", "--url", "redis://o")
    assert [(one.main.url, one.main.namespace) for one in taken] == [
        ("redis://127.0.0.1:6379/0", "corex"),
        ("redis://h", "n"),
        ("redis://o", "n"),
    ]
    file.write_text("nonsense")
    assert corex(monkeypatch, "node", "run", "--id", "x") == 0
