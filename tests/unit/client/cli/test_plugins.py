"""Commands that other packages bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from corex.cli import plugins
from corex.cli.app import app

group = typer.Typer(help="A group.")


@group.command("go")
def _go() -> None:
    typer.echo("gone")


@group.command("other")
def _other() -> None: ...


def single(name: str) -> None:
    """Do one thing."""
    typer.echo(f"hello {name}")


def _use(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    found = [EntryPoint(name, value, plugins.GROUP) for name, value in values.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)


def test_a_group_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `typer.Typer` becomes a group under its name."""
    _use(monkeypatch, extra=f"{__name__}:group")
    result = CliRunner().invoke(app, ["extra", "go"])
    assert (result.exit_code, result.output) == (0, "gone\n")


def test_a_single_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function becomes a command."""
    _use(monkeypatch, greet=f"{__name__}:single")
    result = CliRunner().invoke(app, ["greet", "you"])
    assert (result.exit_code, result.output) == (0, "hello you\n")


def test_plugins_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The help shows ours and theirs."""
    _use(monkeypatch, greet=f"{__name__}:single", node="no_such_module:app")
    output = CliRunner().invoke(app, ["--help"]).output
    assert "Do one thing." in output
    assert "pip install 'corex-runner[node]'" in output
    assert "nodes" in output


def test_a_plugin_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing and what to install, whatever its options, and exits with 2."""
    _use(monkeypatch, node="no_such_module:app")
    result = CliRunner().invoke(app, ["node", "run", "--id", "x"])
    assert result.exit_code == 2
    assert "no_such_module" in result.output
    assert "pip install 'corex-runner[node]'" in result.output


def test_our_commands_are_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin cannot take the name of one of our commands."""
    _use(monkeypatch, nodes=f"{__name__}:single")
    assert "Do one thing." not in CliRunner().invoke(app, ["nodes", "--help"]).output


def test_nothing_is_loaded_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that cannot be loaded does not stand in the way of other commands."""
    _use(monkeypatch, broken="this.fails:badly")
    assert CliRunner().invoke(app, ["--version"]).exit_code == 0
