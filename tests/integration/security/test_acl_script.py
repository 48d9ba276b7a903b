"""`python ops/redis/acl.py`, as operators run it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import corex
import corex_node
from corex_shared.keys import Keys
from ops.redis import acl

SCRIPT = Path(acl.__file__)
# A command of Redis in our code is a tuple that begins with its name.
CALL = re.compile(r"\(\s*\"([A-Z]{3,})\",\s*(?:self|core|key|keys|node|channel|ticket|inbox)\b")


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_a_made_password_is_shown_once_and_kept_as_its_hash() -> None:
    """On standard error, so that the line can be appended to users.acl."""
    done = run("node", "web-1", "--group", "build")
    assert done.returncode == 0
    found = re.search(r"password of user web-1, shown this once: (\S{40,})\n", done.stderr)
    assert found is not None
    assert done.stdout.startswith(
        f"user web-1 on #{hashlib.sha256(found.group(1).encode()).hexdigest()} "
    )
    assert found.group(1) not in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """And is never shown."""
    digest = hashlib.sha256(b"correct horse battery").hexdigest()
    file = tmp_path / "secret"
    file.write_text("correct horse battery\n")
    by_file = run("client", "ci", "--password-file", str(file))
    by_env = run("client", "ci", "--password-env", "CI_SECRET", CI_SECRET="correct horse battery")
    assert by_file.stdout == by_env.stdout
    assert f" #{digest} " in by_file.stdout
    assert by_file.stderr == by_env.stderr == ""


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (("node", "web 1"), "node"),
        (("node", "web*"), "node"),
        (("node", "a}:*"), "node"),
        (("node", "web-1", "--group", "b d"), "group"),
        (("node", "web-1", "--user", "a\nuser evil on nopass +@all"), "user"),
        (("node", "web-1", "--namespace", "*"), "namespace"),
        (("client", "default"), "'default' is everybody"),
        (("client", "c", "--password-file", "/nowhere/at/all"), "No such file"),
        (("client", "c", "--password-env", "NOT_SET_AT_ALL"), "NOT_SET_AT_ALL: holds no password"),
        (("client", "c", "--server", "6.0"), "6.2 or newer"),
        (("client", "c", "--server", "new"), "a version such as"),
        (("king", "c"), "invalid choice"),
    ],
)
def test_what_cannot_be_written_is_refused(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason, and nothing on standard output."""
    code: object
    try:
        code = acl.main(arguments)
    except SystemExit as end:  # what argparse finds
        code = end.code
    shown = capsys.readouterr()
    assert code == 2
    assert reason in shown.err
    assert shown.out == ""


def test_a_short_password_is_warned_about(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash can be guessed."""
    monkeypatch.setenv("SECRET", "abc")
    assert acl.main(["client", "c", "--password-env", "SECRET"]) == 0
    said = capsys.readouterr().err
    assert "is short" in said
    assert "abc" not in said


def test_a_client_of_an_old_server_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    """Redis 6.2 cannot keep it from writing results."""
    assert acl.main(["client", "c", "--server", "6.2"]) == 0
    assert "cannot keep a client from writing results" in capsys.readouterr().err


def test_setuser_resets_what_was_allowed_before(
    admin: redis.Redis, namespace: str, tmp_path: Path
) -> None:
    """The same user made anew has its new rights and its new password only."""
    secret = tmp_path / "secret"
    name = f"u-{namespace}"
    for text in ("the-first-password", "the-second-password"):
        secret.write_text(text)
        line = run("operator", name, "--password-file", str(secret), "--setuser").stdout
        admin.execute_command(*line.split())  # type: ignore[no-untyped-call]
    user = admin.acl_getuser(name)
    assert isinstance(user, dict)
    assert user["passwords"] == [hashlib.sha256(b"the-second-password").hexdigest()]
    admin.acl_deluser(name)


def calls_in(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.py")):
        for name in CALL.findall(path.read_text()):
            yield name.lower(), f"{path.parent.name}/{path.name}"


def granted(grants: list[acl.Grant]) -> set[str]:
    return {name for grant in grants for name in grant.commands}


def test_every_command_in_the_code_is_granted() -> None:
    """What the agent and the client send to Redis, found by its looks, their users may run."""
    keys = Keys()
    node = granted(acl.node_grants(keys, "n1", []))
    reaper = granted(acl.reaper_grants(keys))
    client = granted(acl.client_grants(keys, withdraw=True))
    in_node = dict(calls_in(Path(corex_node.__file__).parent))
    calls = list(calls_in(Path(corex.__file__).parent))
    # `corex.testing` plays nodes, in memory: what it calls is what nodes may call.
    in_testing = {name: place for name, place in calls if place.startswith("testing/")}
    in_client = {name: place for name, place in calls if not place.startswith("testing/")}
    # `corex doctor` names what a node calls, to ask the server about it, and calls none of it.
    in_client = {
        name: place for name, place in in_client.items() if place != "doctor/permissions.py"
    }
    assert len(in_node) > 5
    assert len(in_client) > 8
    assert {name: place for name, place in in_node.items() if name not in node | reaper} == {}
    assert {name: place for name, place in in_testing.items() if name not in node | reaper} == {}
    assert {name: place for name, place in in_client.items() if name not in client} == {}
