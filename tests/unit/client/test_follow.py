"""Following output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corex.effects import Listen, Run, Sleep, Subscribe
from corex.follow import FORGOTTEN_LOOKS, PAGE, SILENCE, follow, launch, read_log
from corex.streams import Gap
from corex.submit import prepare
from corex_shared.errors import StoreUnavailableError, WaitTimeout
from corex_shared.models import Command, Message
from tests.unit.client.playing import Clock, make_core, message_of, packed, play, result_of

CHANNEL = "corex:{job:a}:stream"


def _live(*messages: Message) -> list[bytes]:
    return [packed(message) for message in messages]


def _entries(*messages: Message) -> list[Any]:
    """Log entries as redis-py gives them."""
    return [(f"{message.seq + 1}-0".encode(), {b"m": packed(message)}) for message in messages]


def _log(*messages: Message) -> list[Any]:
    return [_entries(*messages)]


def _result(**fields: Any) -> list[Any]:
    return [packed(result_of("a", **fields))]


def _silent(clock: Clock) -> Callable[[Listen], list[bytes]]:
    def listen(effect: Listen) -> list[bytes]:
        clock.now += effect.seconds
        return []

    return listen


def _m(seq: int, **fields: Any) -> Message:
    return message_of("a", seq, **fields)


def _seqs(emitted: list[Message]) -> list[int]:
    return [message.seq for message in emitted]


def test_the_log_is_read_after_subscribing() -> None:
    """Nothing is missed in between, and what comes twice is given once."""
    plan = follow(make_core(), ["a"], 60)
    played = play(plan, None, _log(_m(0), _m(1)), _live(_m(1)), _live(_m(2, flags=2)))
    assert played.effects[0] == Subscribe([CHANNEL])
    assert played.effects[1] == Run([("XRANGE", "corex:{job:a}:log", "1-0", "+", "COUNT", PAGE)])
    assert _seqs(played.emitted) == [0, 1, 2]
    assert played.done


def test_a_finished_job_needs_no_listening() -> None:
    """A job whose log has its last message ends right after the log."""
    played = play(follow(make_core(), ["a"], 60), None, _log(_m(0), _m(1, flags=4)))
    assert played.done
    assert [type(effect) for effect in played.effects] == [Subscribe, Run]


def test_a_long_log_is_read_in_pages() -> None:
    """Each page begins where the last one ended."""
    first = _log(*(_m(seq) for seq in range(PAGE)))
    played = play(follow(make_core(), ["a"], 60), None, first, _log(_m(PAGE, flags=2)))
    assert played.effects[2].calls[0][2] == f"{PAGE + 1}-0"
    assert _seqs(played.emitted) == list(range(PAGE + 1))


def test_a_gap_is_filled_from_the_log() -> None:
    """Live messages that skip a number send us to the log from there on."""
    plan = follow(make_core(), ["a"], 60)
    played = play(
        plan, None, _log(), _live(_m(0)), _live(_m(3, flags=2)), _log(_m(1), _m(2), _m(3, flags=2))
    )
    assert played.effects[-1].calls[0][2] == "2-0"
    assert _seqs(played.emitted) == [0, 1, 2, 3]
    assert played.done


def test_what_the_log_lost_is_counted() -> None:
    """Messages trimmed from the log are replaced by one that says how many they were."""
    played = play(follow(make_core(), ["a"], 60), None, _log(_m(5), _m(6, flags=2)))
    assert played.emitted[0].message == "5 messages are no longer in the log of job a\n"
    assert played.emitted[0].level == 7
    assert _seqs(played.emitted[1:]) == [5, 6]


def test_a_gap_that_the_log_cannot_fill_is_counted() -> None:
    """A log that is gone, as after a loss of Redis's data, does not hold up what follows."""
    plan = follow(make_core(), ["a"], 60)
    played = play(plan, None, _log(), _live(_m(2, flags=2)), _log())
    assert [message.message for message in played.emitted] == [
        "2 messages are no longer in the log of job a\n",
        "2",
    ]
    assert played.done


def test_a_job_that_publishes_nothing_ends_with_its_result() -> None:
    """When a job is silent its result key is looked at; after the result nothing more comes."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    played = play(plan, None, _log(), _silent(clock), [[], 1, 1], _log(), _result())
    assert played.done
    assert played.emitted == []
    assert [call[0] for call in played.effects[3].calls] == ["XRANGE", "LLEN", "EXISTS"]
    assert played.effects[2].seconds == SILENCE


def test_a_subscription_that_died_unnoticed_is_replaced() -> None:
    """Messages that only the log has show that the subscription is dead: subscribe anew."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    played = play(
        plan,
        None,
        _log(),
        _silent(clock),
        [_entries(_m(0)), 0, 1],
        None,
        _log(),
        _live(_m(1, flags=2)),
    )
    assert played.done
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [Subscribe, Run, Listen, Run, Subscribe, Run, Listen]
    assert _seqs(played.emitted) == [0, 1]


def test_a_silent_job_that_runs_is_listened_to_further() -> None:
    """Silence without a result is no end."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    played = play(plan, None, _log(), _silent(clock), [[], 0, 1], _live(_m(0, flags=2)))
    assert played.done
    assert _seqs(played.emitted) == [0]


def test_a_lost_connection_is_outlived() -> None:
    """After an error: pause, subscribe again, and fill from the log."""
    clock = Clock()
    gone = StoreUnavailableError("gone")
    plan = follow(make_core(clock), ["a"], 60)
    played = play(
        plan,
        None,
        _log(_m(0)),
        gone,
        gone,
        None,
        _log(_m(1), _m(2, flags=2)),
        clock=clock,
    )
    assert played.done
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [Subscribe, Run, Listen, Sleep, Subscribe, Sleep, Subscribe, Run]
    assert _seqs(played.emitted) == [0, 1, 2]


def test_following_is_bounded() -> None:
    """At the end of the time the error says which job did not end."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 3)
    with pytest.raises(WaitTimeout, match="end of job a: not within 3 s"):
        play(plan, None, _log(), _silent(clock), [[], 0, 1], _silent(clock), [[], 0, 1])


def test_junk_on_the_channel_is_passed_over() -> None:
    """What cannot be read, or speaks of another job, is no message."""
    plan = follow(make_core(), ["a"], 60)
    foreign = packed(message_of("b", 0))
    played = play(plan, None, _log(), [b"junk", foreign, *_live(_m(0, flags=2))])
    assert _seqs(played.emitted) == [0]
    assert played.done


def test_several_jobs_share_a_subscription() -> None:
    """Each job's messages are in order; the plan ends with the last of all."""
    plan = follow(make_core(), ["a", "b"], 60)
    played = play(
        plan,
        None,
        _log(),
        _log(),
        _live(_m(0, flags=2), message_of("b", 0)),
        _live(message_of("b", 1, flags=4)),
    )
    assert played.effects[0] == Subscribe([CHANNEL, "corex:{job:b}:stream"])
    assert [(message.job, message.seq) for message in played.emitted] == [
        ("a", 0),
        ("b", 0),
        ("b", 1),
    ]
    assert played.done


def test_a_launch_subscribes_before_it_pushes() -> None:
    """Output cannot come before somebody listens; a new job has no log to read."""
    core = make_core()
    ticket = prepare(core, "n1", Command("bash", {"script": "x"}, stream=True))
    last = message_of(ticket.id, 0, flags=2)
    played = play(launch(core, [ticket], 60), None, [1], _live(last))
    assert [type(effect) for effect in played.effects] == [Subscribe, Run, Listen]
    assert played.effects[1].calls[0][0] == "RPUSH"
    assert played.emitted == [last]


def test_a_log_is_read_as_it_is_now() -> None:
    """Reading the log alone waits for nothing."""
    newest: list[Any] = [(b"2-0", {})]
    played = play(read_log(make_core(), "a"), [newest, None], _log(_m(0), _m(1)))
    assert played.effects[1].calls[0][3] == "2-0"
    assert played.done
    assert _seqs(played.emitted) == [0, 1]


def test_a_log_that_has_gone_is_told_of() -> None:
    """A result that speaks of output which no log has is told with its size, and is the end."""
    plan = read_log(make_core(), "a")
    played = play(plan, [[], packed(result_of("a", stdout_bytes=70, stderr_bytes=7))])
    (gap,) = played.emitted
    assert (type(gap), gap.count, gap.size) == (Gap, None, 77)
    assert "it wrote 77 bytes" in gap.text
    assert played.done


def test_a_job_without_log_ends_when_it_ends() -> None:
    """A job that was submitted without live output is told of, with the size of its output."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    looks = [[[], 0, 1], _silent(clock), [[], 1, 1], _log(), _result(stdout_bytes=5)]
    played = play(plan, None, _log(), _silent(clock), *looks)
    assert played.done
    assert [message.size for message in played.emitted] == [5]


def test_a_missing_end_is_told_of() -> None:
    """A job that has a result and whose log lacks the last message ends with a word about it."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    played = play(plan, None, _log(_m(0)), _silent(clock), [[], 1, 1], _log(), _result())
    assert played.done
    message, gap = played.emitted
    assert (message.seq, type(gap), gap.seq) == (0, Gap, 1)
    assert gap.text == "the end of the log of job a is missing\n"


def test_a_job_that_is_forgotten_while_followed_is_the_end() -> None:
    """When state, log and result of a known job have gone there is nothing to wait for."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    gone = [_silent(clock), [[], 0, 0]] * FORGOTTEN_LOOKS
    played = play(plan, None, _log(), _silent(clock), [[], 0, 1], *gone)
    assert played.done
    (gap,) = played.emitted
    assert "nothing is known of job a any more" in gap.text


def test_a_job_that_nobody_knows_may_come_yet() -> None:
    """Unless told otherwise, following waits for a job that is not there yet."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60)
    looks = [_silent(clock), [[], 0, 0]] * 10
    played = play(plan, None, _log(), *looks, _live(_m(0, flags=2)))
    assert played.done
    assert _seqs(played.emitted) == [0]


def test_a_job_that_is_nowhere_is_not_waited_for() -> None:
    """Who wants known jobs only has the lists searched; a job that is in none is given up."""
    clock = Clock()
    plan = follow(make_core(clock), ["a"], 60, unknown_too=False)
    nodes = [[b"n1", b"1"]]
    looks = [_silent(clock), [[], 0, 0]] * 2
    queued = packed(Command("bash", id="a"))
    found = play(plan, None, _log(), *looks, nodes, [{}], [0, 1], [[queued]], _silent(clock))
    assert not found.done
    assert [call[1] for call in found.effects[8].calls] == [
        "corex:{node:n1}:control",
        "corex:{node:n1}:commands",
    ]
    plan = follow(make_core(clock), ["a"], 60, unknown_too=False)
    other = packed(Command("bash", {"script": "a"}, id="b"))
    played = play(plan, None, _log(), *looks, nodes, [{}], [0, 1], [[other]])
    assert played.done
    assert played.emitted == []


def test_a_log_with_a_hole_does_not_hold_up() -> None:
    """Entries that somebody deleted are counted where they were."""
    played = play(follow(make_core(), ["a"], 60), None, _log(_m(0), _m(3), _m(6, flags=2)))
    assert played.done
    assert [getattr(message, "count", 0) for message in played.emitted] == [0, 2, 0, 2, 0]
