"""Following output with the blocking client."""

from __future__ import annotations

import time

import pytest

from corex import Client, WaitTimeout
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.integration.client.hand import HandNode, meanwhile


def _subscribers(hand: HandNode, keys: Keys, job: str) -> int:
    return int(hand.redis.pubsub_numsub(keys.stream(job))[0][1])


def test_live_messages(cx: Client, hand: HandNode) -> None:
    """Messages come as they are published, and the end is the last one."""
    job = cx.node("h1").bash("x", stream=True)
    command = hand.take()
    seen: list[str] = []

    def node() -> None:
        hand.wait_subscribed(job.id)
        for seq in range(3):
            hand.say(job.id, seq)
            eventually(lambda count=seq + 1: len(seen) == count, "it came")  # type: ignore[misc]
        hand.finish(command)
        hand.say(job.id, 3, flags=3)

    with meanwhile(node):
        for message in job.stream(timeout=20):
            seen.append(message.text)  # noqa: PERF401 - the node looks what has come by now
    assert seen == ["0\n", "1\n", "2\n", "3\n"]
    assert job.wait(timeout=10).ok


def test_a_late_follower_begins_with_the_log(cx: Client, hand: HandNode) -> None:
    """Who comes late gets all of it, then what is live."""
    for seq in range(500):
        hand.say("j1", seq)

    def node() -> None:
        hand.wait_subscribed("j1")
        hand.say("j1", 500)
        hand.say("j1", 501, flags=3)

    with meanwhile(node):
        seqs = [message.seq for message in cx.job("j1").stream(timeout=10)]
    assert seqs == list(range(502))
    assert [message.seq for message in cx.job("j1").stream(timeout=10)] == list(range(502))


def test_missed_messages_are_filled_in(cx: Client, hand: HandNode) -> None:
    """A subscriber that missed some finds them in the log."""

    def node() -> None:
        hand.wait_subscribed("j1")
        hand.say("j1", 0)
        hand.say("j1", 1, live=False)
        hand.say("j1", 2, live=False)
        hand.say("j1", 3, flags=3)

    with meanwhile(node):
        assert [message.seq for message in cx.job("j1").stream(timeout=10)] == [0, 1, 2, 3]


def test_a_last_message_that_was_missed(cx: Client, hand: HandNode) -> None:
    """When even the last message was not heard, the log is read after a short silence."""

    def node() -> None:
        hand.wait_subscribed("j1")
        hand.say("j1", 0)
        hand.say("j1", 1, flags=3, live=False)

    start = time.monotonic()
    with meanwhile(node):
        assert [message.seq for message in cx.job("j1").stream(timeout=20)] == [0, 1]
    assert time.monotonic() - start < 12


def test_a_job_without_output_ends_with_its_result(cx: Client, hand: HandNode) -> None:
    """Following a job that publishes nothing is no endless wait."""
    job = cx.node("h1").bash("x")
    hand.finish(hand.take())
    assert list(job.stream(timeout=20)) == []


def test_a_trimmed_log(cx: Client, hand: HandNode, keys: Keys) -> None:
    """What is no longer in the log is counted in a message of its own."""
    for seq in range(10):
        hand.say("j1", seq, flags=3 if seq == 9 else 1)
    hand.redis.xtrim(keys.log("j1"), maxlen=4, approximate=False)
    notice, *rest = cx.job("j1").stream(timeout=10)
    assert notice.text == "6 messages are no longer in the log of job j1\n"
    assert [message.seq for message in rest] == [6, 7, 8, 9]


def test_a_cut_subscription_is_made_anew(cx: Client, hand: HandNode, keys: Keys) -> None:
    """A connection that is closed under the follower costs no message."""

    def node() -> None:
        hand.wait_subscribed("j1")
        hand.say("j1", 0)
        eventually(lambda: hand.redis.client_kill_filter(_type="pubsub") > 0)
        hand.say("j1", 1)
        hand.wait_subscribed("j1")
        hand.say("j1", 2, flags=3)

    with meanwhile(node):
        assert [message.seq for message in cx.job("j1").stream(timeout=20)] == [0, 1, 2]


def test_leaving_early_unsubscribes(cx: Client, hand: HandNode, keys: Keys) -> None:
    """A loop that is left closes its subscription."""
    hand.say("j1", 0)
    for message in cx.job("j1").stream(timeout=10):
        assert message.seq == 0
        assert _subscribers(hand, keys, "j1") == 1
        break
    eventually(lambda: _subscribers(hand, keys, "j1") == 0)


def test_following_is_bounded(cx: Client, hand: HandNode, keys: Keys) -> None:
    """At the end of its time it says so, and leaves no subscription."""
    with pytest.raises(WaitTimeout, match=r"end of job j1: not within 0\.5 s"):
        list(cx.job("j1").stream(timeout=0.5))
    eventually(lambda: _subscribers(hand, keys, "j1") == 0)
