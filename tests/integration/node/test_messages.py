"""Messages of jobs: numbered without gaps, one last, on the channels that are to have them."""

from __future__ import annotations

import time

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire

LAST = 6


def _whole_log(wire: Wire, job: str) -> list[Pairs]:
    """The log of a job that has its result, once its last message is there."""
    wire.result(job)
    eventually(lambda: wire.log(job) and wire.log(job)[-1]["flags"] & LAST, "the last message")
    return wire.log(job)


def _assert_one_last(messages: list[Pairs], flag: int) -> None:
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    assert [message["flags"] & LAST for message in messages[:-1]] == [0] * (len(messages) - 1)
    assert messages[-1]["flags"] & LAST == flag


@pytest.mark.parametrize(
    "script, flag",
    [
        ("echo out; echo err >&2", 2),
        ("echo out; exit 3", 4),
        ("", 2),
        ("kill -9 $$", 4),
        ("i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done", 2),
    ],
    ids=["both streams", "failing", "silent", "dying", "many"],
)
def test_seq_has_no_gap_and_one_message_is_the_last(wire: Wire, script: str, flag: int) -> None:
    """Messages count from 0; the last alone bears 2 for a success and 4 for an error."""
    job = wire.script(script, stream=True)
    messages = _whole_log(wire, job)
    _assert_one_last(messages, flag)
    assert {message["flags"] & 1 for message in messages} == {1}


def test_seq_goes_on_across_attempts(wire: Wire) -> None:
    """A job that is run again numbers its messages on, and has one last message."""
    job = wire.script("echo again; exit 1", stream=True, max_restart=2)
    messages = _whole_log(wire, job)
    _assert_one_last(messages, 4)
    written = [message["message"] for message in messages if message["level"] == 1]
    assert "".join(written) == "again\nagain\n"
    assert wire.result(job)["attempts"] == 2


def test_a_refused_command_has_its_last_message_too(wire: Wire) -> None:
    """Who follows a job that never runs hears its end."""
    messages = _whole_log(wire, wire.push("core.nothing", stream=True))
    _assert_one_last(messages, 4)
    assert len(messages) == 1


def test_a_log_entry_has_the_id_of_its_seq(wire: Wire) -> None:
    """The entry of seq n is `<n+1>-0`, so that a gap is one XRANGE."""
    job = wire.script("for i in 1 2 3; do echo $i; echo $i >&2; sleep 0.12; done", stream=True)
    _whole_log(wire, job)
    entries = wire.redis.xrange(wire.keys.log(job))
    assert len(entries) > 3
    assert [name.decode() for name, _ in entries] == [f"{n}-0" for n in range(1, len(entries) + 1)]
    assert 0 < wire.redis.pttl(wire.keys.log(job)) <= 300_000


def test_log_and_channel_have_the_same(wire: Wire) -> None:
    """Who listens hears what the log holds, in its order."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.stream(job)) as heard:
        wire.script("for i in 1 2 3 4 5; do echo $i; sleep 0.02; done", id=job, stream=True)
        log = _whole_log(wire, job)
        eventually(lambda: len(heard()) == len(log))
        assert heard() == log


def test_epochs_are_nanoseconds_and_rise(wire: Wire) -> None:
    """Each message says when it came."""
    begun = time.time_ns()
    messages = _whole_log(wire, wire.script("echo 1; sleep 0.2; echo 2", stream=True))
    epochs = [message["epoch"] for message in messages]
    assert epochs == sorted(epochs)
    assert begun - 10**9 < epochs[0] <= time.time_ns() + 10**9


def test_a_job_that_streams_nothing_has_no_log(wire: Wire) -> None:
    """Without `stream` there is no log to pay for."""
    job = wire.script("echo out")
    wire.result(job)
    assert not wire.redis.exists(wire.keys.log(job))


def test_the_nodes_channel_has_the_default_levels(wire: Wire) -> None:
    """Of any job: its stderr and its last message, not its stdout."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.node_log("n1")) as heard:
        wire.script("echo out; echo err >&2; exit 1", id=job)
        of_job = eventually(lambda: _with_last(heard(), job))
    assert [message["level"] for message in of_job[:-1]] == [2]
    assert of_job[0]["message"] == "err\n"
    assert of_job[-1]["flags"] == 4
    # The numbers are those of the messages that were made; the log channel has no others.
    assert [message["seq"] for message in of_job] == list(range(len(of_job)))


def test_the_nodes_channel_has_the_levels_that_a_command_asks_for(wire: Wire) -> None:
    """`log_levels` replaces the node's own for that command."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.node_log("n1")) as heard:
        wire.script("echo out; echo err >&2", id=job, log_levels=[1])
        of_job = eventually(lambda: _with_last(heard(), job))
    assert [message["message"] for message in of_job] == ["out\n", ""]
    assert of_job[-1]["flags"] == 2


def test_empty_log_levels_mean_the_nodes_own(wire: Wire) -> None:
    """An empty list changes nothing."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.node_log("n1")) as heard:
        wire.script("echo out; echo err >&2", id=job, log_levels=[])
        of_job = eventually(lambda: _with_last(heard(), job))
    assert [message["message"] for message in of_job] == ["err\n", ""]


def test_the_nodes_channel_is_found_by_a_pattern(wire: Wire) -> None:
    """Operators listen to all nodes at once."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.node_log("*")) as heard:
        wire.script("echo err >&2", id=job)
        assert eventually(lambda: _with_last(heard(), job))[0]["node"] == "n1"


def test_no_message_splits_a_character(wire: Wire) -> None:
    """Text whose characters are written byte by byte arrives whole."""
    text = "äöü€𝄞" * 40
    script = f"printf '{text}' | dd bs=1 2>/dev/null; printf '{text}' | dd bs=3 2>/dev/null"
    job = wire.script(script, stream=True)
    messages = _whole_log(wire, job)
    assert not [message for message in messages if "\ufffd" in message["message"]]
    assert "".join(message["message"] for message in messages) == text * 2


def test_a_character_that_comes_in_two_parts(wire: Wire) -> None:
    """A character that is written in two parts, a while apart, is one in its message."""
    job = wire.script("printf '\\303'; sleep 0.4; printf '\\244'; echo", stream=True)
    messages = _whole_log(wire, job)
    assert "".join(message["message"] for message in messages) == "ä\n"


def test_megabytes_without_a_newline_are_split_between_characters(wire: Wire) -> None:
    """A line too long to be held is cut, never within a character."""
    job = wire.script("yes äö€ | tr -d '\\n' | head -c 1000000", stream=True)
    messages = _whole_log(wire, job)
    text = "".join(message["message"] for message in messages)
    whole = ("äö€".encode() * 150_000)[:1_000_000].decode("utf-8", "replace")
    assert text == whole


def test_bad_bytes_are_replaced(wire: Wire) -> None:
    """What is no UTF-8 becomes U+FFFD, in messages and in the result; bytes are counted as is."""
    job = wire.script("printf 'a\\377b\\n'", stream=True)
    messages = _whole_log(wire, job)
    assert messages[0]["message"] == "a\ufffdb\n"
    result = wire.result(job)
    assert (result["streams"][0], result["stdout_bytes"]) == ("a\ufffdb\n", 4)


def test_part_of_a_line_is_seen_while_the_job_runs(wire: Wire) -> None:
    """A prompt is heard within a second (some more on a busy machine), before its line ends."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.stream(job)) as heard:
        wire.script("printf 'password: '; sleep 30", id=job, stream=True)
        wire.wait_stage(job, "running")
        eventually(lambda: heard() and heard()[0]["message"] == "password: ", seconds=5)
        assert wire.state(job)["stage"] == "running"
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    _assert_one_last(_whole_log(wire, job), 4)


def test_lines_are_kept_whole(wire: Wire) -> None:
    """Every message of a job that writes lines fast ends with one."""
    job = wire.script("seq 1 20000", stream=True)
    messages = _whole_log(wire, job)
    assert {message["message"][-1:] for message in messages[:-1]} == {"\n"}
    numbers = "".join(message["message"] for message in messages).split()
    assert numbers == [str(number) for number in range(1, 20001)]


def _with_last(messages: list[Pairs], job: str) -> list[Pairs]:
    """The messages of a job among others, once its last is there."""
    of_job = [message for message in messages if message["job"] == job]
    return of_job if of_job and of_job[-1]["flags"] & LAST else []
