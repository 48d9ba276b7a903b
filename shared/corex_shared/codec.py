"""Bytes ↔ models: one JSON object or one MessagePack map a payload.

The first byte tells which: `{` begins JSON, 0x80–0x8f, 0xde and 0xdf begin a MessagePack map
(github.com/msgpack/msgpack, spec.md, "map format family"). Anything else cannot be read.
"""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import Any, TypeVar

import msgpack
import msgspec

from corex_shared.errors import DecodeError, PayloadTooLargeError
from corex_shared.identifiers import is_valid_id
from corex_shared.models import Command, JobResult, Message

DEFAULT_LIMIT = 1024 * 1024
"""Largest payload that is read, in bytes, unless configured otherwise."""

T = TypeVar("T")


class Encoding(Enum):
    """How a payload is written."""

    JSON = "json"
    MSGPACK = "msgpack"

    # Members are single objects: hashing them by identity is twice as fast as by name.
    __hash__ = object.__hash__


class _Head(msgspec.Struct):
    """The part of a command that is worth finding in a payload that is otherwise wrong."""

    id: Any = None
    reply_to: Any = None


class _Codec:
    """Encoder and decoders of one encoding, made once."""

    def __init__(self, encoding: Encoding) -> None:
        module: Any = msgspec.json if encoding is Encoding.JSON else msgspec.msgpack
        self.encode = module.Encoder().encode
        self.command = module.Decoder(Command)
        self.result = module.Decoder(JobResult)
        self.message = module.Decoder(Message)
        self.head = module.Decoder(_Head)
        self.any = module.Decoder()


_CODECS = {encoding: _Codec(encoding) for encoding in Encoding}
_MSGPACK_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_PATH = re.compile(r" - at `([^`]*)`$")
_LEADING_JSON_ID = re.compile(rb'\{\s*"id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})"\s*[,}]')
_MISSING = re.compile(r"missing required field `([^`]*)`")


def encoding_of(payload: bytes) -> Encoding:
    """Tell the encoding of a payload by its first byte.

    Raises:
        DecodeError: it begins neither a JSON object nor a MessagePack map.
    """
    if not payload:
        raise DecodeError("payload", "it is empty")
    first = payload[0]
    if first == ord("{"):
        return Encoding.JSON
    if first in _MSGPACK_MAPS:
        return Encoding.MSGPACK
    raise DecodeError(
        "payload", f"neither a JSON object nor a MessagePack map (first byte 0x{first:02x})"
    )


def _field_error(error: Exception) -> DecodeError:
    """Turn an error of the decoder into one that names the field at fault."""
    text = str(error)
    path = _PATH.search(text)
    missing = _MISSING.search(text)
    field = path.group(1).removeprefix("$").removeprefix(".") if path else ""
    if missing:
        field = f"{field}.{missing.group(1)}" if field else missing.group(1)
    reason = _PATH.sub("", text)
    if "matching regex" in reason:
        reason = "1 to 128 letters, digits and ._:- are allowed, the first a letter or digit"
    return DecodeError(field or "payload", reason)


def _decode(decoder: Any, payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _field_error(error) from error
    except RecursionError as error:
        raise DecodeError("payload", "nested too deeply") from error
    except ValueError as error:  # invalid UTF-8 within a string
        raise DecodeError("payload", str(error)) from error


def decode_command(payload: bytes, limit: int = DEFAULT_LIMIT) -> tuple[Command, Encoding]:
    """Read a command.

    Args:
        payload: the bytes as they were pushed.
        limit: largest size in bytes.

    Returns:
        The command, its `id` present and valid, and the encoding in which to answer.

    Raises:
        PayloadTooLargeError: it is larger than the limit.
        DecodeError: it cannot be read or a field is wrong; the error names the field.
    """
    if len(payload) > limit:
        raise PayloadTooLargeError(len(payload), limit)
    encoding = encoding_of(payload)
    command: Command = _decode(_CODECS[encoding].command, payload)
    if command.id is None:
        raise DecodeError("id", "it is missing")
    _refuse_nan(command)
    return command, encoding


def _refuse_nan(command: Command) -> None:
    """Refuse durations that are not a number, which pass every comparison of a bound."""
    for name in ("max_time", "grace", "recurring_period", "stats_interval"):
        value = getattr(command, name)
        if value is not None and math.isnan(value):
            raise DecodeError(name, "it is not a number")


def peek_reply(payload: bytes) -> tuple[str | None, str | None]:
    """Find job ID and client ID in a payload that `decode_command` refused.

    Returns:
        `(id, reply_to)`, each None where it is absent, wrong or cannot be found.
    """
    try:
        head: _Head = _decode(_CODECS[encoding_of(payload)].head, payload)
    except DecodeError:
        return _leading_id(payload), None
    job = head.id if is_valid_id(head.id) else None
    client = head.reply_to if is_valid_id(head.reply_to) else None
    return job, client


def _leading_id(payload: bytes) -> str | None:
    """Find the job ID at the very front of a payload that is cut, or nested too deeply."""
    found = _LEADING_JSON_ID.match(payload)
    if found is not None:
        return found[1].decode()
    unpacker = msgpack.Unpacker(max_buffer_size=len(payload) + 1)
    unpacker.feed(payload)
    try:
        unpacker.read_map_header()
        if unpacker.unpack() != "id":
            return None
        value = unpacker.unpack()
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return None
    return value if is_valid_id(value) else None


def encode(model: Command | JobResult | Message, encoding: Encoding) -> bytes:
    """Write a model.

    Raises:
        DecodeError: a value in it (of a command's arguments) has no form on the wire.
    """
    try:
        encoded: bytes = _CODECS[encoding].encode(model)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DecodeError("arguments", str(error)) from error
    return encoded


def encode_id(job_id: str, encoding: Encoding) -> bytes:
    """Write what an inbox hears of a result that is too large for it: `{"id": …}`."""
    encoded: bytes = _CODECS[encoding].encode({"id": job_id})
    return encoded


def encode_data(value: object) -> str:
    """Write a built-in's answer as the JSON text that `data` holds.

    An extension value of MessagePack, which may be among a command's arguments, is written as a
    description of it.

    Raises:
        TypeError: the value has no form in JSON.
    """
    return msgspec.json.encode(value, enc_hook=_describe).decode()


def _describe(value: object) -> str:
    if isinstance(value, msgspec.msgpack.Ext):
        return f"ext {value.code}, {len(bytes(value.data))} bytes"
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


def decode_data(text: str) -> Any:
    """Read the JSON text that `data` holds.

    Raises:
        DecodeError: it is not JSON.
    """
    return _decode(_CODECS[Encoding.JSON].any, text.encode())


def decode_result(payload: bytes) -> JobResult:
    """Read a result.

    Raises:
        DecodeError: it cannot be read; the error names the field.
    """
    result: JobResult = _decode(_CODECS[encoding_of(payload)].result, payload)
    return result


def decode_message(payload: bytes) -> Message:
    """Read a message.

    Raises:
        DecodeError: it cannot be read; the error names the field.
    """
    message: Message = _decode(_CODECS[encoding_of(payload)].message, payload)
    return message


def decode_map(payload: bytes) -> dict[str, Any]:
    """Read any payload as a plain map.

    Raises:
        DecodeError: it cannot be read.
    """
    value: dict[str, Any] = _decode(_CODECS[encoding_of(payload)].any, payload)
    return value
