"""The proxy does to connections what it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.proxy import HOST, Direction, Proxy


class _Echo:
    """A server that sends back what it is sent, and counts it."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            self._ends.append(end)
            threading.Thread(target=self._serve, args=[end], daemon=True).start()

    def _serve(self, end: socket.socket) -> None:
        try:
            while data := end.recv(65536):
                self.heard += data
                end.sendall(data)
            end.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for end in self._ends:
            end.close()


@pytest.fixture
def echo() -> Iterator[_Echo]:
    server = _Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: _Echo) -> Iterator[Proxy]:
    with Proxy(HOST, echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, proxy.port), timeout=5) as client:
        eventually(lambda: proxy.connections == 1)
        yield client


def _ask(client: socket.socket, question: bytes) -> bytes:
    client.sendall(question)
    answer = b""
    while len(answer) < len(question):
        part = client.recv(65536)
        if not part:
            break
        answer += part
    return answer


def _is_silent(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        return client.recv(1) is None
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)


def test_what_is_sent_arrives_whole_both_ways(client: socket.socket) -> None:
    assert _ask(client, b"hello") == b"hello"


def test_more_than_buffers_hold_arrives_in_order(client: socket.socket) -> None:
    data = bytes(range(256)) * 40_000
    sender = threading.Thread(target=client.sendall, args=[data])
    sender.start()
    answer = b""
    while len(answer) < len(data):
        answer += client.recv(1 << 20)
    sender.join()
    assert answer == data


def test_an_end_is_passed_on(client: socket.socket, proxy: Proxy) -> None:
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(10) == b"last"
    assert client.recv(10) == b""
    eventually(lambda: proxy.connections == 0)


@pytest.mark.parametrize("directions", [[Direction.UP], [Direction.DOWN], list(Direction)])
def test_a_delay_is_kept_in_each_direction_asked_for(
    client: socket.socket, proxy: Proxy, directions: list[Direction]
) -> None:
    proxy.delay(0.15, directions)
    begun = time.monotonic()
    assert _ask(client, b"slow") == b"slow"
    assert 0.15 * len(directions) <= time.monotonic() - begun < 10
    proxy.heal()
    took = []
    for _ in range(10):
        begun = time.monotonic()
        _ask(client, b"fast")
        took.append(time.monotonic() - begun)
    assert min(took) < 0.1  # a delay would be in each of them


def test_a_cut_resets_connections_and_lets_new_ones_be_made(
    client: socket.socket, proxy: Proxy
) -> None:
    _ask(client, b"before")
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection((HOST, proxy.port), timeout=5) as again:
        assert _ask(again, b"after") == b"after"


def test_refused_connections_are_refused_by_the_system(client: socket.socket, proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=5)
    assert _ask(client, b"those there are go on") == b"those there are go on"
    proxy.admit()
    with socket.create_connection((HOST, proxy.port), timeout=5) as again:
        assert _ask(again, b"after") == b"after"


def test_stalled_upwards_the_server_hears_nothing(
    client: socket.socket, proxy: Proxy, echo: _Echo
) -> None:
    proxy.stall([Direction.UP])
    client.sendall(b"kept")
    assert _is_silent(client)
    assert echo.heard == b""
    proxy.flow()
    assert client.recv(10) == b"kept"


def test_stalled_downwards_the_server_hears_and_its_answer_waits(
    client: socket.socket, proxy: Proxy, echo: _Echo
) -> None:
    proxy.stall([Direction.DOWN])
    client.sendall(b"done")
    eventually(lambda: echo.heard == b"done")
    assert _is_silent(client)
    assert proxy.connections == 1
    proxy.flow()
    assert client.recv(10) == b"done"


def test_a_lost_answer_was_heard_by_the_server(
    client: socket.socket, proxy: Proxy, echo: _Echo
) -> None:
    proxy.lose_answers(1)
    client.sendall(b"done")
    with pytest.raises(ConnectionResetError):
        client.recv(10)
    assert echo.heard == b"done"
    with socket.create_connection((HOST, proxy.port), timeout=5) as again:
        assert _ask(again, b"after") == b"after"


def test_without_a_server_connections_are_reset(proxy: Proxy, echo: _Echo) -> None:
    echo.close()
    with (
        pytest.raises(ConnectionResetError),  # as it is made, or when it is read
        socket.create_connection((HOST, proxy.port), timeout=5) as client,
    ):
        client.recv(1)


def test_a_url_by_the_proxy_keeps_its_other_parts() -> None:
    with Proxy.before("redis://u:p@127.0.0.1:1/3") as proxy:
        assert proxy.url("redis://u:p@127.0.0.1:1/3") == f"redis://u:p@127.0.0.1:{proxy.port}/3"


def test_after_its_end_nothing_is_left(echo: _Echo) -> None:
    before = threading.active_count()
    proxy = Proxy(HOST, echo.port)
    with socket.create_connection((HOST, proxy.port), timeout=5) as client:
        _ask(client, b"hello")
        proxy.close()
        proxy.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=5)
    eventually(lambda: threading.active_count() <= before + 1)  # the echo's own thread
