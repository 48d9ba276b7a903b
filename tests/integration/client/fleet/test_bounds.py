"""What may run at once and what may fail, as the nodes see it."""

from __future__ import annotations

import pytest
import redis

from corex import AsyncClient, Client, InvalidIdError, NodeAliveError, NoSuchNodeError, Outcome
from corex_shared.keys import Keys
from tests.helpers.simulated import Seen


def ended(outcomes: list[Outcome], status: str) -> list[str]:
    """Name the nodes with an outcome."""
    return [outcome.node for outcome in outcomes if outcome.status == status]


def test_never_more_than_a_batch_runs(many: Client, raw: redis.Redis) -> None:
    """Of forty nodes five at a time, each once."""
    seen = Seen(raw, many.core.keys.namespace)
    run = many.fleet("*").submit("sim", {"seconds": 0.05}, batch=5)
    assert run.ok
    assert seen.peak(run.id) == 5
    assert seen.begun(run.id) == dict.fromkeys(run.jobs, 1)


def test_exactly_as_many_fail_as_may(many: Client, raw: redis.Redis) -> None:
    """All nodes fail: two have, and no other was started."""
    seen = Seen(raw, many.core.keys.namespace)
    run = many.fleet("*").submit("sim", {"fail": many.fleet("*").nodes()}, max_failures=2)
    outcomes = run.results()
    assert ended(outcomes, "finished") == list(run.nodes[:2])
    assert ended(outcomes, "skipped") == list(run.nodes[2:])
    assert {outcome.reason for outcome in outcomes[2:]} == {
        "not started: 2 nodes failed (max_failures=2)"
    }
    assert seen.begun(run.id) == dict.fromkeys(run.jobs[:2], 1)


def test_failures_that_come_late_count_too(many: Client) -> None:
    """The slow ones fail when the others have long succeeded; the last ones are skipped."""
    names = many.fleet("*").nodes()
    slow = {names[0]: 0.4, names[3]: 0.6}
    run = many.fleet("*").submit(
        "sim", {"seconds": 0.02, "fail": list(slow), "seconds_of": slow}, max_failures=2, batch=3
    )
    outcomes = run.results()
    assert [outcome.node for outcome in outcomes if outcome.failed] == list(slow)
    assert len(ended(outcomes, "finished")) + len(ended(outcomes, "skipped")) == 40


def test_a_canary_that_fails_stops_all_else(many: Client, raw: redis.Redis) -> None:
    """Nothing but the canaries was started."""
    seen = Seen(raw, many.core.keys.namespace)
    names = many.fleet("*").nodes()
    run = many.fleet("*").submit("sim", {"fail": [names[1]]}, canary=2)
    outcomes = run.results()
    assert [outcome.ok for outcome in outcomes[:2]] == [True, False]
    assert ended(outcomes, "skipped") == list(names[2:])
    assert outcomes[9].reason == f"not started: the canary {names[1]} did not succeed"
    assert seen.begun(run.id) == dict.fromkeys(run.jobs[:2], 1)


def test_after_the_canaries_all_others_run(many: Client, raw: redis.Redis) -> None:
    """The canaries alone, then the batch that there is room for."""
    seen = Seen(raw, many.core.keys.namespace)
    run = many.fleet("*").submit("sim", {"seconds": 0.05}, canary=1, batch=9)
    events = list(run.events())
    assert isinstance(events[1], Outcome)
    assert sum(isinstance(event, Outcome) for event in events) == 40
    assert seen.peak(run.id) == 9


def test_a_node_that_is_away_counts_as_a_failure(many: Client, raw: redis.Redis) -> None:
    """It is unreachable at once, with when it was seen last; nothing is pushed to it."""
    keys: Keys = many.core.keys
    gone = {f"gone{number}": 1_000_000 + number for number in range(3)}
    raw.zadd(keys.nodes(), gone)
    try:
        run = many.fleet("s1,gone*,s2").submit("sim")
        outcomes = run.results()
        assert [outcome.status for outcome in outcomes] == [
            "finished",
            *("unreachable", "unreachable", "unreachable"),
            "finished",
        ]
        assert [outcome.last_seen for outcome in outcomes[1:4]] == list(gone.values())
        assert {(outcome.reason, outcome.job) for outcome in outcomes[1:4]} == {
            ("it was away when the run began", None)
        }
        assert run.failed == outcomes[1:4]
        assert not any(raw.exists(keys.commands(name)) for name in gone)
        bounded = many.fleet("s1,gone*,s2").submit("sim", max_failures=2).results()
        assert [outcome.status for outcome in bounded] == [
            "skipped",
            *("unreachable", "unreachable", "skipped"),
            "skipped",
        ]
        canary = many.fleet("gone0,s1").submit("sim", canary=1).results()
        assert canary[1].reason == "not started: the canary gone0 did not succeed"
        assert many.fleet("gone1,s3").submit("sim", max_failures=2).results()[1].ok
    finally:
        raw.zrem(keys.nodes(), *gone)


def test_a_node_that_is_gone_for_good_is_forgotten(many: Client, raw: redis.Redis) -> None:
    """It is in no run any more; one that is there is not forgotten."""
    keys: Keys = many.core.keys
    raw.zadd(keys.nodes(), {"s999": 1_000_000})
    assert many.fleet("s1,s999").submit("sim").results()[1].status == "unreachable"
    with pytest.raises(NodeAliveError, match="s1 is there"):
        many.forget_node("s1")
    many.forget_node("s999")
    with pytest.raises(NoSuchNodeError):
        many.forget_node("s999")
    with pytest.raises(NoSuchNodeError):
        many.fleet("s1,s999").submit("sim")
    with pytest.raises(InvalidIdError):
        many.forget_node("a b")
    assert "s1" in many.fleet("*").nodes()


async def test_a_node_is_forgotten_with_coroutines(
    acx: AsyncClient, raw: redis.Redis, keys: Keys
) -> None:
    """The same name."""
    raw.zadd(keys.nodes(), {"h9": 1_000_000})
    await acx.forget_node("h9")
    assert await acx.nodes() == []
