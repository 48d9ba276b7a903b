"""A TCP proxy before a server, which does to connections what networks do."""

from __future__ import annotations

import errno
import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_MOST_HELD = 4 * 1024 * 1024
"""Bytes that wait in one direction of one connection before no more are read."""
_LINGER_NOT = struct.pack("ii", 1, 0)  # closing sends RST
_GONE_ON = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN)


class Direction(Enum):
    """Which way bytes go."""

    UP = "from clients to the server"
    DOWN = "from the server to clients"


BOTH = (Direction.UP, Direction.DOWN)


class _Flow:
    """One direction of one connection."""

    def __init__(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.waiting: deque[tuple[float, bytes]] = deque()  # when due, what; b"" is the end
        self.held = 0
        self.ended = False  # the source has sent its last
        self.done = False  # and the sink has been told
        self.blocked = False  # the sink takes no more for now


class _Link:
    """A client's connection, and ours to the server on its behalf."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = (client, server)
        self.up = _Flow(Direction.UP, client, server)
        self.down = _Flow(Direction.DOWN, server, client)
        self.up.blocked = True  # until our connection is made
        self.open = True

    def flows(self) -> tuple[_Flow, _Flow]:
        return self.up, self.down


class Proxy:
    """Forwards connections to a server, in a thread, until `close`.

    Whatever is set holds for the connections that there are and for those to come. All methods
    may be called from any thread, and have taken effect when they return.

    Attributes:
        port: where it listens, on the loopback address; the same all the time.
    """

    def __init__(self, host: str, port: int) -> None:
        """Start to forward.

        Args:
            host: of the server.
            port: of the server, which need not be there yet.
        """
        self._target = (host, port)
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._delays = dict.fromkeys(Direction, 0.0)
        self._stalled: set[Direction] = set()
        self._answers_to_lose = 0
        self._accepted = 0
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wakes, self._wake = socket.socketpair()
        for end in (self._wakes, self._wake):
            end.setblocking(False)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._listener: socket.socket | None = _listen_somewhere()
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @classmethod
    def before(cls, url: str) -> Proxy:
        """Forward to the server of a URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        return cls(parts.hostname, parts.port or 6379)

    def url(self, url: str) -> str:
        """Say how a server's URL reads when it is reached by this proxy."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}{HOST}:{self.port}"))

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- what networks do ---------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Connections that are open."""
        with self._lock:
            return len(self._links)

    @property
    def accepted(self) -> int:
        """Connections that have been made since the beginning."""
        with self._lock:
            return self._accepted

    def delay(self, seconds: float, directions: Iterable[Direction] = BOTH) -> None:
        """Let all bytes take so long from now on; they stay in order. 0 is as fast as can be."""
        with self._lock:
            for direction in directions:
                self._delays[direction] = seconds
        self._poke()

    def cut(self) -> int:
        """Reset all connections (RST to both sides); what was under way is lost.

        Returns:
            How many there were.
        """
        with self._lock:
            count = len(self._links)
            for link in list(self._links):
                self._drop(link)
        self._poke()
        return count

    def lose_answers(self, count: int = 1) -> None:
        """Swallow the next pieces that the server sends, and reset the connection of each.

        The server has then done what it was asked, and nobody knows.
        """
        with self._lock:
            self._answers_to_lose = count

    def refuse(self) -> None:
        """Refuse new connections (RST to their SYN) until `admit`."""
        with self._lock:
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        self._poke()

    def admit(self) -> None:
        """Take new connections again, on the same port."""
        with self._lock:
            if self._listener is None:
                self._listener = _listen(self.port)
                self._selector.register(self._listener, selectors.EVENT_READ)
        self._poke()

    def stall(self, directions: Iterable[Direction] = BOTH) -> None:
        """Forward nothing any more, while connections stay open and new ones are taken."""
        with self._lock:
            self._stalled.update(directions)
            self._watch_all()
        self._poke()

    def flow(self, directions: Iterable[Direction] = BOTH) -> None:
        """Forward again, what has gathered meanwhile first."""
        with self._lock:
            self._stalled.difference_update(directions)
            self._watch_all()
        self._poke()

    def heal(self) -> None:
        """Be a good network again: no delay, no stall, no loss; connections are taken."""
        self.lose_answers(0)
        self.delay(0)
        self.flow()
        self.admit()

    def close(self) -> None:
        """Reset what is open and end; may be called again."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._poke()
        self._thread.join()
        for link in list(self._links):
            self._drop(link)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._wakes.close()
        self._wake.close()

    # -- the thread ---------------------------------------------------------------------------

    def _poke(self) -> None:
        with suppress(OSError):  # it is full, so the thread will wake; or closed
            self._wake.send(b"!")

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select(self._until_due())
            with self._lock:
                for key, events in ready:
                    self._serve(key.fileobj, key.data, events)
                for link in list(self._links):
                    self._pass_on(link)

    def _until_due(self) -> float | None:
        """Seconds until bytes that wait are due; None if there are none."""
        with self._lock:
            due = [
                flow.waiting[0][0]
                for link in self._links
                for flow in link.flows()
                if flow.waiting and not flow.blocked and flow.direction not in self._stalled
            ]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _serve(self, ready: object, link: _Link | None, events: int) -> None:
        if ready is self._wakes:
            self._wakes.recv(_CHUNK)
        elif link is None:
            self._accept()
        elif link.open:
            for flow in link.flows():
                if events & selectors.EVENT_WRITE and flow.sink is ready:
                    flow.blocked = False
                if events & selectors.EVENT_READ and flow.source is ready:
                    self._read(link, flow)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.connect_ex(self._target)  # whether it succeeds is seen at the first use
        link = _Link(client, server)
        self._links.add(link)
        self._accepted += 1
        self._watch(link)

    def _read(self, link: _Link, flow: _Flow) -> None:
        if not link.open:  # dropped a moment ago, for the other direction
            return
        try:
            data = flow.source.recv(_CHUNK)
        except OSError as error:
            if error.errno not in _GONE_ON:
                self._drop(link)
            return
        if data and flow.direction is Direction.DOWN and self._answers_to_lose > 0:
            self._answers_to_lose -= 1
            self._drop(link)
            return
        flow.waiting.append((time.monotonic() + self._delays[flow.direction], data))
        flow.held += len(data)
        flow.ended = not data

    def _pass_on(self, link: _Link) -> None:
        """Send what is due, both ways."""
        now = time.monotonic()
        for flow in link.flows():
            while link.open and not flow.blocked and flow.waiting and flow.waiting[0][0] <= now:
                if flow.direction in self._stalled:
                    break
                self._send(link, flow)
        if link.up.done and link.down.done:
            self._drop(link)
        elif link.open:
            self._watch(link)

    def _send(self, link: _Link, flow: _Flow) -> None:
        due, data = flow.waiting.popleft()
        try:
            if not data:
                flow.sink.shutdown(socket.SHUT_WR)
                flow.done = True
                return
            sent = flow.sink.send(data)
        except OSError as error:
            if error.errno not in _GONE_ON:
                self._drop(link)
                return
            sent = 0
        flow.held -= sent
        if sent < len(data):
            flow.waiting.appendleft((due, data[sent:]))
            flow.blocked = True

    # -- what the selector looks at -----------------------------------------------------------

    def _watch_all(self) -> None:
        for link in self._links:
            self._watch(link)

    def _watch(self, link: _Link) -> None:
        for end in link.sockets:
            events = 0
            for flow in link.flows():
                if flow.source is end and self._takes(flow):
                    events |= selectors.EVENT_READ
                if flow.sink is end and flow.blocked and flow.direction not in self._stalled:
                    events |= selectors.EVENT_WRITE
            known = self._selector.get_map().get(end)
            if known is None and events:
                self._selector.register(end, events, link)
            elif known is not None and not events:
                self._selector.unregister(end)
            elif known is not None and known.events != events:
                self._selector.modify(end, events, link)

    def _takes(self, flow: _Flow) -> bool:
        return not (flow.ended or flow.direction in self._stalled or flow.held >= _MOST_HELD)

    def _drop(self, link: _Link) -> None:
        """Reset a connection's both halves."""
        link.open = False
        self._links.discard(link)
        for end in link.sockets:
            if self._selector.get_map().get(end) is not None:
                self._selector.unregister(end)
            if not (link.up.done and link.down.done):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            end.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _listen_somewhere() -> socket.socket:
    """Listen on a port that the system gives to no outgoing connection.

    While new connections are refused the port is free, and a client that tries it could else be
    given that very port and be connected to itself.
    """
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    lowest = max(int(text.split()[0]), 12_000)
    for port in random.sample(range(10_000, lowest), 50):
        try:
            return _listen(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("no free port")
