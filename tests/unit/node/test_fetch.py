"""Downloads by HTTPS, and by way of a proxy."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from corex_node.builtins.fetch import Fetch, Source, parse_source
from corex_shared.errors import CommandError, InternalError
from tests.helpers.eventually import eventually

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Server:
    """Answers every connection with the same bytes, and then waits for its end.

    Attributes:
        port: where it listens.
        heard: what was asked.
    """

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                if self._context is None:
                    self._talk(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as safe:
                        self._talk(safe)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(15)
        self.heard += connection.recv(65536)
        connection.sendall(self._answer)
        while connection.recv(65536):
            pass


Serve = Callable[[bytes], Server]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of this machine, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    files = ["-keyout", str(path), "-out", str(path.with_name("certificate.pem"))]
    subprocess.run(
        [openssl, *command.split(), "subjectAltName=DNS:localhost", *files],
        check=True,
        capture_output=True,
    )
    with path.open("ab") as file:
        file.write(path.with_name("certificate.pem").read_bytes())
    return path


@pytest.fixture
def serve_safely(certificate: Path) -> Iterator[Serve]:
    """Start servers with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    servers = []

    def serve(answer: bytes) -> Server:
        servers.append(Server(answer, context))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def fetch(url: str, destination: Path) -> None:
    """Download."""
    fetching = Fetch(parse_source(url), str(destination), 10)
    fetching.begin()
    fetching.save()


def test_https(
    serve_safely: Serve, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is believed if the machine knows who vouches for it, and for that name only."""
    content = bytes(range(256)) * 1000
    server = serve_safely(HEAD % len(content) + content)
    with pytest.raises(InternalError, match=r"^url: .*certificate verify failed"):
        fetch(f"https://localhost:{server.port}/x", tmp_path / "file")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("certificate.pem")))
    fetch(f"https://localhost:{server.port}/x", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    with pytest.raises(InternalError, match=r"^url: .*certificate verify failed"):
        fetch(f"https://127.0.0.1:{server.port}/x", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_https_is_given_up(
    serve_safely: Serve, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for a server wakes up and leaves nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("certificate.pem")))
    server = serve_safely(HEAD % 1_000_000 + bytes(1000))
    fetching = Fetch(parse_source(f"https://localhost:{server.port}/x"), str(tmp_path / "file"), 10)
    fetching.begin()
    with ThreadPoolExecutor(1) as threads:
        saving = threads.submit(fetching.save)
        eventually(lambda: any(path.stat().st_size == 1000 for path in tmp_path.iterdir()))
        fetching.give_up()
        with pytest.raises(CommandError, match="stopped"):
            saving.result(5)
    assert list(tmp_path.iterdir()) == []


def test_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the agent's environment is asked."""
    server = Server(HEAD % 2 + b"ok")
    try:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        fetch("http://files.example/x?y=1", tmp_path / "file")
    finally:
        server.close()
    assert server.heard.startswith(b"GET http://files.example/x?y=1 HTTP/1.1\r\n")
    assert (tmp_path / "file").read_bytes() == b"ok"


def test_one_that_is_given_up_before_it_begins(tmp_path: Path) -> None:
    """It asks nobody for anything."""
    server = Server(HEAD % 2 + b"ok")
    try:
        fetching = Fetch(
            parse_source(f"http://127.0.0.1:{server.port}/"), str(tmp_path / "file"), 10
        )
        fetching.give_up()
        with pytest.raises(CommandError, match="stopped"):
            fetching.begin()
    finally:
        server.close()
    assert server.heard == b""
    assert list(tmp_path.iterdir()) == []


def test_what_is_shown_of_a_source() -> None:
    """Neither user and password nor what follows the question mark."""
    assert parse_source("https://me:p%3Aw@h:81/a?b=c#d") == Source(
        "https://h:81/a?b=c", "https://h:81/a", "Basic bWU6cDp3"
    )
    assert parse_source("http://h") == Source("http://h", "http://h", "")
