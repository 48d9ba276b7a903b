"""What the agent and its spawners say to each other.

They talk over a pair of SOCK_SEQPACKET sockets. A packet is a list of requests, or of events, in
MessagePack; descriptors travel beside it (SCM_RIGHTS), those of the first `Start` first. A list
too long for a packet travels in a memory file, the first descriptor of a packet of one byte.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from corex_node.process.program import ProgramSpec

MOST_DESCRIPTORS = 240
"""Descriptors of one packet; the kernel allows 253 (SCM_MAX_FD)."""
_INLINE = 64 * 1024
_BUFFER = _INLINE + 1024
_ELSEWHERE = b"\0"


class Start(Struct, frozen=True, array_like=True, tag=1):
    """Start a program; its descriptors are stdout, stderr and, if `has_stdin`, stdin."""

    child: int
    spec: ProgramSpec
    has_stdin: bool


class Send(Struct, frozen=True, array_like=True, tag=2):
    """Send a signal to a child's process group."""

    child: int
    signal: int


class End(Struct, frozen=True, array_like=True, tag=3):
    """End what is left of a child that has exited.

    What was asked to end by a `Stop` has some seconds of `patience` first.
    """

    child: int
    patience: float = 0.0


class Stop(Struct, frozen=True, array_like=True, tag=4):
    """Send a signal to everything of a child, wherever it went."""

    child: int
    signal: int


class Started(Struct, frozen=True, array_like=True, tag=1):
    """A child runs."""

    child: int
    pid: int


class Failed(Struct, frozen=True, array_like=True, tag=2):
    """A child could not be started: the code of its result, and the reason."""

    child: int
    code: int
    reason: str


class Exited(Struct, frozen=True, array_like=True, tag=3):
    """A child's main process has exited."""

    child: int
    code: int
    signal: int


class Ended(Struct, frozen=True, array_like=True, tag=4):
    """Nothing of a child is left, but for survivors: of it and of those that ended with it."""

    child: int
    survivors: int


Request = Start | Send | End | Stop
Event = Started | Failed | Exited | Ended

encode_item = msgspec.msgpack.Encoder().encode
"""Encodes one request or event. Raises `OverflowError` or `ValueError` if it cannot be."""
_decode_requests = msgspec.msgpack.Decoder(list[Request]).decode
_decode_events = msgspec.msgpack.Decoder(list[Event]).decode


def send_packet(sock: socket.socket, items: Sequence[bytes], fds: Sequence[int]) -> None:
    """Send a list of encoded items.

    Raises:
        BlockingIOError: not now; nothing was sent.
        OSError: the other side is gone.
    """
    body = b"".join((_array_header(len(items)), *items))
    if len(body) <= _INLINE:
        _send(sock, body, fds)
        return
    memory = os.memfd_create("packet", os.MFD_CLOEXEC)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(memory, view) :]
        _send(sock, _ELSEWHERE, [memory, *fds])
    finally:
        os.close(memory)


def _array_header(length: int) -> bytes:
    """Begin a MessagePack array."""
    return bytes([0x90 | length]) if length < 16 else b"\xdc" + length.to_bytes(2, "big")


def _send(sock: socket.socket, body: bytes, fds: Sequence[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([body], rights)


def receive_requests(sock: socket.socket) -> tuple[list[Request], list[int]] | None:
    """Receive a list of requests with its descriptors; None when the other side is gone.

    Raises:
        BlockingIOError: there is none.
    """
    body, fds = _receive(sock)
    return (_decode_requests(body), fds) if body else None


def receive_events(sock: socket.socket) -> list[Event] | None:
    """Receive a list of events; None when the other side is gone.

    Raises:
        BlockingIOError: there is none.
    """
    body, _ = _receive(sock)
    return _decode_events(body) if body else None


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(4 * (MOST_DESCRIPTORS + 8))
    try:
        body, rights, _, _ = sock.recvmsg(_BUFFER, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", []
    fds = array.array("i")
    for _, _, data in rights:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    received = list(fds)
    if body == _ELSEWHERE:
        memory = received.pop(0)
        try:
            body = _read_all(memory)
        finally:
            os.close(memory)
    return body, received


def _read_all(memory: int) -> bytes:
    size = os.fstat(memory).st_size
    parts, at = [], 0
    while at < size:
        part = os.pread(memory, size - at, at)
        parts.append(part)
        at += len(part)
    return b"".join(parts)
