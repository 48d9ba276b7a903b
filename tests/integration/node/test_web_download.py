"""`web.download` over the plain wire, from a server of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess
from tests.helpers.wire import Pairs, Wire

CONTENT = os.urandom(3 * 1024 * 1024 + 5)
WAIT = 20.0


class Handler(BaseHTTPRequestHandler):
    """Answers what the path says.

    Attributes:
        asked: headers of the requests, by path.
        over: set when the test is: whoever waits for that ends.
        further: set when the second half of an answer is to be sent.
    """

    protocol_version = "HTTP/1.1"
    asked: ClassVar[dict[str, dict[str, str]]] = {}
    over: ClassVar[threading.Event] = threading.Event()
    further: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        """Answer."""
        self.close_connection = True
        name = self.path.partition("?")[0]
        self.asked[name] = dict(self.headers.items())
        if name.startswith("/status/"):
            self._headers(int(name.rpartition("/")[2]), {"Content-Length": "2"})
            self.wfile.write(b"no")
        elif name == "/to":
            self._headers(302, {"Location": self.path.partition("?")[2], "Content-Length": "0"})
        else:
            answer: Callable[[], None] = getattr(self, f"_{name.strip('/')}")
            answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _headers(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _content(self) -> None:
        self._headers(200, {"Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT)

    def _empty(self) -> None:
        self._headers(200, {"Content-Length": "0"})

    def _endless(self) -> None:
        self._headers(200, {})
        self.wfile.write(CONTENT)

    def _chunked(self) -> None:
        self._headers(200, {"Transfer-Encoding": "chunked"})
        for at in range(0, len(CONTENT), 100_000):
            chunk = CONTENT[at : at + 100_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        self._headers(200, {"Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT[:-1])

    def _cut_chunked(self) -> None:
        self._headers(200, {"Transfer-Encoding": "chunked"})
        self.wfile.write(b"5\r\nhello\r\n9\r\nwor")

    def _more(self) -> None:
        self._headers(200, {"Content-Length": "5"})
        self.wfile.write(b"he")
        self.further.wait(WAIT)
        self.wfile.write(b"llo world")

    def _silent(self) -> None:
        self.over.wait(WAIT)

    def _stuck(self) -> None:
        self._headers(200, {"Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT[:100_000])
        self.over.wait(WAIT)

    def _drip(self) -> None:
        """Never be silent for long, and never begin to answer."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.over.wait(0.05):
            self.wfile.write(b"X: y\r\n")

    def _noise(self) -> None:
        self.wfile.write(b"\x00\x01 what?\r\n\r\n")


class Server(ThreadingHTTPServer):
    """A server on this machine."""

    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""

    def url(self, path: str) -> str:
        """URL of a path."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    Handler.asked.clear()
    Handler.over.clear()
    Handler.further.clear()
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        Handler.over.set()
        Handler.further.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where downloads go; no part of one is left there."""
    made = tmp_path / "downloads"
    made.mkdir()
    yield made
    assert not list(made.glob("*.part"))


def download(wire: Wire, url: str, destination: Path | str, **more: Any) -> Pairs:
    """Download, and wait for the result."""
    arguments = {"url": url, "destination": str(destination), **more}
    return wire.result(wire.push("web.download", arguments))


def refused(wire: Wire, url: str, destination: Path | str, **more: Any) -> tuple[int, str]:
    """Download what cannot be; return code and message."""
    result = download(wire, url, destination, **more)
    assert result["state"] == "ERROR", result
    return result["code"], json.loads(result["data"])


@pytest.mark.parametrize(
    "path", ["/content", "/endless", "/chunked", "/to?/content", "/to?/to?/chunked"]
)
def test_a_download(wire: Wire, server: Server, folder: Path, path: str) -> None:
    """All of it is there, however the server sends it and wherever it leads."""
    destination = folder / "é file"
    result = download(wire, server.url(path), destination)
    assert (result["state"], json.loads(result["data"])) == ("SUCCESS", str(destination))
    assert hashlib.sha256(destination.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    assert stat.S_IMODE(destination.stat().st_mode) == 0o644
    assert os.listdir(folder) == ["é file"]


def test_what_is_there_is_replaced(wire: Wire, server: Server, folder: Path) -> None:
    """In one step, with the permissions that it has; a link is replaced itself."""
    destination, link = folder / "file", folder / "link"
    destination.write_text("former")
    destination.chmod(0o660)
    link.symlink_to(destination)
    with destination.open() as former:
        assert download(wire, server.url("/content"), destination)["state"] == "SUCCESS"
        assert former.read() == "former"
    assert destination.read_bytes() == CONTENT
    assert stat.S_IMODE(destination.stat().st_mode) == 0o660
    assert download(wire, server.url("/empty"), link)["state"] == "SUCCESS"
    assert (link.is_symlink(), link.read_bytes()) == (False, b"")
    assert destination.read_bytes() == CONTENT


def test_more_than_the_server_said(wire: Wire, server: Server, folder: Path) -> None:
    """What follows the body is none of it."""
    arguments = {"url": server.url("/more"), "destination": str(folder / "file")}
    job = wire.push("web.download", arguments)
    eventually(lambda: [part.stat().st_size for part in folder.iterdir()] == [2], "it writes")
    Handler.further.set()
    assert wire.result(job)["state"] == "SUCCESS"
    assert (folder / "file").read_bytes() == b"hello"


@pytest.mark.parametrize(
    "status, code",
    [
        (404, 404),
        (403, 403),
        (401, 403),
        (400, 500),
        (410, 500),
        (429, 503),
        (500, 503),
        (503, 503),
    ],
)
def test_a_status(wire: Wire, server: Server, folder: Path, status: int, code: int) -> None:
    """It is told; what was there stays as it was."""
    destination = folder / "file"
    destination.write_text("former")
    found, text = refused(wire, server.url(f"/status/{status}?token=secret"), destination)
    assert (found, f"status {status}" in text, "secret" in text) == (code, True, False)
    assert text.startswith("url: ")
    assert destination.read_text() == "former"


@pytest.mark.parametrize("path", ["/cut", "/cut_chunked"])
def test_a_body_that_is_cut(wire: Wire, server: Server, folder: Path, path: str) -> None:
    """It is an error, and no file."""
    code, text = refused(wire, server.url(path), folder / "file")
    assert (code, text.partition(":")[0]) == (503, "url")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("path", ["/silent", "/stuck", "/drip", "/to?/drip"])
def test_a_slow_server(wire: Wire, server: Server, folder: Path, path: str) -> None:
    """It has `timeout` seconds to begin, and may be silent for so long afterwards."""
    began = time.monotonic()
    code, text = refused(wire, server.url(path), folder / "file", timeout=0.3)
    assert (code, text.partition(":")[0]) == (503, "url")
    assert time.monotonic() - began < WAIT / 2
    assert os.listdir(folder) == []


def test_what_is_no_http(wire: Wire, server: Server, folder: Path) -> None:
    """A server that says something else, one that is not there, a name that nobody has."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for url in (
            server.url("/noise"),
            f"http://127.0.0.1:{port}/",
            "http://no-such-host.invalid/",
            server.url("/content").replace("http:", "https:"),
        ):
            code, text = refused(wire, url, folder / "file", timeout=5)
            assert (code, text.partition(":")[0]) == (503, "url")
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:text/plain,x",
        "local_file:///etc/passwd",
        "http:",
        "http:///x",
        "http://[::1/x",
        "http://h:99999/",
        "http://h:x/",
        "http://h:0/",
        "http://h/a b",
        "http://h/\r\nX: y",
        "http://h/é",
        "http://h/\0",
        "http://" + "x" * 300 + "/",
    ],
)
def test_what_is_no_url(wire: Wire, folder: Path, url: str) -> None:
    """Nothing but HTTP is read, local files least of all."""
    code, text = refused(wire, url, folder / "file")
    assert (code, text.partition(":")[0]) == (400, "url")
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "FILE:/etc/passwd"]
)
def test_a_server_that_leads_elsewhere(
    wire: Wire, server: Server, folder: Path, target: str
) -> None:
    """It is followed to HTTP only."""
    code, text = refused(wire, server.url(f"/to?{target}"), folder / "file")
    assert (code, text.partition(":")[0]) == (400, "url")
    assert os.listdir(folder) == []


def test_a_server_that_leads_in_a_circle(wire: Wire, server: Server, folder: Path) -> None:
    """It is left."""
    code, text = refused(wire, server.url("/to?/to"), folder / "file")
    assert (code, "status 302" in text) == (500, True)


def test_user_and_password(wire: Wire, server: Server, folder: Path) -> None:
    """They are for the server that was named, and for no message."""
    url = server.url("/to?/content").replace("//", "//me:pass%40word@", 1)
    assert download(wire, url, folder / "file")["state"] == "SUCCESS"
    sent = Handler.asked["/to"]["Authorization"]
    assert sent == f"Basic {b64encode(b'me:pass@word').decode()}"
    assert "Authorization" not in Handler.asked["/content"]
    code, text = refused(wire, url.replace("/to?/content", "/status/404"), folder / "file")
    assert (code, "pass" in text) == (404, False)


def test_a_destination_that_cannot_be_one(wire: Wire, server: Server, folder: Path) -> None:
    """It is told before the server is asked, if it can be seen."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    (folder / "to-null").symlink_to("/dev/null")
    for destination, code in (
        ("", 400),
        ("a\0", 400),
        (folder, 400),
        (f"{folder}/x/..", 400),
        (folder / "none" / "file", 404),
        (pipe, 406),
        ("/dev/null", 406),
        (folder / "to-null", 406),
    ):
        found, text = refused(wire, server.url("/content"), destination)
        assert (found, text.partition(":")[0]) == (code, "destination"), destination
    assert Handler.asked == {}
    found, text = refused(wire, server.url("/content"), "/sys/x")
    assert (found, text.partition(":")[0]) == (403, "destination")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("timeout", [0, -1, "5", True, 1e9])
def test_what_is_no_timeout(wire: Wire, folder: Path, timeout: object) -> None:
    """It is a bad request."""
    code, text = refused(wire, "http://127.0.0.1/", folder / "file", timeout=timeout)
    assert (code, text.partition(":")[0]) == (400, "timeout")


@pytest.mark.parametrize("path, shows", [("/stuck", True), ("/silent", False), ("/drip", False)])
def test_one_that_is_killed(
    wire: Wire, server: Server, folder: Path, path: str, shows: bool
) -> None:
    """It ends at once, wherever it is, and with its result nothing of it is left."""
    destination = folder / "file"
    destination.write_text("former")
    arguments = {"url": server.url(path), "destination": str(destination)}
    job = wire.push("web.download", arguments)
    eventually(lambda: path in Handler.asked, "the server was asked")
    if shows:
        eventually(lambda: any(part.stat().st_size for part in folder.glob("*.part")), "it writes")
    wire.push("job.kill", {"id": job}, control=True)
    result = wire.result(job, WAIT / 4)
    assert (result["state"], result["code"]) == ("KILLED", 499)
    assert os.listdir(folder) == ["file"]
    assert destination.read_text() == "former"


def test_one_that_has_too_little_time(wire: Wire, server: Server, folder: Path) -> None:
    """`max_time` is for all of it."""
    arguments = {"url": server.url("/stuck"), "destination": str(folder / "file")}
    result = wire.result(wire.push("web.download", arguments, max_time=0.3))
    assert (result["state"], result["code"]) == ("TIMEOUT", 504)
    assert os.listdir(folder) == []


def test_nothing_is_left_open(
    wire: Wire, shared_node: NodeProcess, server: Server, folder: Path
) -> None:
    """Neither connection nor file, however a download ended."""
    node = psutil.Process(shared_node.process.pid)

    def connections() -> list[Any]:
        port = server.server_address[1]
        found = node.net_connections("tcp")
        return [one for one in found if getattr(one.raddr, "port", None) == port]

    for path in ("/content", "/cut", "/status/404", "/status/500", "/to?file:///x", "/noise"):
        download(wire, server.url(path), folder / "file")
    download(wire, server.url("/silent"), folder / "file", timeout=0.1)
    download(wire, server.url("/to?/to"), folder / "file")
    download(wire, server.url("/content"), "/sys/x")
    eventually(lambda: not connections(), "no connection")
    descriptors = f"/proc/{node.pid}/fd"
    for name in os.listdir(descriptors):
        with suppress(FileNotFoundError):
            assert not os.readlink(f"{descriptors}/{name}").startswith(str(folder))
