"""The plugin of pytest, in a project of somebody else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROJECT = """
import os
from corex import AsyncClient, Client

def deploy():
    with Client() as cx:
        return cx.node("web-1").bash("make").wait(timeout=5).stdout

def test_deploy(corex_fleet):
    corex_fleet.add("web-1").answer("bash", stdout="ok")
    assert deploy() == "ok"
    assert os.environ["COREX_URL"] == corex_fleet.url

def test_each_test_has_a_fleet_of_its_own(corex_fleet):
    assert corex_fleet.nodes() == []
"""

DOCUMENT = Path(__file__).parents[4] / "docs" / "testing.md"


def run(folder: Path, *arguments: str) -> str:
    """Run pytest in a project."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "corex.testing.plugin", "-q", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixture(tmp_path: Path) -> None:
    """Code under test finds the fleet by COREX_URL."""
    (tmp_path / "test_project.py").write_text(PROJECT)
    assert "2 passed" in run(tmp_path, "-W", "error", "-p", "no:asyncio")


def test_a_project_that_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """Neither Redis nor its double is loaded because the plugin is there."""
    (tmp_path / "test_project.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    for name in ('redis', 'fakeredis', 'msgspec', 'corex.sync'):\n"
        "        assert name not in sys.modules, name\n"
    )
    assert "1 passed" in run(tmp_path)


def test_the_examples_of_the_document(tmp_path: Path) -> None:
    """All of docs/testing.md, each in a file of its own, as a reader would."""
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    for number, example in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(example)
    shown = run(tmp_path, "-o", "asyncio_mode=auto")
    assert f"{len(examples)} passed" in shown
