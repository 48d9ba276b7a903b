"""One download by HTTP, in threads. It can be given up from outside at any time."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from msgspec import Struct

from corex_node.builtins.files.part import PartFile, check_destination
from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ForbiddenError,
    InternalError,
    NotFoundError,
    ServiceUnavailableError,
)
from corex_shared.version import __version__

_SCHEMES = ("http", "https")
_CHUNK = 64 * 1024
_LATER = (408, 425, 429)
"""Statuses below 500 that mean "not now"."""

Watch = Callable[[socket.socket], None]


class Source(Struct, frozen=True):
    """Where something is downloaded from.

    Attributes:
        url: without user and password.
        shown: the same for people: what follows `?` may be secret too.
        authorization: header that has user and password, empty when there are none.
    """

    url: str
    shown: str
    authorization: str


def parse_source(url: str) -> Source:
    """Read a URL.

    Raises:
        BadRequestError: it is none, or not of HTTP.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadRequestError(f"url: {error}") from error
    if parts.scheme not in _SCHEMES:
        raise BadRequestError(f"url: {parts.scheme[:40]!r}: http or https expected")
    if not host or port == 0:
        raise BadRequestError("url: it names no host")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadRequestError("url: letters, digits and signs of ASCII expected, others as %XX")
    parts = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return Source(parts.geturl(), _shown(parts), _authorization(urlsplit(url)))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(account.encode()).decode()}"


def _shown(parts: SplitResult) -> str:
    return parts._replace(query="").geturl()


class Fetch:
    """One download: `begin`, then `save`, each in a thread; `give_up` from anywhere.

    There is never a part of a file at the destination, and none beside it when the thread is done.
    """

    def __init__(self, source: Source, destination: str, silence: float) -> None:
        """Prepare it.

        Args:
            source: where it comes from.
            destination: path of the file.
            silence: seconds that the server may say nothing for.
        """
        self._source = source
        self._destination = destination
        self._silence = silence
        self._lock = threading.Lock()
        self._given_up = False
        self._socket: socket.socket | None = None
        self._response: HTTPResponse | None = None

    def begin(self) -> None:
        """Ask the server, and follow it to other places, until it begins to answer.

        Raises:
            NotFoundError: the destination's directory is not there, or the server says so.
            ForbiddenError: the server, or the system, says so.
            BadRequestError: the destination is no path of a file; or the server leads elsewhere
                than to HTTP.
            ServiceUnavailableError: the server cannot be reached, is silent, or says "not now".
            CommandError: another status than success.
        """
        check_destination("destination", self._destination)
        request = urllib.request.Request(
            self._source.url, headers={"User-Agent": f"corex/{__version__}"}
        )
        if self._source.authorization:
            request.add_unredirected_header("Authorization", self._source.authorization)
        try:
            response = _opener(self._watch).open(request, timeout=self._silence)
        except HTTPError as error:
            error.close()
            raise _status_error(self._source.shown, error) from error
        except (OSError, HTTPException, ValueError) as error:
            raise _failure(self._source.shown, error) from error
        self._keep(response)

    def save(self) -> None:
        """Write what the server sends to the destination, which is there when all of it has come.

        Raises:
            ServiceUnavailableError: the server is silent, or ended too early.
            CommandError: the file cannot be written.
        """
        response = self._response
        assert response is not None
        with response:
            part = PartFile("destination", self._destination)
            try:
                self._receive(response, part)
                part.sync()
                self._check_wanted()
            except BaseException:
                part.discard()
                raise
        part.finish()

    def give_up(self) -> None:
        """Have whatever thread works on it end soon. Never waits."""
        with self._lock:
            self._given_up = True
            connected = self._socket
        if connected is not None:
            # A thread that waits for the server wakes up. Not the method of a TLS socket, which
            # changes what that thread works with.
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of a server that has begun to answer. Not while a thread works on it."""
        if self._response is not None:
            self._response.close()

    def _watch(self, connected: socket.socket) -> None:
        """Note the connection that is waited on."""
        with self._lock:
            self._socket = connected
        self._check_wanted()

    def _keep(self, response: HTTPResponse) -> None:
        self._response = response
        if self._given_up:
            response.close()
            self._check_wanted()

    def _check_wanted(self) -> None:
        if self._given_up:
            raise CommandError("stopped")

    def _receive(self, response: HTTPResponse, part: PartFile) -> None:
        expected = response.length
        received = 0
        while expected is None or received < expected:
            try:
                left = _CHUNK if expected is None else min(_CHUNK, expected - received)
                chunk = response.read1(left)
            except (OSError, HTTPException, ValueError) as error:
                raise _failure(self._source.shown, error) from error
            self._check_wanted()
            if not chunk:
                break
            part.write(chunk)
            received += len(chunk)
        if expected is not None and received < expected:
            raise ServiceUnavailableError(
                f"url: {self._source.shown}: it ended after {received} of {expected} bytes"
            )


class _Connection(HTTPConnection):
    """A connection that somebody else may end."""

    def __init__(self, watch: Watch, host: str, **options: Any) -> None:
        self._watch = watch
        super().__init__(host, **options)

    def connect(self) -> None:
        super().connect()
        self._watch(self.sock)


class _SafeConnection(HTTPSConnection):
    """The same with TLS."""

    def __init__(self, watch: Watch, host: str, **options: Any) -> None:
        self._watch = watch
        super().__init__(host, **options)

    def connect(self) -> None:
        super().connect()
        self._watch(self.sock)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._connection = partial(_Connection, watch)

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connection, request)


class _Safe(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._connection = partial(_SafeConnection, watch)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connection, request, context=ssl.create_default_context())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTP, and no others."""

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
    ) -> Any:
        """See where it leads."""
        location = headers.get("location") or headers.get("uri") or ""
        scheme = urlsplit(urljoin(req.full_url, location)).scheme
        if scheme not in _SCHEMES:
            fp.close()
            raise BadRequestError(f"url: it leads to {scheme[:40]!r}: http or https expected")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(watch: Watch) -> urllib.request.OpenerDirector:
    """Make what speaks HTTP only: the usual opener reads local files too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(watch),
        _Safe(watch),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _status_error(url: str, error: HTTPError) -> CommandError:
    text = f"url: {url}: status {error.code} {error.reason}"
    if error.code == http.HTTPStatus.NOT_FOUND:
        return NotFoundError(text)
    if error.code in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return ForbiddenError(text)
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _LATER:
        return ServiceUnavailableError(text)
    return InternalError(text)


def _failure(url: str, error: Exception) -> CommandError:
    """Tell why there was no answer."""
    reason = error.reason if isinstance(error, URLError) else error
    text = f"url: {url}: {reason or type(error).__name__}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return InternalError(text)
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return BadRequestError(text)
    return ServiceUnavailableError(text)
