"""Commands that a node's settings define, over the wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Pairs, Wire

MAIN = """
[main]
include = ["conf.d"]

[extension.show]
binary = "printf"
args = ["[%s]", "{name}", "{count}", "{nobody}", "--x={name}"]

[extension.feed]
binary = "cat"
args = ["-", "{stdin}"]

[extension.where]
binary = "sh"
args = ["-c", 'pwd; echo "$A $COREX_JOB_ID"', "{name}"]
dir = "/usr"
env = {A = "{name} é"}

[extension.none]
binary = "no-such-program-at-all"

[extension.wait]
binary = "sleep"
args = ["{seconds}"]
"""
MORE = """
[extension."text.count"]
binary = "printf '%s,' {words} | tr a-z A-Z;"
args = ['echo "<{words}>" {nobody} ${words};', "exit {code}"]
shell = true

[extension."text.shout"]
binary = "printf %s,"
args = ['{words} "<{words}>" {nobody} "${words}" | tr a-z A-Z;', "exit {code}"]
shell = true
"""


@pytest.fixture(scope="module")
def node(
    redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """An agent with extensions in its settings and in a file that they include."""
    folder = tmp_path_factory.mktemp("extensions")
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "text.toml").write_text(MORE)
    settings = folder / "node.toml"
    settings.write_text(MAIN)
    namespace = f"extensions-{uuid.uuid4().hex[:12]}"
    node = NodeProcess(
        "n1", redis_server.url, namespace, folder / "node.log", ["--config", str(settings)]
    )
    node.start()
    yield node
    node.finish()


@pytest.fixture
def wire(node: NodeProcess, raw: redis.Redis) -> Iterator[Wire]:
    """The plain way to that agent, which has nothing left to do after the test."""
    wire = Wire(raw, Keys(node.namespace), node.id)
    yield wire
    assert node.running, node.log_tail()
    wire.wait_unclaimed()


def _result(wire: Wire, command: str, arguments: dict[str, Any], **more: Any) -> Pairs:
    return wire.result(wire.push(command, arguments, **more))


@pytest.mark.parametrize("encode", [None, msgpack.packb], ids=["json", "msgpack"])
def test_arguments_fill_the_programs_own_each_as_one_whole(wire: Wire, encode: Any) -> None:
    evil = "a  b; $(echo no) `echo no` {count} '\"*\n"
    arguments = {"name": evil, "count": 1_000_000.0, "other": [1]}
    result = _result(wire, "show", arguments, encode=encode)
    assert result["state"] == "SUCCESS", result
    assert result["streams"][0] == f"[{evil}][1000000][{{nobody}}][--x={evil}]"
    assert result["command"] == "show"


def test_without_arguments_all_names_stay(wire: Wire) -> None:
    job = wire.push("show")
    assert wire.result(job)["streams"][0] == "[{name}][{count}][{nobody}][--x={name}]"


def test_stdin_is_read_and_is_no_name(wire: Wire) -> None:
    result = _result(wire, "feed", {"stdin": "text\n"})
    assert (result["state"], result["code"]) == ("ERROR", 1001)  # cat finds no file "{stdin}"
    assert result["streams"][0] == "text\n"
    assert "{stdin}" in result["streams"][1]


def test_stdin_may_be_bytes(wire: Wire) -> None:
    data = bytes(range(256)) * 300
    result = _result(wire, "feed", {"stdin": data}, encode=msgpack.packb)
    assert result["stdout_bytes"] == len(data)


def test_directory_and_environment_are_those_of_the_settings(wire: Wire) -> None:
    job = wire.push("where", {"name": "evil"})
    assert wire.result(job)["streams"][0] == f"/usr\n{{name}} é {job}\n"


@pytest.mark.parametrize(
    "command, arguments, named",
    [
        ("show", {"name": "a\0b"}, "name"),
        ("show", {"count": b"\xff"}, "count"),
        ("show", {"count": float("nan")}, "count"),
        ("feed", {"stdin": 7}, "stdin"),
        ("text.shout", {"words": "\0"}, "words"),
    ],
)
def test_a_value_that_cannot_be_passed_is_a_bad_request_that_names_it(
    wire: Wire, command: str, arguments: dict[str, Any], named: str
) -> None:
    result = _result(wire, command, arguments, encode=msgpack.packb)
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith(f"{named}: ")
    assert result["streams"] == ["", ""]


def test_a_value_too_long_for_an_argument_is_a_bad_request(wire: Wire) -> None:
    for command, name in (("show", "name"), ("text.shout", "words")):
        result = _result(wire, command, {name: "x" * 200_000})
        assert (result["state"], result["code"]) == ("ERROR", 400), result


def test_a_program_that_does_not_exist_is_not_found(wire: Wire) -> None:
    result = _result(wire, "none", {})
    assert (result["state"], result["code"]) == ("ERROR", 404)
    assert "no-such-program-at-all" in result["data"]


def test_a_script_takes_each_value_as_one_word_and_runs_none(wire: Wire) -> None:
    words = "a  b'\"; $(echo no) `echo no` *"
    result = _result(wire, "text.shout", {"words": words, "code": 3})
    shown = words.upper()
    assert result["streams"] == [f"{shown},<{shown}>,{{NOBODY}},,", ""]
    assert (result["state"], result["code"]) == ("ERROR", 1003)


def test_the_first_word_of_a_script_is_never_filled(wire: Wire) -> None:
    result = _result(wire, "text.count", {"words": "$(echo no)", "code": 0})
    assert result["streams"][0] == "{WORDS},<$(echo no)> {nobody}\n"


def test_an_extension_is_a_job_like_any_other(wire: Wire) -> None:
    job = wire.push("wait", {"seconds": 30})
    wire.wait_stage(job, "running")
    [entry] = json.loads(_result(wire, "job.list", {"id": job}, control=True)["data"])
    assert (entry["cmd"]["command"], entry["cmd"]["arguments"]) == ("wait", {"seconds": 30})
    assert _result(wire, "job.kill", {"id": job}, control=True)["data"] == "true"
    assert wire.result(job)["state"] == "KILLED"
    assert _result(wire, "wait", {"seconds": 30}, max_time=0.05)["state"] == "TIMEOUT"


def test_extensions_are_listed_as_taking_any_object(wire: Wire) -> None:
    result = wire.result(wire.push("core.commands", control=True))
    commands = json.loads(result["data"])
    for name in ("show", "feed", "where", "none", "text.count", "text.shout"):
        assert commands[name] == {"type": "object"}
    assert "core.ping" in commands


@pytest.mark.parametrize(
    "text, code, told",
    [
        ("[extension.bash]\nbinary = 'sh'\n", 2, "extension.bash"),
        ("[extension.x]\nargs = ['a']\n", 2, "extension.x.binary"),
    ],
)
def test_a_node_with_a_wrong_extension_does_not_start_and_says_which(
    run_node: RunNode, wire: Wire, keys: Keys, tmp_path: Path, text: str, code: int, told: str
) -> None:
    settings = tmp_path / "node.toml"
    settings.write_text(text)
    node = run_node("n9", args=["--config", str(settings)], start=False)
    node.start(wait=False)
    assert node.wait(15) == code
    assert told in node.log_text()
    assert not wire.redis.exists(keys.presence("n9"))


def test_a_name_that_is_taken_ends_the_node_as_wrong_settings(
    run_node: RunNode, tmp_path: Path
) -> None:
    """In one line, with exit code 2, as everything that is wrong with settings."""
    path = tmp_path / "node.toml"
    path.write_text("[extension.'core.ping']\nbinary = 'true'\n")
    node = run_node("n1", args=["--config", str(path)], start=False)
    node.start(wait=False)
    assert node.wait(20) == 2
    assert node.log_text().startswith("corex: settings: extension.core.ping: ")
    assert node.log_text().count("\n") == 1
