"""`logger.*` and `config.get` over the plain wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Pairs, Wire


def _result(wire: Wire, command: str, arguments: dict[str, Any] | None = None) -> Pairs:
    return wire.result(wire.push(command, arguments, control=True))


def _answer(wire: Wire, command: str, **arguments: Any) -> Any:
    result = _result(wire, command, arguments)
    assert result["state"] == "SUCCESS", result
    assert result["level"] == 20
    return json.loads(result["data"])


def _records(wire: Wire, key: str) -> list[Pairs]:
    return [json.loads(record) for record in wire.redis.lrange(key, 0, -1)]


def _with(wire: Wire, key: str, text: str) -> list[Pairs]:
    """Wait until a list has a record of this text; return all that it has then."""

    def found() -> list[Pairs] | None:
        records = _records(wire, key)
        return records if any(text in record["message"] for record in records) else None

    return eventually(found, f"{text} in {key}") or []


@pytest.fixture
def queue(wire: Wire) -> Iterator[str]:
    """Name of a list of this test alone."""
    name = f"log-{wire.new_id()}"
    yield name
    _answer(wire, "logger.unsubscribe", queue=name)


def test_recent_records_then_live_ones(wire: Wire, queue: str) -> None:
    """Whoever subscribes pops what has just happened, then what happens, in one sequence."""
    before = wire.script("echo recent-$COREX_JOB_ID >&2")
    wire.result(before)
    key = _answer(wire, "logger.subscribe", queue=queue, levels=[])
    assert key == wire.keys.logger("n1", queue)
    after = wire.script("echo out; echo live-$COREX_JOB_ID >&2; echo 9::critical-$COREX_JOB_ID")
    records = _with(wire, key, f"critical-{after}")
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert {record["level"] for record in records} <= {2, 4, 7, 8, 9}
    epochs = [record["epoch"] for record in records]
    assert epochs == sorted(epochs)
    [recent] = [record for record in records if record["job"] == before]
    assert recent["message"] == f"recent-{before}\n"
    of_job = [record for record in records if record["job"] == after]
    assert sorted((record["level"], record["message"].strip()) for record in of_job) == [
        (2, f"live-{after}"),
        (9, f"critical-{after}"),
    ]
    assert set(recent) == {"job", "node", "seq", "level", "flags", "message", "epoch"}
    assert (recent["node"], recent["flags"]) == ("n1", 0)
    assert 0 < wire.redis.pttl(key) <= 720_000


def test_a_waiting_reader_is_served(wire: Wire, queue: str) -> None:
    """A subscriber blocks on its list, as readers of 0-core do."""
    key = _answer(wire, "logger.subscribe", queue=queue, levels=[3])
    job = wire.script("sleep 0.1; echo 3::public")
    popped = wire.redis.blpop([key], timeout=10)
    assert popped is not None
    assert json.loads(popped[1])["job"] == job


def test_levels_are_those_that_were_asked_for_last(wire: Wire, queue: str) -> None:
    """The same name again replaces them, and the numbers go on."""
    key = _answer(wire, "logger.subscribe", queue=queue, levels=[1])
    first = wire.script("echo out-$COREX_JOB_ID; echo err >&2")
    wire.result(first)
    _with(wire, key, f"out-{first}")
    assert _answer(wire, "logger.subscribe", queue=queue, levels=[3]) == key
    second = wire.script("echo out; echo 3::public-$COREX_JOB_ID")
    records = _with(wire, key, f"public-{second}")
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert [r["level"] for r in records if r["job"] == first] == [1]
    assert [r["level"] for r in records if r["job"] == second] == [3]


@pytest.mark.parametrize("arguments", [{}, {"queue": ""}, {"queue": None, "levels": None}])
def test_a_fresh_name_is_answered_where_none_is_given(
    wire: Wire, arguments: dict[str, Any]
) -> None:
    """Whatever is answered can be popped, and is given up by its last part."""
    first, second = (_answer(wire, "logger.subscribe", **arguments) for _ in range(2))
    assert first != second
    job = wire.script("echo err-$COREX_JOB_ID >&2")
    for key in (first, second):
        _with(wire, key, f"err-{job}")
        assert key.startswith(wire.keys.logger("n1", ""))
        _answer(wire, "logger.unsubscribe", queue=key.rpartition(":")[2])
        assert not wire.redis.exists(key)


def test_unsubscribing(wire: Wire, queue: str) -> None:
    """The list goes at once and does not come back; once more is no error."""
    key = _answer(wire, "logger.subscribe", queue=queue, levels=[1])
    job = wire.script("echo out-$COREX_JOB_ID")
    _with(wire, key, f"out-{job}")
    assert _answer(wire, "logger.unsubscribe", queue=queue) is None
    assert not wire.redis.exists(key, wire.keys.logged("n1", queue))
    wire.result(wire.script("echo more"))
    other = _answer(wire, "logger.subscribe", queue=f"{queue}-2", levels=[1])
    job = wire.script("echo out-$COREX_JOB_ID")
    _with(wire, other, f"out-{job}")
    assert not wire.redis.exists(key)
    for _ in range(2):
        assert _answer(wire, "logger.unsubscribe", queue=f"{queue}-2") is None


def test_a_job_that_says_a_lot_harms_nobody(wire: Wire, queue: str) -> None:
    """Its list is bounded; the numbers of what is there tell what is missing."""
    key = _answer(wire, "logger.subscribe", queue=queue, levels=[8])
    job = wire.script("i=0; while [ $i -lt 12000 ]; do echo 8::$i; i=$((i+1)); done")
    assert wire.result(job)["state"] == "SUCCESS"
    records = _with(wire, key, "11999")
    assert len(records) <= 10_000
    assert all(record["message"] == str(record["seq"]) for record in records)
    seqs = [record["seq"] for record in records]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == 11_999


@pytest.mark.parametrize(
    "command, arguments, named",
    [
        ("logger.subscribe", {"queue": "a b"}, "queue"),
        ("logger.subscribe", {"queue": "a{b}"}, "queue"),
        ("logger.subscribe", {"queue": "x" * 129}, "queue"),
        ("logger.subscribe", {"queue": 7}, "queue"),
        ("logger.subscribe", {"levels": [1, 256]}, "levels"),
        ("logger.subscribe", {"levels": ["1"]}, "levels"),
        ("logger.subscribe", {"levels": 1}, "levels"),
        ("logger.subscribe", {"name": "q"}, "name"),
        ("logger.unsubscribe", {}, "queue"),
        ("logger.unsubscribe", {"queue": ""}, "queue"),
        ("logger.unsubscribe", {"queue": "*"}, "queue"),
        ("logger.set_level", {}, "level"),
        ("logger.set_level", {"level": "loud"}, "level"),
        ("logger.set_level", {"level": 10}, "level"),
        ("logger.reopen", {"file": "/etc/passwd"}, "file"),
        ("config.get", {"key": "main"}, "key"),
    ],
)
def test_a_wrong_argument_is_named(
    wire: Wire, command: str, arguments: dict[str, Any], named: str
) -> None:
    """It is a bad request."""
    result = _result(wire, command, arguments)
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith(named)


def test_there_are_only_so_many_subscriptions(own_wire: Wire) -> None:
    """One more is refused for now; the others go on."""
    names = [f"q{n}" for n in range(64)]
    jobs = [
        own_wire.push("logger.subscribe", {"queue": name, "levels": [3]}, control=True)
        for name in names
    ]
    assert {result["state"] for result in own_wire.results(jobs).values()} == {"SUCCESS"}
    refused = _result(own_wire, "logger.subscribe", {"queue": "one-more"})
    assert (refused["state"], refused["code"]) == ("ERROR", 503)
    job = own_wire.script("echo 3::public-$COREX_JOB_ID")
    for name in (names[0], names[-1]):
        _with(own_wire, own_wire.keys.logger("n1", name), f"public-{job}")


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "node.log"


@pytest.fixture
def filed(run_node: RunNode, raw: redis.Redis, keys: Keys, log_file: Path) -> Iterator[Wire]:
    """An agent whose log goes to a file."""
    log_file.parent.mkdir()
    node = run_node("n1", env={"COREX_NODE_LOGGING_FILE": str(log_file)})
    yield Wire(raw, keys, "n1")
    assert node.running
    assert node.log_text() == ""


def _finished(path: Path, job: str) -> bool:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return any(event.get("job") == job and event["event"] == "job.finished" for event in events)


def _run(wire: Wire) -> str:
    job = wire.script("true")
    wire.result(job)
    return job


def test_the_level_of_the_log_is_changed_while_the_agent_runs(filed: Wire, log_file: Path) -> None:
    """The loggers that are in use already follow, in both directions, by whatever name."""
    hidden = _run(filed)
    assert _answer(filed, "logger.set_level", level="DEBUG") is None
    shown = _run(filed)
    eventually(lambda: _finished(log_file, shown))
    for level in ("NOTICE", "critical", "info"):
        assert _answer(filed, "logger.set_level", level=level) is None
        hidden_again = _run(filed)
        assert not _finished(log_file, hidden_again)
    assert not _finished(log_file, hidden)


def test_the_file_of_the_log_is_rotated(filed: Wire, log_file: Path) -> None:
    """After it was moved away a new one begins; when that cannot be, the former one is kept."""
    _answer(filed, "logger.set_level", level="debug")
    rotated = log_file.rename(log_file.with_suffix(".1"))
    assert _answer(filed, "logger.reopen") is None
    job = _run(filed)
    eventually(lambda: _finished(log_file, job))
    assert not _finished(rotated, job)
    moved = log_file.parent.rename(log_file.parent.with_name("moved"))
    result = _result(filed, "logger.reopen")
    assert (result["state"], result["code"]) == ("ERROR", 500)
    assert json.loads(result["data"]).startswith("the log's file cannot be opened: ")
    job = _run(filed)
    eventually(lambda: _finished(moved / log_file.name, job))


def test_reopening_standard_error_changes_nothing(wire: Wire) -> None:
    """An agent without a file for its log answers the same."""
    assert _answer(wire, "logger.reopen") is None


def test_settings_are_shown_without_secrets(
    run_node: RunNode, raw: redis.Redis, keys: Keys, redis_url: str
) -> None:
    """The whole tree, but for passwords and what is named like one; nothing of the environment."""
    user, password = f"u{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    client: Any = raw
    client.acl_setuser(
        user, enabled=True, passwords=[f"+{password}"], commands=["+@all"], keys="*", channels="*"
    )
    try:
        node = run_node(
            "n1",
            url=redis_url.replace("://", f"://{user}:{password}@"),
            args=["--label", "zone=eu", "--label", f"join_token={password}"],
            env={"COREX_NODE_LIMITS_GRACE": "7", "SOME_VARIABLE": password},
        )
        result = _result(Wire(raw, keys, "n1"), "config.get")
        assert result["state"] == "SUCCESS"
        assert password not in result["data"]
        settings = json.loads(result["data"])
        assert node.stop() == 0
    finally:
        client.acl_deluser(user)
    assert settings["main"]["id"] == "n1"
    assert settings["main"]["url"] == redis_url.replace("://", f"://{user}:***@")
    assert settings["labels"] == {"zone": "eu", "join_token": "***"}
    assert settings["limits"]["grace"] == 7
