"""The examples of docs/client.md do what they say."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.helpers.nodes import NodeProcess

DOCUMENT = Path(__file__).parents[3] / "docs" / "client.md"


def _examples(title: str) -> str:
    """Read all examples of a section."""
    section = DOCUMENT.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def test_the_examples_of_fleets_run(
    live_agent: NodeProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They say what they are said to say."""
    monkeypatch.setenv("COREX_NAMESPACE", live_agent.namespace)
    text = _examples("Fleets").replace("redis://127.0.0.1:6379/0", live_agent.url)
    exec(compile(text, str(DOCUMENT), "exec"), {})
    said = capsys.readouterr().out.splitlines()
    node = live_agent.id
    assert said[0] == f"{node} finished "
    assert "load average" in said[1]
    assert said[-6:] == [
        *(f"{node} 1", f"{node} 2", f"{node} 3"),
        *(f"{node} has begun", f"{node} is done", "['finished']"),
    ]


def test_the_examples_run(
    live_agent: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them in one go, as a reader would, with other places for files."""
    text = _examples("What a node has")
    for folder in ("srv", "var/log", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    text = re.sub(r'"(?=/(?:srv|var|tmp)\b)', f'"{tmp_path}', text)
    text = text.replace("redis://127.0.0.1:6379/0", live_agent.url)
    text = text.replace('"web-1"', f'"{live_agent.id}"').replace("sleep 1;", "sleep 0.1;")
    text = text.replace('user="root", group=0', f"user={os.getuid()}, group={os.getgid()}")
    (tmp_path / "app.tar").write_bytes(b"tar")
    (tmp_path / "var/log/syslog").write_bytes(b"log")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COREX_NAMESPACE", live_agent.namespace)
    exec(compile(text, str(DOCUMENT), "exec"), {})
    assert (tmp_path / "srv/app.tar").read_bytes() == b"tar"
    assert (tmp_path / "syslog").read_bytes() == b"log"
    assert list((tmp_path / "tmp").iterdir()) == []
