"""One command on several real nodes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from corex import (
    AsyncClient,
    Client,
    Command,
    ConfigError,
    ConflictError,
    DecodeError,
    Fleet,
    FleetRun,
    Gap,
    InvalidIdError,
    JobState,
    Message,
    NoSuchNodeError,
    NoSuchRunError,
    Note,
    Outcome,
    Started,
)
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess


def shown(outcomes: list[Outcome]) -> list[tuple[str, str, bool]]:
    """Say briefly what became of nodes."""
    return [(outcome.node, outcome.status, outcome.ok) for outcome in outcomes]


def test_every_node_has_an_outcome_in_target_order(cx3: Client) -> None:
    """With its whole result, and the reason where it failed."""
    run = cx3.fleet("n3,n*").bash("echo $ME; test $ME != n2")
    assert run.nodes == ("n3", "n1", "n2")
    assert run.jobs == tuple(f"{run.id}.{index}" for index in range(3))
    outcomes = run.results()
    assert shown(outcomes) == [
        ("n3", "finished", True),
        ("n1", "finished", True),
        ("n2", "finished", False),
    ]
    assert [outcome.job for outcome in outcomes] == list(run.jobs)
    results = [outcome.result for outcome in outcomes]
    assert [result and result.stdout for result in results] == ["n3\n", "n1\n", "n2\n"]
    assert outcomes[2].reason == "ERROR 1001"
    assert not run.ok
    assert run.failed == [outcomes[2]]
    assert run.results() == outcomes
    assert list(run.outcomes()) == outcomes


def test_commands_of_all_kinds(cx3: Client) -> None:
    """With the methods that a node has."""
    fleet = cx3.fleet("*")
    assert fleet.nodes() == ("n1", "n2", "n3")
    (first, *_) = fleet.system("echo", ["a b"]).results()
    assert first.result is not None
    assert first.result.stdout == "a b\n"
    assert fleet.bash("cat", stdin="x").ok
    assert fleet.submit("core.ping").ok
    assert fleet.run(Command("core.ping")).ok
    assert repr(fleet) == "<Fleet *>"
    assert repr(cx3.fleet(labels={"zone": "eu"}, groups="x")) == "<Fleet * zone=eu group x>"


@pytest.mark.parametrize(
    "make, nodes",
    [
        (lambda cx: cx.fleet("n1", "n3"), ("n1", "n3")),
        (lambda cx: cx.fleet("n[12]"), ("n1", "n2")),
        (lambda cx: cx.fleet("zone=eu"), ("n1", "n2")),
        (lambda cx: cx.fleet("n[23]", labels={"zone": "eu"}), ("n2",)),
        (lambda cx: cx.fleet(groups="build"), ("n1", "n2")),
        (lambda cx: cx.fleet(groups=["build", "x"], labels={"zone": "us"}), ("n3",)),
        (lambda cx: cx.fleet("@build", "n3"), ("@build", "n3")),
    ],
)
def test_targets(cx3: Client, make: Callable[[Client], Fleet], nodes: tuple[str, ...]) -> None:
    """IDs, globs, labels, groups as such, and any one node of a group."""
    fleet = make(cx3)
    assert fleet.nodes() == nodes
    run = fleet.bash("true")
    assert run.nodes == nodes
    assert run.ok


def test_what_names_nobody_is_an_error_before_anything_is_pushed(
    cx3: Client, trio: list[NodeProcess], raw: redis.Redis
) -> None:
    """Also when the other targets are there."""
    keys = Keys(trio[0].namespace)
    for targets in (("n1", "nobody"), ("n1,x-*",), ("zone=none",), ("@nobody",)):
        with pytest.raises(NoSuchNodeError):
            cx3.fleet(*targets).bash("true", id="never")
    with pytest.raises(NoSuchNodeError, match="labels and groups"):
        cx3.fleet("n1", labels={"zone": "us"}).bash("true", id="never")
    assert not raw.exists(keys.run_record("never"))
    for wrong in (list[Any](), ["n1,"], [7]):
        with pytest.raises(ConfigError):
            cx3.fleet(*wrong)
    with pytest.raises(ConfigError, match="cannot narrow"):
        cx3.fleet("@build", labels={"zone": "eu"})
    with pytest.raises(ConfigError, match="labels"):
        cx3.fleet("n1", labels={"zone": 1})  # type: ignore[dict-item]
    with pytest.raises(InvalidIdError):
        cx3.fleet("n 1")


@pytest.mark.parametrize(
    "options, error, named",
    [
        ({"batch": 0}, ConfigError, "batch"),
        ({"canary": 0}, ConfigError, "canary"),
        ({"max_failures": 0}, ConfigError, "max_failures"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"max_time": -1}, DecodeError, "max_time"),
        ({"id": "a b"}, InvalidIdError, "run ID"),
        ({"id": "x" * 121}, ConfigError, "id: "),
        ({"batches": 1}, TypeError, "batches"),
    ],
)
def test_a_wrong_option_is_refused(
    cx3: Client, options: dict[str, Any], error: type[Exception], named: str
) -> None:
    """The error names it; nothing was pushed."""
    with pytest.raises(error, match=named):
        cx3.fleet("n1").bash("true", **options)


def test_events_tell_all_that_happens(cx3: Client) -> None:
    """Each node's messages are between its beginning and its outcome."""
    run = cx3.fleet("n1,n2").bash("echo $ME", stream=True, batch=1)
    events = list(run.events())
    told = [
        (type(event).__name__, getattr(event, "node", ""))
        for event in events
        if not (isinstance(event, Message) and event.is_last)
    ]
    assert told == [
        ("Started", "n1"),
        ("Message", "n1"),
        ("Outcome", "n1"),
        ("Started", "n2"),
        ("Message", "n2"),
        ("Outcome", "n2"),
    ]
    assert isinstance(events[0], Started)
    assert run.node_of(events[0].job) == "n1"
    for job in ("other.0", f"{run.id}.2", f"{run.id}.-1", run.id):
        with pytest.raises(KeyError):
            run.node_of(job)


def check_streams(messages: list[Message], lines: int, nodes: int) -> None:
    """See that each node's messages are all there, in order, once."""
    texts: dict[str, str] = {}
    numbers: dict[str, list[int]] = {}
    for message in messages:
        assert not isinstance(message, Gap)
        texts[message.node] = texts.get(message.node, "") + message.text
        numbers.setdefault(message.node, []).append(message.seq)
    assert len(texts) == nodes
    for node, text in texts.items():
        assert text == "".join(f"{node} {line}\n" for line in range(1, lines + 1))
        assert numbers[node] == list(range(len(numbers[node])))


TALK = "for i in $(seq 300); do echo $ME $i; done"


def test_the_output_of_all_nodes_is_merged_without_gaps(cx3: Client) -> None:
    """The first nodes began before anybody listened; the outcomes are there afterwards."""
    run = cx3.fleet("*").bash(TALK, stream=True)
    check_streams(list(run.stream()), 300, 3)
    assert [outcome.ok for outcome in run.known_outcomes] == [True] * 3
    assert run.ok
    check_streams(list(run.stream()), 300, 3)  # once more, from the logs


def test_output_that_nobody_publishes_is_told_by_its_size(cx3: Client) -> None:
    """In a gap for each node that wrote something, as with a single job."""
    gaps = list(cx3.fleet("n1,n2").bash("echo $ME").stream())
    assert all(isinstance(gap, Gap) and gap.size == 3 for gap in gaps)
    assert sorted(gap.node for gap in gaps) == ["n1", "n2"]


def test_a_run_is_picked_up_by_its_id(cx3: Client, trio: list[NodeProcess]) -> None:
    """Its results are whole, also those that its record has only the end of."""
    script = "seq 2000; test $ME != n3"
    run = cx3.fleet("*").bash(script, id=f"r-{uuid.uuid4().hex[:8]}", timeout=30)
    first = run.results()
    with Client(trio[0].url, namespace=trio[0].namespace) as other:
        picked = other.run(run.id)
        assert (picked.id, picked.nodes, picked.jobs) == (run.id, run.nodes, run.jobs)
        assert picked.results() == first
        assert picked.failed == first[2:]
        with pytest.raises(ConflictError, match=run.id):
            other.fleet("n1").bash("true", id=run.id)


def test_what_is_left_when_results_have_gone(cx3: Client, trio: list[NodeProcess]) -> None:
    """The record has their end, and says that it is cut."""
    with Client(trio[0].url, namespace=trio[0].namespace) as other:
        run = cx3.fleet("n1").bash("seq 2000")
        run.results()
        with redis.Redis.from_url(trio[0].url) as raw:
            raw.delete(Keys(trio[0].namespace).result(run.jobs[0]))
        (outcome,) = other.run(run.id).results()
        assert outcome.ok
        assert outcome.result is not None
        assert (len(outcome.result.stdout), outcome.result.truncated) == (1024, True)
        assert outcome.result.stdout.endswith("\n1999\n2000\n")


def test_a_wait_that_was_left_early_is_gone_on_with_at_once(cx3: Client) -> None:
    """The lease is this run's own: nobody else need be waited for."""
    run = cx3.fleet("*").bash("true", batch=1)
    for outcome in run.outcomes():
        assert outcome.node == "n1"
        break
    assert [event for event in run.events() if isinstance(event, Note)] == []
    assert run.ok


def test_cancelling_ends_what_runs_and_starts_nothing(cx3: Client, tmp_path: Path) -> None:
    """After it every node has an outcome."""
    run = cx3.fleet("*").bash(f"touch {tmp_path}/$ME; sleep 60", batch=2)
    eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    outcomes = run.cancel()
    assert [outcome.status for outcome in outcomes] == ["finished", "finished", "skipped"]
    assert [outcome.result and outcome.result.state for outcome in outcomes] == [
        JobState.KILLED,
        JobState.KILLED,
        None,
    ]
    assert all(f"cancelled by {cx3.id}" in outcome.reason for outcome in outcomes)
    assert run.results() == outcomes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n1", "n2"]
    left = [entry.id for node in run.nodes for entry in cx3.node(node).jobs.list()]
    assert not set(left).intersection(run.jobs)


def test_what_has_ended_is_not_cancelled(cx3: Client) -> None:
    """Its outcomes stay what they are; so do those of a run that is picked up."""
    run = cx3.fleet("*").bash("true")
    assert [outcome.ok for outcome in run.results()] == [True] * 3
    assert cx3.run(run.id).cancel() == run.cancel() == run.results()


def test_when_the_time_is_up_what_runs_is_killed(cx3: Client) -> None:
    """And what waits is skipped; all of it says so."""
    run = cx3.fleet("*").bash("test $ME = n1 || sleep 60", batch=2, timeout=0.7)
    first, second, third = run.results()
    assert first.ok
    assert second.result is not None
    assert second.result.state is JobState.KILLED
    assert third.result is None or third.result.state is JobState.KILLED
    assert "the run's time (0.7 s) was up" in second.reason
    assert "the run's time (0.7 s) was up" in third.reason


def test_there_is_no_such_run(cx3: Client) -> None:
    """Nor can one have such an ID."""
    with pytest.raises(NoSuchRunError, match="no such run: nothing"):
        cx3.run("nothing")
    with pytest.raises(InvalidIdError, match="run ID 'a b'"):
        cx3.run("a b")


async def test_with_coroutines(trio: list[NodeProcess]) -> None:
    """The same names."""
    async with AsyncClient(trio[0].url, namespace=trio[0].namespace) as acx:
        fleet = acx.fleet("n*", labels={"zone": "eu"})
        assert await fleet.nodes() == ("n1", "n2")
        run = await fleet.bash("echo $ME; test $ME = n1", batch=1)
        with pytest.raises(RuntimeError, match="await results"):
            _ = run.ok
        outcomes = await run.results()
        assert shown(outcomes) == [("n1", "finished", True), ("n2", "finished", False)]
        assert not run.ok
        assert run.failed == outcomes[1:]
        assert [outcome async for outcome in run.outcomes()] == outcomes
        talking = await acx.fleet("*").bash(TALK, stream=True)
        check_streams([message async for message in talking.stream()], 300, 3)
        assert talking.ok
        assert (await (await fleet.submit("core.ping")).results())[0].ok
        assert (await (await fleet.system("true")).results())[0].ok
        assert (await (await fleet.run(Command("core.ping"))).results())[0].ok
        sleeping = await fleet.bash("sleep 60")
        picked = await acx.run(sleeping.id)
        assert [outcome.status for outcome in await picked.cancel()] == ["finished"] * 2
        events = [event async for event in sleeping.events()]
        assert [type(event) for event in events if not isinstance(event, Note)] == [
            *(Started, Started),
            *(Outcome, Outcome),
        ]
        with pytest.raises(NoSuchRunError):
            await acx.run("nothing")


def test_runs_are_public() -> None:
    """By the names that users import."""
    assert {Fleet.__module__, FleetRun.__module__} == {"corex.fleet.fleet", "corex.fleet.run"}
