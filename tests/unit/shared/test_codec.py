"""Payloads: what is written is read back, and anything else is a DecodeError that names a field."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_shared import codec
from corex_shared.codec import Encoding
from corex_shared.errors import DecodeError, PayloadTooLargeError
from corex_shared.models import Command, JobResult, Message
from corex_shared.states import JobState

encodings = st.sampled_from(list(Encoding))
# Text as it can be written: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,30}", fullmatch=True)
seconds = st.floats(0, 1e9, allow_nan=False)
counts = st.integers(0, 2**53)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
commands = st.builds(
    Command,
    command=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    arguments=st.none() | st.dictionaries(texts, values, max_size=4),
    id=identifiers,
    queue=st.none() | identifiers,
    queue_scope=st.sampled_from([None, "node", "fleet"]),
    max_time=st.none() | seconds,
    grace=st.none() | seconds,
    max_restart=st.none() | counts,
    recurring_period=st.none() | seconds,
    expires_at=st.none() | counts,
    on_lost=st.sampled_from([None, "report", "retry"]),
    stream=st.none() | st.booleans(),
    log_levels=st.none() | st.lists(st.integers(0, 255), max_size=4),
    stats_interval=st.none() | seconds,
    tags=st.none() | st.lists(texts, max_size=4),
    reply_to=st.none() | identifiers,
)
results = st.builds(
    JobResult,
    id=identifiers,
    command=texts,
    node=identifiers,
    state=st.sampled_from(JobState),
    code=st.integers(0, 2000),
    data=texts,
    streams=st.tuples(texts, texts),
    tags=st.lists(texts, max_size=3),
    starttime=counts,
)
messages = st.builds(
    Message,
    job=identifiers,
    node=identifiers,
    seq=counts,
    level=st.integers(0, 255),
    flags=st.integers(0, 7),
    message=texts,
    epoch=st.integers(0, 2**63 - 1),
)


@given(commands, encodings)
def test_a_command_is_read_as_it_was_written(command: Command, encoding: Encoding) -> None:
    """A command survives the way in both encodings, which is told by its first byte."""
    payload = codec.encode(command, encoding)
    assert codec.decode_command(payload) == (command, encoding)
    assert codec.encoding_of(payload) is encoding


@given(results, encodings)
def test_a_result_is_read_as_it_was_written(result: JobResult, encoding: Encoding) -> None:
    """A result survives the way in both encodings."""
    assert codec.decode_result(codec.encode(result, encoding)) == result


@given(messages, encodings)
def test_a_message_is_read_as_it_was_written(message: Message, encoding: Encoding) -> None:
    """A message survives the way in both encodings."""
    assert codec.decode_message(codec.encode(message, encoding)) == message


@given(commands)
def test_other_libraries_read_the_same(command: Command) -> None:
    """JSON and MessagePack are those of everybody else, with null fields left out."""
    as_json = json.loads(codec.encode(command, Encoding.JSON))
    assert as_json == msgpack.unpackb(codec.encode(command, Encoding.MSGPACK))
    assert None not in as_json.values()


def _never_anything_else(payload: bytes) -> None:
    for decode in (
        codec.decode_command,
        codec.decode_result,
        codec.decode_message,
        codec.decode_map,
        codec.encoding_of,
    ):
        with suppress(DecodeError):
            decode(payload)
    job, client = codec.peek_reply(payload)
    assert job is None or isinstance(job, str)
    assert client is None or isinstance(client, str)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(payload: bytes) -> None:
    """Whatever comes, it is read or it is a DecodeError."""
    _never_anything_else(payload)


@given(st.sampled_from([b"{", b"\x81", b"\x8f", b"\xde", b"\xdf"]), st.binary(max_size=100))
def test_arbitrary_bytes_that_begin_well(first: bytes, rest: bytes) -> None:
    """The same holds behind a first byte that promises a map."""
    _never_anything_else(first + rest)


@given(commands, encodings, st.data())
def test_a_damaged_command(command: Command, encoding: Encoding, data: st.DataObject) -> None:
    """The same holds for a command of which a byte was changed, or the end is missing."""
    payload = bytearray(codec.encode(command, encoding))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    _never_anything_else(bytes(payload))
    _never_anything_else(bytes(payload[:at]))


@given(st.dictionaries(st.sampled_from(["id", "command", "tags", "reply_to", "max_time"]), values))
def test_arbitrary_values(fields: dict[str, Any]) -> None:
    """Values of any type in the fields are read, or the error names the field."""
    for payload in (json.dumps(fields).encode(), msgpack.packb(fields)):
        try:
            command, _ = codec.decode_command(payload)
        except DecodeError as error:
            field = error.field.partition("[")[0]
            assert field in {*fields, "id", "command"}
        else:
            assert command.id == fields["id"]


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"command": "c"}, "id"),
        ({"id": "a"}, "command"),
        ({"id": "a b", "command": "c"}, "id"),
        ({"id": "a", "command": "c" * 257}, "command"),
        ({"id": "a", "command": "c", "tags": ["t", 7]}, "tags[1]"),
        ({"id": "a", "command": "c", "max_time": "9"}, "max_time"),
        ({"id": "a", "command": "c", "max_time": 2e9}, "max_time"),
        ({"id": "a", "command": "c", "log_levels": [1, -1]}, "log_levels[1]"),
        ({"id": "a", "command": "c", "expires_at": 2**60}, "expires_at"),
    ],
)
@pytest.mark.parametrize("encoding", list(Encoding))
def test_the_error_names_the_field(fields: dict[str, Any], field: str, encoding: Encoding) -> None:
    """People find what is wrong by the name, and the list's element too."""
    packed = json.dumps(fields).encode() if encoding is Encoding.JSON else msgpack.packb(fields)
    with pytest.raises(DecodeError) as caught:
        codec.decode_command(packed)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("name", ["max_time", "grace", "recurring_period", "stats_interval"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_durations_are_numbers(name: str, value: float) -> None:
    """MessagePack has forms of numbers that are none; they are refused."""
    with pytest.raises(DecodeError) as caught:
        codec.decode_command(msgpack.packb({"id": "a", "command": "c", name: value}))
    assert caught.value.field == name


def test_a_size_over_the_limit() -> None:
    """A payload of the limit is read, one byte more is not, whatever it holds."""
    payload = codec.encode(Command("c", id="a"), Encoding.JSON)
    assert codec.decode_command(payload, len(payload))[0].id == "a"
    with pytest.raises(PayloadTooLargeError) as caught:
        codec.decode_command(payload, len(payload) - 1)
    assert (caught.value.size, caught.value.limit) == (len(payload), len(payload) - 1)


@pytest.mark.parametrize("deep", [1_500, 100_000])
def test_nesting_without_end(deep: int) -> None:
    """Nesting beyond the interpreter's stack is an error like others, and not its end."""
    for payload in (
        b'{"id":"a","command":"c","arguments":{"a":' + b"[" * deep + b"]" * deep + b"}}",
        b"\x83\xa2id\xa1a\xa7command\xa1c\xa9arguments\x81\xa1a" + b"\x91" * deep + b"\xc0",
    ):
        with pytest.raises(DecodeError):
            codec.decode_command(payload)
        codec.peek_reply(payload)


@pytest.mark.parametrize(
    "payload, found",
    [
        (b'{"id": "a", "command": 7, "reply_to": "c"}', ("a", "c")),
        (b'{"id": "a b", "reply_to": "c"}', (None, "c")),
        (b'{"id": "a", "reply_to": 7}', ("a", None)),
        (msgpack.packb({"id": "a", "command": 7}), ("a", None)),
        (b'{"id": "a"', (None, None)),
        (b"", (None, None)),
        (b"no map", (None, None)),
    ],
)
def test_what_can_be_found_of_a_refused_command(
    payload: bytes, found: tuple[str | None, str | None]
) -> None:
    """ID and client are found beside the field that is wrong."""
    assert codec.peek_reply(payload) == found


def test_arguments_without_a_form() -> None:
    """What cannot be written says so as an error of ours."""
    for value in (object(), {1, 2}.__iter__(), 2**70):
        with pytest.raises(DecodeError):
            codec.encode(Command("c", {"a": value}, "a"), Encoding.MSGPACK)


@given(values)
def test_data_is_read_as_it_was_written(value: Any) -> None:
    """A built-in's answer survives as JSON text."""
    assert codec.decode_data(codec.encode_data(value)) == value


def test_an_extension_in_data() -> None:
    """What only MessagePack has is described."""
    assert json.loads(codec.encode_data(msgspec.msgpack.Ext(3, b"abc"))) == "ext 3, 3 bytes"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_notice_of_a_large_result(encoding: Encoding) -> None:
    """It is a map with the ID."""
    assert codec.decode_map(codec.encode_id("a", encoding)) == {"id": "a"}
