"""`core.explain` of programs: what it tells is what comes of a start."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from corex_node.process.privileges import capability_names
from tests.helpers.wire import Pairs, Wire

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def _explained(wire: Wire, **arguments: Any) -> Pairs:
    asked = {"command": "core.system", "arguments": arguments}
    result = wire.result(wire.push("core.explain", asked))
    assert result["state"] == "SUCCESS", result
    found: Pairs = json.loads(result["data"])
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dir": "/usr/bin", "umask": "027", "nice": 4, "rlimits": {"nofile": [50, 60], "core": -1}},
        pytest.param({"user": "nobody", "group": "daemon"}, marks=as_root),
        pytest.param({"user": 54321, "group": 54322, "rlimits": {"core": 0}}, marks=as_root),
    ],
    ids=str,
)
def test_it_is_what_the_program_sees(wire: Wire, options: dict[str, Any]) -> None:
    """Identity, rights, place and limits are those that a program started so reads of itself."""
    told = _explained(wire, name="sh", args=["-c", "true"], **options)
    script = "readlink /proc/$$/exe; pwd; umask; nice; id -u; id -g; id -Gn; ulimit -Sn; ulimit -Hn"
    arguments = {
        "name": "sh",
        "args": ["-c", f"{script} 2>/dev/null; grep CapEff /proc/self/status"],
    }
    seen = wire.result(wire.push("core.system", {**arguments, **options}))["streams"][0]
    lines = seen.splitlines()
    assert os.path.realpath(told["binary"]) == lines[0]
    assert [told["dir"], told["umask"], str(told["nice"])] == lines[1:4]
    assert [str(told["uid"]), str(told["gid"])] == lines[4:6]
    assert set(told["groups"]) == set(lines[6].split())
    assert [str(value) for value in told["rlimits"]["nofile"]] == lines[7:9]
    assert told["capabilities"] == capability_names(int(lines[9].split()[1], 16))
    assert told["no_new_privs"] is False


@as_root
@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "no-such-program"},
        {"name": "/no/such/program"},
        {"name": "/etc/passwd"},
        {"name": "/etc"},
        {"name": "true", "args": ["a\0b"]},
        {"name": "true", "dir": "/no-such-place"},
        {"name": "true", "user": "no-such-user"},
        {"name": "true", "user": "nobody", "dir": "closed"},
        {"name": "closed/tool", "user": "nobody"},
        {"name": "true", "rlimits": {"nofile": 2**40}},
        {"name": "true", "env": {"A=B": "1"}},
    ],
    ids=str,
)
def test_an_error_is_that_of_a_start(wire: Wire, tmp_path: Path, arguments: dict[str, Any]) -> None:
    """Code and reason are the same, and nothing was run to find out."""
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    closed.joinpath("tool").write_text("#!/bin/sh\n")
    closed.joinpath("tool").chmod(0o755)
    asked = {
        key: str(tmp_path / value) if str(value).startswith("closed") else value
        for key, value in arguments.items()
    }
    started = wire.result(wire.push("core.system", asked))
    told = _explained(wire, **asked)
    assert told["allowed"] is False
    assert (told["code"], told["reason"]) == (started["code"], json.loads(started["data"]))


def test_nothing_is_run(wire: Wire, tmp_path: Path) -> None:
    """Asked about a program, a node does not begin it."""
    told = tmp_path / "told"
    own = pwd.getpwuid(os.geteuid()).pw_name
    _explained(wire, name="touch", args=[str(told)], user=own)
    assert not told.exists()
