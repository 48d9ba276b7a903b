"""Commands of the command line, against nodes in memory: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corex import JobState, NotFoundError
from corex.cli.app import run
from corex.fleet.fleet import Fleet
from corex.fleet.run import FleetRun
from corex.testing import MemoryFleet
from corex.testing.answers import FOREVER
from corex_shared.models import Command
from tests.helpers.eventually import eventually

pytest_plugins = ["corex.testing.plugin"]

Corex = Callable[..., tuple[int, str, str]]


@pytest.fixture
def corex(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], corex_fleet: MemoryFleet
) -> Corex:
    """Run the command line to its end; give exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["corex", *arguments])
        try:
            code = run()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_a_script_on_one_node(corex_fleet: MemoryFleet, corex: Corex) -> None:
    """Both streams, and the exit code of the script."""
    corex_fleet.add("n1").answer("bash", stdout="out\n", stderr="err\n", code=7)
    assert corex("sh", "n1", "make") == (7, "out\n", "err\n")


def test_a_program_on_several(corex_fleet: MemoryFleet, corex: Corex) -> None:
    """Lines with their nodes; 1 if one failed."""
    corex_fleet.add("n1").answer("core.system", stdout="a\nb", script="^uname -a$")
    corex_fleet.add("n2").answer("core.system", code=3)
    code, out, err = corex("run", "n*", "--", "uname", "-a")
    assert (code, sorted(out.splitlines())) == (1, ["n1 | a", "n1 | b"])
    assert err == "corex: n2: exit code 3\n"


@pytest.mark.parametrize(
    "answer, options, code",
    [
        ({}, [], 0),
        ({"signal": 9}, [], 137),
        ({"delay": FOREVER}, ["--max-time", "0.05"], 124),
        ({"delay": FOREVER}, ["--timeout", "0.05"], 124),
        ({"state": JobState.LOST}, [], 1),
        ({"state": JobState.REJECTED}, [], 1),
        ({"error": NotFoundError("x")}, [], 1),
    ],
    ids=str,
)
def test_exit_codes_of_scripts(
    corex_fleet: MemoryFleet, corex: Corex, answer: Any, options: list[str], code: int
) -> None:
    """Those of shells where there are such, else 1; nothing is left running."""
    node = corex_fleet.add("n1")
    node.answer("bash", **answer)
    assert corex("sh", "n1", "make", *options)[0] == code
    eventually(lambda: node.jobs == {})


def test_any_command(corex_fleet: MemoryFleet, corex: Corex) -> None:
    """Its answer, as it is or for people; an unknown one is an error."""
    corex_fleet.add("n1").answer("deploy", data={"done": [1]}, arguments={"to": "x"})
    assert corex("call", "n1", "deploy", '{"to": "x"}', "--json")[:2] == (0, '{"done":[1]}\n')
    assert corex("call", "n1", "core.ping")[:2] == (0, "PONG Version: 0.1.0\n")
    assert corex("call", "n1", "nonsense") == (1, "", "corex: n1: no such command: nonsense\n")


def test_nodes_and_those_that_there_are_not(corex_fleet: MemoryFleet, corex: Corex) -> None:
    """With their labels; a target that names none is 3."""
    corex_fleet.add("n1", labels={"zone": "eu"}, groups=["build"]).answer("bash")
    corex_fleet.add("n2").die()
    found = [json.loads(line) for line in corex("nodes", "--json")[1].splitlines()]
    assert [(one["id"], one["alive"]) for one in found] == [("n1", True), ("n2", False)]
    assert [corex("sh", target, "x")[0] for target in ("zone=eu", "@build", "n1")] == [0, 0, 0]
    assert [corex("sh", target, "x")[0] for target in ("zone=us", "n3")] == [3, 3]


def test_jobs_that_are_left_running(corex_fleet: MemoryFleet, corex: Corex) -> None:
    """Their IDs are printed; they are killed, and read, by these."""
    node = corex_fleet.add("n1")
    node.answer("bash", stdout="a\n", delay=FOREVER)
    code, out, _ = corex("sh", "n1", "make", "--detach")
    job = out.strip()
    eventually(lambda: job in node.jobs)
    assert code == 0
    assert corex("kill", job)[0] == 0
    assert corex("logs", job)[1] == "a\n"
    assert corex("result", job, "--wait", "5")[0] == 137


def test_ctrl_c_while_a_run_begins(
    corex_fleet: MemoryFleet, corex: Corex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was started is found by the ID that was chosen before, and killed."""
    node = corex_fleet.add("n1")
    node.answer("bash", delay=FOREVER)
    begin = Fleet.run

    def interrupted(fleet: Fleet, command: Command, **options: Any) -> FleetRun:
        run = begin(fleet, command, **options)
        eventually(lambda: run.jobs[0] in node.jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "run", interrupted)
    assert corex("sh", "n1", "make") == (130, "", "")
    eventually(lambda: node.jobs == {})

    def too_early(fleet: Fleet, command: Command, **options: Any) -> FleetRun:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "run", too_early)
    assert corex("sh", "n1", "make") == (130, "", "")


def test_a_profile_leads_to_a_fleet(
    corex_fleet: MemoryFleet, corex: Corex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an option names comes before COREX_URL, what COREX_PROFILE names after it."""
    corex_fleet.add("n1").answer("bash", stdout="here\n")
    file = tmp_path / "config.toml"
    file.write_text(f'[profile.p]\nurl = "{corex_fleet.url}"\n')
    monkeypatch.setenv("COREX_CONFIG", str(file))
    monkeypatch.setenv("COREX_URL", "redis://127.0.0.1:1/0")
    assert corex("--profile", "p", "sh", "n1", "x")[:2] == (0, "here\n")
    assert corex("sh", "n1", "x")[0] == 3
    monkeypatch.setenv("COREX_PROFILE", "p")
    assert corex("sh", "n1", "x")[0] == 3
    monkeypatch.delenv("COREX_URL")
    assert corex("sh", "n1", "x")[:2] == (0, "here\n")
