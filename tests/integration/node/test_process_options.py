"""`core.system`: as whom, where and with which limits a program runs, seen from inside it."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from corex_node.process.privileges import DROPPED, capability_names
from corex_shared.keys import Keys
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Pairs, Wire

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
_STATUS = "cat /proc/self/status"


def _run(wire: Wire, script: str, **options: Any) -> Pairs:
    job = wire.push("core.system", {"name": "sh", "args": ["-c", script], **options})
    return wire.result(job)


def _out(wire: Wire, script: str, **options: Any) -> str:
    result = _run(wire, script, **options)
    assert result["state"] == "SUCCESS", result
    return str(result["streams"][0])


def _status(text: str) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.split() for name, _, value in lines}


def _mask(status: dict[str, list[str]], name: str) -> set[str]:
    return set(capability_names(int(status[name][0], 16)))


@as_root
def test_a_user_has_its_ids_and_all_its_groups(
    run_node: RunNode, raw: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    """User, group and every supplementary group are the system's, and none is the agent's."""
    run_node("n1", prefix=_with_groups(tmp_path, "daemon", ("audio", "video")))
    entry = pwd.getpwnam("daemon")
    more = {grp.getgrnam(name).gr_gid for name in ("audio", "video")}
    status = _status(_out(Wire(raw, keys, "n1"), _STATUS, user="daemon"))
    assert set(status["Uid"]) == {str(entry.pw_uid)}
    assert set(status["Gid"]) == {str(entry.pw_gid)}
    assert set(map(int, status["Groups"])) == {entry.pw_gid} | more
    assert _mask(status, "CapEff") == set()


def _with_groups(folder: Path, user: str, groups: tuple[str, ...]) -> list[str]:
    """Make a command line before which a user is in some groups: for what it runs only."""
    file, script = folder / "group", folder / "with-groups"
    lines = Path("/etc/group").read_text().splitlines()
    told = [
        line + ("" if line.endswith(":") else ",") + user if line.split(":")[0] in groups else line
        for line in lines
    ]
    file.write_text("\n".join(told) + "\n")
    script.write_text(f'#!/bin/sh\nmount --bind {file} /etc/group && exec "$@"\n')
    script.chmod(0o755)
    prefix = ["unshare", "--mount", str(script)]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount of its own can be had here")
    return prefix


@as_root
def test_a_user_has_its_home_unless_told_otherwise(wire: Wire) -> None:
    """HOME, USER, LOGNAME and SHELL are the user's; `env` wins."""
    entry = pwd.getpwnam("nobody")
    script = 'echo "$HOME $USER $LOGNAME"'
    assert _out(wire, script, user="nobody") == f"{entry.pw_dir} nobody nobody\n"
    assert _out(wire, script, user="nobody", env={"HOME": "/x"}) == "/x nobody nobody\n"


@as_root
def test_a_group_and_numbers(wire: Wire) -> None:
    """A group may be named too, and both may be numbers, even of nobody."""
    daemon = grp.getgrnam("daemon").gr_gid
    status = _status(_out(wire, _STATUS, user="nobody", group="daemon"))
    assert set(status["Gid"]) == {str(daemon)}
    assert str(daemon) in status["Groups"]
    status = _status(_out(wire, _STATUS, user=54321, group=54322))
    assert (set(status["Uid"]), set(status["Gid"])) == ({"54321"}, {"54322"})
    assert status["Groups"] == ["54322"]


@as_root
def test_a_user_writes_no_file_of_roots(wire: Wire, tmp_path: Path) -> None:
    """It is refused what the system refuses its user."""
    target = tmp_path / "root-only"
    result = _run(wire, f"echo x > {target}", user="nobody")
    assert result["state"] == "ERROR"
    assert not target.exists()


def test_umask_nice_and_limits(wire: Wire) -> None:
    """Each is as it was asked for, and the agent's own stay."""
    script = "umask; nice; ulimit -Sn; ulimit -Hn; ulimit -c"
    limits = {"nofile": [50, 60], "core": 0}
    own = os.nice(0)
    told = _out(wire, script, umask="027", nice=3, rlimits=limits).split()
    assert told == ["0027", str(own + 3), "50", "60", "0"]
    assert _out(wire, "umask", umask=0o77) == "0077\n"
    plain = _out(wire, script).split()
    assert plain[:2] != told[:2]
    assert plain[2] != "50"


@as_root
def test_no_limit(wire: Wire) -> None:
    """Null and -1 take a limit away."""
    script = "ulimit -Sc; ulimit -Hc"
    assert _out(wire, script, rlimits={"core": None}) == "unlimited\nunlimited\n"
    assert _out(wire, script, rlimits={"core": [5, -1]}).split()[1] == "unlimited"


def test_options_go_together(wire: Wire, tmp_path: Path) -> None:
    """Directory, environment, stdin and a limit at once."""
    job = wire.push(
        "core.system",
        {
            "name": "sh",
            "args": ["-c", "pwd; cat; echo $A; ulimit -n"],
            "dir": str(tmp_path),
            "env": {"A": "b"},
            "stdin": "in\n",
            "rlimits": {"nofile": 64},
        },
    )
    assert wire.result(job)["streams"][0] == f"{tmp_path}\nin\nb\n64\n"


@pytest.mark.parametrize(
    "options, code, named",
    [
        ({"user": "no-such-user"}, 404, "user"),
        ({"group": "no-such-group"}, 404, "group"),
        ({"user": ""}, 404, "user"),
        ({"user": "a\0b"}, 400, "user"),
        ({"user": -1}, 400, "user"),
        ({"user": 2**32}, 400, "user"),
        ({"user": 54321}, 400, "user"),  # nobody has it, and no group is given
        ({"user": ["root"]}, 400, "user"),
        ({"group": 1.5}, 400, "group"),
        ({"umask": "9"}, 400, "umask"),
        ({"umask": "0" * 50}, 400, "umask"),
        ({"umask": -1}, 400, "umask"),
        ({"umask": 0o1777}, 400, "umask"),
        ({"nice": 20}, 400, "nice"),
        ({"nice": "much"}, 400, "nice"),
        ({"rlimits": {"nix": 1}}, 400, "rlimits.nix"),
        ({"rlimits": {"nofile": "9"}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": True}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": [9, 2]}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": [None, 2]}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": [1, 2, 3]}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": 2**63}}, 400, "rlimits.nofile"),
        ({"rlimits": {"nofile": -2}}, 400, "rlimits.nofile"),
        ({"rlimits": []}, 400, "rlimits"),
        ({"cwd": "/"}, 400, "cwd"),
        ({"unprivileged": False}, 400, "unprivileged"),
        ({"own_group": False}, 400, "own_group"),
        ({"name": "no-such-program", "nice": 1}, 404, "name"),
        ({"name": "/etc/passwd", "nice": 1}, 403, "name"),
        ({"name": "/etc/passwd"}, 403, "name"),
        ({"dir": "/no-such-place", "nice": 1}, 404, "dir"),
        ({"dir": "/etc/passwd", "nice": 1}, 400, "dir"),
        ({"dir": "/etc/passwd/x"}, 400, "dir"),
        ({"dir": "x" * 5000}, 400, "dir"),
        ({"dir": "x" * 5000, "nice": 1}, 400, "dir"),
        ({"dir": ""}, 404, "dir"),
        ({"rlimits": {"nofile": 2**40}}, 403, "rlimits.nofile"),
        ({"args": ["-c", "x" * 200_000]}, 400, "args"),
        ({"args": ["-c", "x" * 200_000], "nice": 1}, 400, "args"),
    ],
)
def test_a_wrong_value_starts_nothing(
    wire: Wire, tmp_path: Path, options: dict[str, Any], code: int, named: str
) -> None:
    """Each is an error that begins with the argument, and no half of the program ran."""
    told = tmp_path / "told"
    result = _run(wire, f"touch {told}", **options)
    assert (result["state"], result["code"]) == ("ERROR", code), result
    assert json.loads(result["data"]).startswith(f"{named}: "), result["data"]
    assert not told.exists()


def _open_to_all(folder: Path) -> None:
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o755)


@as_root
@pytest.mark.parametrize(
    "options, named",
    [
        ({"dir": "closed"}, "dir"),
        ({"dir": "closed/within"}, "dir"),
        ({"name": "closed/tool"}, "closed/tool"),
    ],
)
def test_what_a_user_may_not_reach(
    wire: Wire, tmp_path: Path, options: dict[str, str], named: str
) -> None:
    """A directory or a program of somebody else is a 403, though the agent itself may."""
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    closed.joinpath("within").mkdir()
    tool = closed / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    _open_to_all(tmp_path)
    asked = {key: str(tmp_path / value) for key, value in options.items()}
    result = _run(wire, "true", user="nobody", **asked)
    assert (result["state"], result["code"]) == ("ERROR", 403), result
    assert named in json.loads(result["data"])


@as_root
def test_a_program_is_looked_up_as_its_user(wire: Wire, tmp_path: Path) -> None:
    """The first of that name that the user may run; if there is none, a 403."""
    _open_to_all(tmp_path)
    roots, users = tmp_path / "roots", tmp_path / "users"
    for folder, mode in ((roots, 0o700), (users, 0o755)):
        folder.mkdir()
        folder.joinpath("tool").write_text(f"#!/bin/sh\necho {folder.name}\n")
        folder.joinpath("tool").chmod(mode)
    both = {"PATH": f"{roots}:{users}:/bin"}
    arguments = {"name": "tool", "user": "nobody", "env": both}
    result = wire.result(wire.push("core.system", arguments))
    assert result["streams"][0] == "users\n", result
    arguments["env"] = {"PATH": str(roots)}
    result = wire.result(wire.push("core.system", arguments))
    assert (result["state"], result["code"]) == ("ERROR", 403)
    assert json.loads(result["data"]).startswith("name: ")


@as_root
def test_a_user_may_open_its_own_streams(wire: Wire) -> None:
    """Programs that write to /dev/stdout and /dev/stderr by name work as another user too."""
    script = "cat /dev/stdin > /dev/stdout; echo err > /dev/stderr"
    result = _run(wire, script, user="nobody", stdin="in")
    assert (result["state"], result["streams"]) == ("SUCCESS", ["in", "err\n"])


@as_root
def test_a_number_without_a_name_has_no_home(wire: Wire) -> None:
    """It gets nothing that is the agent's user's."""
    told = _out(wire, 'echo "$HOME:$USER:$LOGNAME:$SHELL"', user="54321", group="54322")
    assert told == "/:::\n"


def test_the_agents_own_user_takes_no_privilege(wire: Wire) -> None:
    """Whoever an agent is, its programs may be asked to run as that."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert _out(wire, "id -u", user=own) == f"{os.geteuid()}\n"


@pytest.mark.parametrize("name", ["as", "data", "stack"])
def test_a_limit_may_be_less_than_the_agent_needs(wire: Wire, name: str) -> None:
    """What is little for an interpreter is enough for a small program."""
    job = wire.push("core.system", {"name": "true", "rlimits": {name: 6 * 1024 * 1024}})
    assert wire.result(job)["state"] == "SUCCESS"


@as_root
@pytest.mark.parametrize("options", [{}, {"user": "nobody"}, {"rlimits": {"core": 0}}])
def test_an_unprivileged_node_drops_capabilities(
    run_node: RunNode, raw: redis.Redis, keys: Keys, options: dict[str, Any]
) -> None:
    """No program of it has one of them, or can ever gain it."""
    run_node("n1", env={"COREX_NODE_SECURITY_UNPRIVILEGED": "true"})
    wire = Wire(raw, keys, "n1")
    status = _status(_out(wire, _STATUS, **options))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert not _mask(status, name) & set(DROPPED), name
    assert status["NoNewPrivs"] == ["1"]
    assert "SETUID" in _mask(status, "CapBnd")


def test_a_privileged_node_drops_nothing(wire: Wire) -> None:
    """Programs of a node that is not told otherwise are as free as the agent."""
    status = _status(_out(wire, _STATUS))
    own = _status(Path("/proc/self/status").read_text())
    assert status["CapBnd"] == own["CapBnd"]
    assert status["NoNewPrivs"] == own["NoNewPrivs"]
