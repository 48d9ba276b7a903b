"""The end of a job, made of its ticket and its result."""

from __future__ import annotations

from corex_node.finishes import finish_of
from corex_node.ticket import Source, Ticket
from corex_shared import codec
from corex_shared.codec import Encoding
from corex_shared.models import JobResult
from corex_shared.states import Flag, JobState, Level

EPOCH = 1_700_000_000_000_000_000


def result(data: str = "", level: int = 0, state: JobState = JobState.SUCCESS) -> JobResult:
    return JobResult("j1", "c", "n1", state, 0, data=data, level=level)


def ticket(**more: object) -> Ticket:
    made = Ticket(Source.COMMANDS, 7, "j1")
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_job_that_nobody_follows_has_no_last_message() -> None:
    end = finish_of(ticket(), result(), EPOCH)
    assert (end.message, end.streams, end.to_node_log, end.hint) == (b"", False, False, b"")


def test_the_last_message_has_the_tickets_next_number_and_says_how_it_ended() -> None:
    end = finish_of(ticket(streams=True, seq=5), result('"x"', Level.JSON, JobState.LOST), EPOCH)
    message = codec.decode_message(end.message)
    assert (message.job, message.node, message.seq, message.level) == ("j1", "n1", 5, Level.JSON)
    assert (message.flags, message.message) == (Flag.STREAM | Flag.ERROR, '"x"')
    assert (message.epoch, end.seq, end.streams) == (EPOCH, 5, True)


def test_a_job_for_the_nodes_log_only_is_not_a_stream() -> None:
    end = finish_of(ticket(levels=frozenset({1})), result(), EPOCH)
    message = codec.decode_message(end.message)
    assert (message.flags, message.level, end.streams) == (Flag.SUCCESS, Level.STDOUT, False)
    assert end.to_node_log


def test_the_inbox_of_a_client_hears_a_short_result_whole_and_of_a_long_one_the_id() -> None:
    short = finish_of(ticket(reply_to="me"), result(), EPOCH)
    long = finish_of(ticket(reply_to="me"), result("y" * 9000), EPOCH)
    assert short.reply_to == long.reply_to == "me"
    assert short.hint == short.result
    assert long.hint == codec.encode_id("j1", Encoding.JSON)


def test_all_of_it_is_in_the_encoding_of_the_command() -> None:
    end = finish_of(ticket(streams=True, encoding=Encoding.MSGPACK), result(), EPOCH)
    assert codec.encoding_of(end.result) is codec.encoding_of(end.message) is Encoding.MSGPACK
