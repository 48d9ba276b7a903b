"""`corex run` and `corex sh` on many nodes, some of which fail, hang, die or are away."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Corex, OnTerminal
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess, RunNode, start_together
from tests.helpers.terminal import CTRL_C

pytestmark = pytest.mark.timeout(120)


def _runs(marker: str) -> int:
    """Count the processes that have a marker in their arguments."""
    return sum(
        marker in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    )


def _freeze(node: NodeProcess) -> list[psutil.Process]:
    """Stop an agent with all of its processes."""
    agent = psutil.Process(node.process.pid)
    family = [agent, *agent.children(recursive=True)]
    for member in family:
        member.suspend()
    return family


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_node_that_hangs_and_one_that_dies_hold_up_nobody(
    run_node: RunNode, environment: dict[str, str], tmp_path: Path
) -> None:
    """Within the time of the run each node has its line, with the reason; the code is 1."""
    nodes = [run_node(name) for name in ("app-1", "app-2", "app-3")]
    go = tmp_path / "go"
    script = f"touch {tmp_path}/begun-$$; until [ -e {go} ]; do sleep 0.05; done; echo end"
    process = subprocess.Popen(
        [COREX, "sh", "app-*", "--json", "--timeout", "4", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    family: list[psutil.Process] = []
    try:
        eventually(lambda: len(list(tmp_path.glob("begun-*"))) == 3, "all run")
        family = _freeze(nodes[1])
        nodes[2].kill()
        go.touch()
        out, _ = process.communicate(timeout=40)
    finally:
        process.kill()
        for member in reversed(family):
            member.resume()
    assert process.returncode == 1
    first, second, third = _lines(out)
    assert (first["node"], first["status"], first["state"]) == ("app-1", "finished", "SUCCESS")
    assert first["streams"] == ["end\n", ""]
    assert (second["node"], second["status"]) == ("app-2", "unreachable")
    assert (third["node"], third["status"]) == ("app-3", "unreachable")
    for line in (second, third):
        assert line["reason"].endswith("; its job may still run")


def test_no_more_fail_than_may(corex: Corex, run_node: RunNode) -> None:
    """The others are skipped, and it is said why, and how many ended how."""
    start_together([run_node(f"db-{number}", start=False) for number in range(1, 5)])
    done = corex("sh", "db-*", "--max-failures", "2", "exit 3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "corex: db-1: exit code 3",
        "corex: db-2: exit code 3",
        "corex: db-3, db-4: not started: 2 nodes failed (max_failures=2)",
        "corex: 0 ok, 2 failed, 2 skipped",
    ]


def test_the_others_wait_for_the_canary(corex: Corex, fleet: list[NodeProcess]) -> None:
    """None of them is started when it fails; each has its line all the same."""
    done = corex("sh", "web-2,web-1", "--canary", "1", "--json", "exit 3")
    first, second = _lines(done.stdout)
    assert (first["node"], first["status"], first["code"]) == ("web-2", "finished", 1003)
    assert (second["node"], second["status"]) == ("web-1", "skipped")
    assert "canary" in second["reason"]
    assert (done.stderr, done.returncode) == ("", 1)


def test_a_batch_is_the_most_that_run_at_once(
    corex: Corex, fleet: list[NodeProcess], tmp_path: Path
) -> None:
    """With a batch of one no job sees another one."""
    lock = tmp_path / "lock"
    done = corex("sh", "web-*", "--batch", "1", f"mkdir {lock} && sleep 0.3 && rmdir {lock}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    both = corex("sh", "web-*", f"mkdir {lock} && sleep 3 && rmdir {lock}")
    assert both.returncode == 1  # what the batch has kept from happening


def test_a_node_that_is_away_is_told(corex: Corex, fleet: list[NodeProcess]) -> None:
    """With when it was last seen; the code is 3 when nobody else was asked, and 1 otherwise."""
    fleet[1].stop()
    try:
        alone, among = corex("run", "web-2", "--", "true"), corex("run", "web-*", "--", "true")
        detached = corex("run", "web-*", "--detach", "--", "true")
    finally:
        fleet[1].start()
    (line,) = alone.stderr.splitlines()
    assert line.startswith("corex: web-2: unreachable, last seen ")
    assert line.endswith(" ago: it was away when the run began")
    assert (alone.stdout, alone.returncode) == ("", 3)
    assert among.stderr.splitlines()[-1] == "corex: 1 ok, 1 unreachable"
    assert among.returncode == 1
    assert len(detached.stdout.splitlines()) == 1
    assert detached.stderr.startswith("corex: web-2: unreachable")
    assert detached.returncode == 1


def test_the_jobs_of_a_detached_run(corex: Corex, fleet: list[NodeProcess]) -> None:
    """They have an ID a line, in the order of the nodes."""
    jobs = corex("sh", "web-2,web-1", "--detach", "echo $COREX_JOB_ID").stdout.split()
    results = [json.loads(corex("result", job, "--wait", "10", "--json").stdout) for job in jobs]
    assert [(one["node"], one["state"]) for one in results] == [
        ("web-2", "SUCCESS"),
        ("web-1", "SUCCESS"),
    ]


@pytest.mark.parametrize("width", [80, 160])
def test_a_run_on_a_terminal(
    on_terminal: OnTerminal, fleet: list[NodeProcess], tmp_path: Path, width: int
) -> None:
    """Below the output is how far it is, until the end; then how many ended how."""
    go = tmp_path / "go"
    script = f"echo out; echo err >&2; until [ -e {go} ]; do sleep 0.05; done"
    with on_terminal("sh", "web-*", "--batch", "1", script, columns=width) as terminal:
        screen = terminal.shows("web-1 | out", "web-1 | err", " 0 of 2, 1 running")
        assert screen.split("\n")[-1].endswith(" 0 of 2, 1 running")
        assert (terminal.colours("web-1 | err"), terminal.colours("web-1 | out")) == (
            {"red"},
            {"default"},
        )
        go.touch()
        assert terminal.ends() == 0
        lines = terminal.text.split("\n")
    assert sorted(lines[:-1]) == ["web-1 | err", "web-1 | out", "web-2 | err", "web-2 | out"]
    assert lines[-1] == "corex: 2 ok"


def test_ctrl_c_ends_the_run_everywhere(on_terminal: OnTerminal, fleet: list[NodeProcess]) -> None:
    """It is said what was killed, and what was never started."""
    script = "echo started; exec sleep 96.11"
    with on_terminal("sh", "web-*", "--batch", "1", script) as terminal:
        terminal.shows("web-1 | started")
        terminal.press(CTRL_C)
        assert terminal.ends() == 130
        assert terminal.text.split("\n") == [
            "web-1 | started",
            "corex: killing what was started (Ctrl-C leaves at once)",
            "corex: killed on web-1",
            "corex: not started on web-2",
        ]
    eventually(lambda: not _runs("96.11"))
    with on_terminal("sh", "web-*", "--json", script) as terminal:
        eventually(lambda: _runs("96.11") == 2)
        terminal.press(CTRL_C)
        assert terminal.ends() == 130
    eventually(lambda: not _runs("96.11"))


def test_ctrl_c_leaves_a_line_for_each_node(
    fleet: list[NodeProcess], environment: dict[str, str]
) -> None:
    """Of `--json`: also of those that were never started; and the names of both are said."""
    process = subprocess.Popen(
        [COREX, "sh", "web-1,web-2", "--json", "--batch", "1", "exec sleep 96.12"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        eventually(lambda: _runs("96.12") == 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    first, second = _lines(out)
    assert (first["node"], first["status"], first["state"]) == ("web-1", "finished", "KILLED")
    assert (second["node"], second["status"]) == ("web-2", "skipped")
    assert "cancelled" in first["reason"]
    assert "cancelled" in second["reason"]
    assert err.splitlines() == ["corex: killed on web-1", "corex: not started on web-2"]
    assert process.returncode == 130


def test_only_a_node_that_is_gone_is_forgotten(
    corex: Corex, fleet: list[NodeProcess], run_node: RunNode
) -> None:
    alive = corex("nodes", "--forget", "web-1")
    assert (alive.stdout, alive.returncode) == ("", 1)
    assert alive.stderr.startswith("corex: node web-1 is there on ")
    run_node("old-1").stop()
    gone = corex("nodes", "--forget", "old-1")
    assert (gone.stdout, gone.stderr, gone.returncode) == ("old-1: forgotten\n", "", 0)
    assert "old-1" not in corex("nodes").stdout
    again = corex("nodes", "--forget", "old-1")
    assert (again.stderr, again.returncode) == ("corex: no such node: old-1\n", 3)
    wrong = corex("nodes", "--forget", "a b")
    assert (wrong.returncode, "'a b'" in wrong.stderr) == (2, True)
