"""What a shell is told when Tab is pressed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corex import Client
from tests.e2e.conftest import Corex
from tests.helpers.eventually import eventually

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(corex: Corex, environment: dict[str, str]) -> Complete:
    """Complete a command line as bash asks for it; nothing may be said beside."""

    def run(line: str, **more: str) -> list[str]:
        words = line.split(" ")
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        env = {**environment, "_COREX_COMPLETE": "complete_bash", **asked, **more}
        done = corex(env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return run


def _completes(complete: Complete, line: str, *expected: str, **more: str) -> None:
    """See what is completed; on a machine so busy that a second is too short, ask again."""
    found: list[list[str]] = []

    def look() -> bool:
        found.append(complete(line, **more))
        return found[-1] == list(expected)

    eventually(look, f"{line!r} becomes {expected}", seconds=30)
    assert all(not other for other in found[:-1])  # all or nothing


def test_targets(cx: Client, complete: Complete) -> None:
    """Nodes, groups and labels; of several, the last one."""
    _completes(complete, "corex ps ", "@build", "web-1", "web-2", "zone=eu", "zone=us")
    _completes(complete, "corex nodes @", "@build")
    _completes(complete, "corex queues web-1,zone=e", "web-1,zone=eu")
    _completes(complete, "corex run @", "@build")
    _completes(complete, "corex sh --batch 2 web-1,zone=e", "web-1,zone=eu")
    _completes(complete, "corex cp we", "web-1:", "web-2:")
    assert complete("corex call x") == []


def test_jobs(cx: Client, complete: Complete) -> None:
    """Those that nodes have, without those that ask for them."""
    job = cx.node("web-1").system("sleep", args=["1000"])
    eventually(lambda: job.state().stage == "running")
    for command in ("result", "kill", "logs -f"):
        _completes(complete, f"corex {command} {job.id[:4]}", job.id)


def test_options_come_first(cx: Client, complete: Complete, redis_url: str) -> None:
    """`--url` is heeded before the environment."""
    line = f"corex --url {redis_url} nodes w"
    _completes(complete, line, "web-1", "web-2", COREX_URL="redis://127.0.0.1:1")


def test_profiles_are_heeded(
    cx: Client, complete: Complete, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    """The one that is named on the line, and the default one."""
    file = tmp_path / "config.toml"
    table = f'url = "{redis_url}"\nnamespace = "{namespace}"'
    file.write_text(
        f'default = "a"\n[profile.a]\n{table}\n[profile.b]\nurl = "redis://127.0.0.1:1"'
    )
    nowhere = {"COREX_CONFIG": str(file), "COREX_URL": "", "COREX_NAMESPACE": ""}
    _completes(complete, "corex nodes w", "web-1", "web-2", **nowhere)
    _completes(complete, "corex --profile a nodes w", "web-1", "web-2", **nowhere)
    assert complete("corex --profile b nodes w", **nowhere) == []
    assert complete("corex --profile none nodes w", **nowhere) == []


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense", "silent"])
def test_silence_when_anything_is_wrong(complete: Complete, url: str) -> None:
    """Within about a second, also before a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if url == "silent":
            url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        complete("corex --version")  # what the start of the program itself takes
        begun = time.monotonic()
        complete("corex --version")
        start = time.monotonic() - begun
        assert complete("corex ps w", COREX_URL=url) == []
        assert time.monotonic() - begun < 2 * start + 4
