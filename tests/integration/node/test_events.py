"""What the channel of events hears: who ran what, when, how it ended; and the node's own life."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from corex_shared.version import __version__
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Pairs, Wire

ALWAYS = {"COREX_NODE_EVENTS_JOBS": "always"}
Hearing = Callable[[], list[Pairs]]


@pytest.fixture(scope="module")
def teller(
    redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """One agent that always tells of jobs, for the tests of this file."""
    log = tmp_path_factory.mktemp("teller") / "node.log"
    namespace = f"told-{uuid.uuid4().hex[:12]}"
    node = NodeProcess("n1", redis_server.url, namespace, log, env=ALWAYS)
    node.start()
    yield node
    node.finish()


@pytest.fixture
def wire(teller: NodeProcess, raw: redis.Redis) -> Wire:
    """The plain way to it."""
    return Wire(raw, Keys(teller.namespace), teller.id)


@pytest.fixture
def heard(wire: Wire) -> Iterator[Hearing]:
    """Who listens."""
    with wire.subscribed(wire.keys.events()) as hearing:
        yield hearing


def of(heard: Hearing, job: str, last: str = "job.finished") -> list[Pairs]:
    """The events of a job, when the last has come."""

    def found() -> list[Pairs]:
        events = [event for event in heard() if event.get("job") == job]
        return events if events and events[-1]["event"] == last else []

    return eventually(found, f"{last} of {job}")


def test_who_ran_what_when_and_how_it_ended(wire: Wire, heard: Hearing) -> None:
    """A program: its name, and nothing of its arguments, environment or input."""
    secrets = {
        "args": ["-c", "cat; exit 3", "SECRET-A"],
        "env": {"T": "SECRET-E"},
        "stdin": "SECRET-I",
    }
    job = wire.push(
        *("core.system", {"name": "sh", **secrets}),
        reply_to="alice:laptop:1",
        queue="deploy",
        tags=["release", "x" * 1000],
    )
    result = wire.result(job)
    started, finished = of(heard, job)
    assert started.pop("time") <= finished.pop("time")
    assert started.pop("seq") < finished.pop("seq")
    assert started == {
        "event": "job.started",
        "node": "n1",
        "job": job,
        "command": "core.system",
        "what": "sh",
        "queue": "deploy",
        "tags": ["release", "x" * 64],
        "reply_to": "alice:laptop:1",
    }
    assert finished.pop("duration", 0) == result["time"]
    assert finished.pop("queued", 0) == result["queued"]
    assert finished == {
        "event": "job.finished",
        "node": "n1",
        "job": job,
        "command": "core.system",
        "state": "ERROR",
        "code": 1003,
        "attempts": 1,
        "tags": ["release", "x" * 64],
        "reply_to": "alice:laptop:1",
    }
    assert "SECRET" not in json.dumps(heard())


@pytest.mark.parametrize(
    "command, arguments",
    [
        ("bash", {"script": "echo SECRET"}),
        ("core.system", {"name": 7, "args": ["SECRET"]}),
        ("core.ping", {"SECRET": 1}),
        ("filesystem.exists", {"path": "/SECRET"}),
    ],
)
def test_of_other_commands_only_the_name_is_told(
    wire: Wire, heard: Hearing, command: str, arguments: Pairs
) -> None:
    job = wire.push(command, arguments)
    started, finished = of(heard, job)
    assert (started["event"], started["command"]) == ("job.started", command)
    assert finished["command"] == command
    assert "SECRET" not in json.dumps(heard())
    assert not {"what", "reply_to", "tags", "queue"} & started.keys()


def test_a_job_that_waits_is_told_as_accepted_then_started_then_finished(
    wire: Wire, heard: Hearing, tmp_path: Path
) -> None:
    """Of one that need not wait there is no `job.accepted`."""
    go, queue = tmp_path / "go", wire.new_id()
    first = wire.script(f"until [ -e {go} ]; do sleep 0.01; done", queue=queue)
    second = wire.script("true", queue=queue)
    wire.wait_stage(second, "waiting")
    go.touch()
    assert [event["event"] for event in of(heard, second)] == [
        "job.accepted",
        "job.started",
        "job.finished",
    ]
    assert [event["event"] for event in of(heard, first)] == ["job.started", "job.finished"]


def test_that_a_job_runs_is_told_while_it_does(wire: Wire, heard: Hearing) -> None:
    """Though nothing else is to be written."""
    wire.wait_unclaimed()
    job = wire.script("sleep 60")
    of(heard, job, "job.started")
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    of(heard, job)


def test_a_job_with_several_runs_is_started_once(wire: Wire, heard: Hearing) -> None:
    job = wire.script("exit 4", max_restart=2)
    events = of(heard, job)
    assert [event["event"] for event in events] == ["job.started", "restart", "job.finished"]
    assert (events[-1]["attempts"], events[-1]["code"]) == (2, 1004)


def test_of_a_killed_job_it_is_told_who_asked(wire: Wire, heard: Hearing) -> None:
    """By TERM, by another signal that it dies of, and of all at once; not of who asks too late."""
    jobs = [wire.script("trap '' TERM; sleep 60", grace=0.5)]
    jobs += [wire.script("sleep 60") for _ in range(2)]
    for job in jobs:
        wire.wait_stage(job, "running")
    wire.result(wire.push("job.kill", {"id": jobs[0]}, control=True, reply_to="bob:desk:1"))
    wire.push("job.kill", {"id": jobs[0]}, control=True, reply_to="late:desk:1")
    wire.push("job.kill", {"id": jobs[1], "signal": 10}, control=True, reply_to="carol:desk:1")
    killed = [of(heard, job)[-1] for job in jobs[:2]]
    wire.push("job.killall", control=True, reply_to="dave:desk:1")
    killed.append(of(heard, jobs[2])[-1])
    assert [event["killed_by"] for event in killed] == ["bob:desk:1", "carol:desk:1", "dave:desk:1"]
    assert {event["state"] for event in killed} == {"KILLED"}


def test_what_never_started_is_finished_all_the_same(wire: Wire, heard: Hearing) -> None:
    """No such command, or too late: no attempt."""
    unknown = wire.push("no.such", reply_to="eve")
    expired = wire.script("true", expires_at=1, reply_to="eve")
    for job, state in ((unknown, "UNKNOWN_CMD"), (expired, "EXPIRED")):
        [event] = of(heard, job)
        assert (event["state"], event["reply_to"]) == (state, "eve")
        assert "attempts" not in event


def test_what_is_rejected_is_told_with_the_reason(wire: Wire, heard: Hearing) -> None:
    """Junk, a wrong field, an ID that is in use: the second sender is named, not the payload."""
    job = wire.script("true", reply_to="first")
    wire.result(job)
    wire.push("bash", {"script": "SECRET"}, id=job, reply_to="second")
    twice = of(heard, job, "job.rejected")[-1]
    assert (twice["code"], twice["reply_to"], twice["command"]) == (409, "second", "bash")
    wrong = wire.push("bash", {"script": "SECRET"}, max_time="SECRET", reply_to="third")
    both = eventually(
        lambda: e if len(e := [e for e in heard() if e.get("job") == wrong]) == 2 else []
    )
    finished, rejected = sorted(both, key=lambda event: str(event["event"]))
    assert (finished["state"], finished["reply_to"]) == ("REJECTED", "third")
    assert (rejected["code"], rejected["reply_to"]) == (400, "third")
    assert "max_time" in rejected["reason"]
    wire.push_bytes(b"SECRET")
    junk = eventually(
        lambda: [e for e in heard() if e["event"] == "job.rejected" and "job" not in e]
    )
    assert junk[0]["reason"]
    assert "SECRET" not in json.dumps(heard())


def test_of_a_result_that_was_not_taken_no_end_is_told(wire: Wire, heard: Hearing) -> None:
    """A ping runs before it is known that its ID is another's: then it is rejected only."""
    job = wire.script("true")
    of(heard, job)
    wire.push("core.ping", id=job)
    events = of(heard, job, "job.rejected")
    ends = [event["command"] for event in events if event["event"] == "job.finished"]
    assert ends == ["bash"]


def test_a_flood_drops_nothing_and_keeps_the_order(wire: Wire, heard: Hearing) -> None:
    """Of 10,000 pings each start and each end, numbered without a gap; and others among them."""
    payloads = [wire.payload("core.ping", reply_to="flood") for _ in range(10_000)]
    ids = [json.loads(payload)["id"] for payload in payloads]
    wire.push_bytes(*payloads[:5000])
    other = wire.script("true")
    wire.push_bytes(*payloads[5000:])
    wire.results([*ids, other], 60)
    wanted = {*ids, other}

    def ended() -> int:
        return len([e for e in heard() if e["event"] == "job.finished" and e["job"] in wanted])

    eventually(lambda: ended() == 10_001, "every end", seconds=20)
    seen: dict[str, list[str]] = {}
    for event in heard():
        seen.setdefault(event.get("job", ""), []).append(event["event"])
    assert {tuple(seen[job]) for job in wanted} == {("job.started", "job.finished")}
    numbers = [event["seq"] for event in heard()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_listener_that_does_not_read_holds_up_no_result(wire: Wire) -> None:
    with wire.redis.pubsub() as deaf:
        deaf.subscribe(wire.keys.events())
        payloads = [wire.payload("core.ping") for _ in range(3000)]
        wire.push_bytes(*payloads)
        assert len(wire.results([json.loads(payload)["id"] for payload in payloads], 30)) == 3000


def test_a_result_is_there_before_its_event(wire: Wire, heard: Hearing) -> None:
    """Whoever hears of the end can read the result."""
    for _ in range(20):
        job = wire.script("true")
        of(heard, job)
        assert wire.redis.llen(wire.keys.result(job)) == 1


# -- settings -------------------------------------------------------------------------------------


def test_without_listeners_next_to_nothing_is_published_and_who_comes_is_heard(
    own_redis: EmbeddedRedis, run_node: RunNode, keys: Keys
) -> None:
    """As `auto` says: a look now and then; whoever listens hears of jobs within a moment."""
    run_node("n1", url=own_redis.url)
    with redis.Redis.from_url(own_redis.url, socket_timeout=60) as client:
        wire = Wire(client, keys, "n1")
        before = _published(client)
        jobs = [wire.push("core.ping") for _ in range(2000)]
        wire.results(jobs, 30)
        assert _published(client) - before < 2500, "one each for the node's log, and few events"
        with wire.subscribed(keys.events()) as heard:

            def told() -> bool:
                job = wire.script("true")
                wire.result(job)
                return any(e["event"] == "job.finished" for e in heard())

            eventually(told, "it is heard")
            assert [e["event"] for e in of(heard, wire.script("true"))] == [
                "job.started",
                "job.finished",
            ]


def _published(client: redis.Redis) -> int:
    stats: Pairs = client.info("commandstats")
    return int(stats.get("cmdstat_publish", {"calls": 0})["calls"])


def test_never_means_the_nodes_own_life_only(
    raw: redis.Redis, run_node: RunNode, keys: Keys
) -> None:
    wire = Wire(raw, keys, "n1")
    with wire.subscribed(keys.events()) as heard:
        node = run_node("n1", env={"COREX_NODE_EVENTS_JOBS": "never"})
        wire.result(wire.script("true"))
        wire.push_bytes(b"junk")
        wire.wait_rejected(lambda entry: entry["payload"] == "junk")
        assert node.stop() == 0
        eventually(lambda: len(heard()) >= 2)
        assert [event["event"] for event in heard()] == ["node.started", "node.stopped"]


def test_arguments_are_told_if_the_settings_say_so(
    raw: redis.Redis, run_node: RunNode, keys: Keys
) -> None:
    """In short; never what a command is fed, its environment, or passwords in URLs."""
    wire = Wire(raw, keys, "n1")
    run_node("n1", env={**ALWAYS, "COREX_NODE_EVENTS_ARGUMENTS": "true"})
    url = "redis://u:SECRET@host/0"
    with wire.subscribed(keys.events()) as heard:
        ran = wire.push(
            *("core.system", {"name": "echo", "args": ["a b", url], "env": {"T": "SECRET"}}),
        )
        asked = wire.push("filesystem.exists", {"path": "/tmp"})
        script = wire.push("bash", {"script": "x" * 500, "stdin": "SECRET"})
        whats = [of(heard, job)[0]["what"] for job in (ran, asked, script)]
    assert whats == ["echo 'a b' 'redis://u:***@host/0'", '{"path":"/tmp"}', "x" * 256]
    assert "SECRET" not in json.dumps(whats)


# -- the node -------------------------------------------------------------------------------------


def test_a_node_tells_that_it_starts_and_why_it_stops(
    raw: redis.Redis, run_node: RunNode, keys: Keys
) -> None:
    """First and last; the jobs that it stops are told before, killed by nobody."""
    wire = Wire(raw, keys, "n1")
    with wire.subscribed(keys.events()) as heard:
        env = {**ALWAYS, "COREX_NODE_LIMITS_DRAIN": "0"}
        node = run_node("n1", args=["--group", "build"], env=env)
        incarnation = wire.presence()["incarnation"]
        job = wire.script("sleep 60")
        wire.wait_stage(job, "running")
        assert node.stop() == 0
        eventually(lambda: heard()[-1:] and heard()[-1]["event"] == "node.stopped")
        first, *between, last = heard()
    assert [event["event"] for event in between] == ["job.started", "job.finished"]
    assert between[-1]["state"] == "KILLED"
    assert "killed_by" not in between[-1]
    assert first["event"] == "node.started"
    assert (first["node"], first["version"], first["groups"]) == ("n1", __version__, ["build"])
    assert first["incarnation"] == last["incarnation"] == incarnation
    assert (first["recovered"], first["seq"], last["why"]) == (0, 1, "it was told to")
    assert [event["seq"] for event in heard()] == [1, 2, 3, 4]


def test_what_the_next_agent_finds_is_told_as_lost(
    raw: redis.Redis, run_node: RunNode, keys: Keys
) -> None:
    """With who had asked for it; the node's end was told by nobody."""
    wire = Wire(raw, keys, "n1")
    with wire.subscribed(keys.events()) as heard:
        node = run_node("n1", env=ALWAYS)
        job = wire.script("sleep 60", reply_to="alice:laptop:1")
        wire.wait_stage(job, "running")
        of(heard, job, "job.started")
        node.kill()
        node.start()
        lost = of(heard, job)[-1]
        kinds = Counter(event["event"] for event in heard())
    assert (lost["state"], lost["code"], lost["reply_to"]) == ("LOST", 503, "alice:laptop:1")
    assert (kinds["node.started"], kinds["node.stopped"]) == (2, 0)
