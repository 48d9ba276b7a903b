"""Putting questions to a node."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from corex.ask import Question, ask, read_nothing, reader
from corex.core import Core
from corex.effects import ReadInbox, Run
from corex.mailbox import Mail
from corex_shared.codec import decode_command
from corex_shared.errors import (
    DecodeError,
    JobFailed,
    PayloadTooLargeError,
    StoreUnavailableError,
    WaitTimeout,
)
from corex_shared.models import Command
from corex_shared.scripts import whole
from corex_shared.states import JobState, Level
from tests.unit.client.playing import Clock, Played, make_core, packed, play, result_of


class _Pair(Struct, frozen=True):
    name: str
    size: int


_PAIRS = Question("x.list", reader(list[_Pair]), {"a": 1, "b": None})


def _asked(played: Played) -> tuple[str, Command]:
    name, key, payload = played.effects[0].calls[0]
    assert name == "RPUSH"
    return key, decode_command(payload)[0]


def _answer(core: Core, **fields: Any) -> Any:
    """Answer the effect that waits for the result."""

    def answer(effect: ReadInbox) -> None:
        job = effect.waiter.keys[0]
        core.mailbox.put([packed(result_of(job, **fields))])

    return answer


def _put(question: Question[Any], **fields: Any) -> Played:
    core = make_core()
    return play(ask(core, "n1", question, 10), [1], _answer(core, **fields))


def test_a_question_is_a_command_and_what_is_none_is_left_out() -> None:
    key, command = _asked(_put(_PAIRS, data="[]", level=Level.JSON))
    assert key == "corex:{node:n1}:commands"
    assert (command.command, command.arguments) == ("x.list", {"a": 1})


def test_a_question_that_must_not_wait_goes_to_the_control_list() -> None:
    key, _ = _asked(_put(Question("x", read_nothing, control=True)))
    assert key == "corex:{node:n1}:control"


def test_an_answer_is_read_and_what_is_not_known_ignored() -> None:
    data = '[{"name": "a", "size": 1, "colour": "red"}]'
    assert _put(_PAIRS, data=data, level=Level.JSON).value == [_Pair("a", 1)]


@pytest.mark.parametrize("data", ["", "null"])
def test_no_answer_is_an_answer_where_none_is_expected(data: str) -> None:
    assert _put(Question("x", read_nothing), data=data, level=Level.JSON).done


@pytest.mark.parametrize(
    "data, what",
    [
        ("", "answer: it is not JSON"),
        ("[{", "answer: it is not JSON: Input data was truncated"),
        ("nonsense", "answer: it is not JSON"),
        ("null", "answer: Expected `array`, got `null`"),
        ('{"name": "a"}', "answer: Expected `array`, got `object`"),
        ('[{"name": "a"}]', r"answer\[0\]: Object missing required field `size`"),
        ('[{"name": "a", "size": "1"}]', r"answer\[0\].size: Expected `int`, got `str`"),
        ('[{"name": "a", "size": NaN}]', "answer: it is not JSON"),
        ('"\ud800"', "answer: it is not JSON"),
    ],
)
def test_an_answer_of_another_form_is_refused_and_what_is_wrong_named(data: str, what: str) -> None:
    core = make_core()

    def answer(effect: ReadInbox) -> None:
        job = effect.waiter.keys[0]
        effect.waiter.ready.append(_mail(job, data))

    with pytest.raises(DecodeError, match=f"^x.list: {what}"):
        play(ask(core, "n1", _PAIRS, 10), [1], answer)


def _mail(job: str, data: str) -> Mail:
    return Mail(job, job, result_of(job, data=data, level=Level.JSON))


def test_an_answer_that_is_nested_too_deeply_is_refused() -> None:
    question = Question("x", reader(dict[str, Any]))
    deep = '{"a":' * 100_000
    with pytest.raises(DecodeError, match="x: answer"):
        _put(question, data=deep, level=Level.JSON)


def test_an_answer_that_does_not_say_that_it_is_json_is_refused() -> None:
    with pytest.raises(DecodeError, match="it is not JSON"):
        _put(_PAIRS, data="[]", level=Level.PUBLIC)


def test_an_answer_where_none_is_expected_is_refused() -> None:
    with pytest.raises(DecodeError, match="x: answer: none was expected"):
        _put(Question("x", read_nothing), data="5", level=Level.JSON)


def test_a_refusal_is_raised_with_its_code() -> None:
    with pytest.raises(JobFailed, match="no such thing") as caught:
        _put(_PAIRS, state=JobState.ERROR, code=404, data='"no such thing"', level=Level.JSON)
    assert caught.value.result.code == 404


def test_a_question_that_is_not_answered_in_time_is_taken_back() -> None:
    clock = Clock()
    core = make_core(clock)

    def silence(effect: ReadInbox) -> None:
        clock.now += effect.seconds

    asked: list[Any] = []

    def answer(effect: Any) -> Any:
        asked.append(effect)
        return silence(effect) if isinstance(effect, ReadInbox) else [None]

    with pytest.raises(WaitTimeout, match=r"x\.list on node n1: result of job .*: not within 7 s"):
        play(ask(core, "n1", _PAIRS, 7), *[answer] * 20)
    (name, key, _, payload) = asked[-1].calls[0]
    assert (name, key) == ("LREM", "corex:{node:n1}:commands")
    assert payload == asked[0].calls[0][2]


def test_the_time_is_up_also_when_redis_cannot_be_told() -> None:
    clock = Clock()
    core = make_core(clock)

    def answer(effect: Any) -> Any:
        if isinstance(effect, Run) and whole(effect.calls[0])[0] != "RPUSH":
            clock.now += 1
            return StoreUnavailableError("refused")
        if isinstance(effect, ReadInbox):
            return StoreUnavailableError("refused")
        return [1]

    with pytest.raises(WaitTimeout, match=r"\(Redis: refused\): not within 3 s"):
        play(ask(core, "n1", _PAIRS, 3), *[answer] * 50, clock=clock)


def test_a_large_answer_is_taken_out_of_redis_once_it_was_read() -> None:
    core = make_core()
    question = Question("x", reader(str), bulky=True)
    result = packed(result_of("x", data='"text"', level=Level.JSON))
    fetch = {"LINDEX": result, "UNLINK": 1}
    played = play(
        ask(core, "n1", question, 10),
        [1],
        _hint(core),
        lambda effect: [fetch[effect.calls[0][0]]],
        lambda effect: [fetch[effect.calls[0][0]]],
    )
    assert played.value == "text"
    key = played.effects[-1].calls[0][1]
    assert played.effects[-1].calls == [("UNLINK", key)]
    assert key.endswith(":result")


def test_what_cannot_be_taken_out_of_redis_stays_there() -> None:
    core = make_core()
    question = Question("x", reader(str), bulky=True)
    answer = _answer(core, data='"text"', level=Level.JSON)
    played = play(ask(core, "n1", question, 10), [1], answer, StoreUnavailableError("refused"))
    assert played.value == "text"


def _hint(core: Core) -> Any:
    def answer(effect: ReadInbox) -> None:
        job = effect.waiter.keys[0]
        core.mailbox.put([msgspec.msgpack.encode({"id": job})])

    return answer


def test_what_is_too_large_for_one_command_is_refused_before_it_is_sent() -> None:
    question = Question("x", read_nothing, {"a": "x" * 2_000_000})
    with pytest.raises(PayloadTooLargeError):
        play(ask(make_core(), "n1", question, 10))


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "5"])
def test_a_timeout_that_is_none_is_refused_before_anything_is_sent(timeout: Any) -> None:
    with pytest.raises(ValueError, match="a timeout is a number of seconds"):
        play(ask(make_core(), "n1", _PAIRS, timeout))
