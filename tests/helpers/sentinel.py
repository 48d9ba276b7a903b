"""A master with replicas, watched by Sentinels, on this machine: real servers."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis

from corex_node.process.embedded import HOST, EmbeddedRedis, find_server
from corex_node.process.watchdog import Watchdog
from tests.helpers.asking import ask
from tests.helpers.eventually import eventually
from tests.helpers.stacked import Stacked

SERVICE = "main"
DOWN_AFTER_MS = 700
_COUNT = 3
_PORTS = range(11_000, 32_000)
_SERVER = {
    "min-replicas-to-write": "1",
    "min-replicas-max-lag": "5",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
}
# Sentinels look every ten seconds, and wait for four times the period in which they publish before
# they turn an old master into a replica; 7.0 and newer let tests say otherwise. The wait must be
# longer than a new master takes to be seen, which is a second, or it is turned back.
_PERIODS = ("INFO-PERIOD", 200, "PUBLISH-PERIOD", 500, "ASK-PERIOD", 200, "PING-PERIOD", 200)


class Sentinel:
    """One Sentinel.

    Attributes:
        port: where it listens, once started.
        tls_port: where it listens with TLS, 0 for nowhere.
    """

    def __init__(self, conf: str, folder: Path, *, tls: bool = False) -> None:
        """Describe it; it is not started yet.

        Args:
            conf: its settings, except for ports.
            folder: of its files, without the random part of the name.
            tls: whether it listens with TLS too.
        """
        self._watchdog = Watchdog([find_server(), "sentinel.conf", "--sentinel"], folder)
        self._conf = conf
        self._tls = tls
        self.port = self.tls_port = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        for port, tls_port in zip(*[iter(random.sample(_PORTS, 20))] * 2, strict=True):
            self.port, self.tls_port = port, tls_port if self._tls else 0
            ports = f"bind {HOST}\nport {port}\n" + f"tls-port {tls_port}\n" * self._tls
            (self._watchdog.folder / "sentinel.conf").write_text(ports + self._conf)
            pid = self._watchdog.start()
            with suppress(AssertionError):
                eventually(partial(self._is, pid), "a Sentinel", seconds=3)
                return
            self._watchdog.reap()  # it could not have the port
        raise AssertionError("no port for a Sentinel")

    def _is(self, pid: int) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.ask("INFO", "server")["process_id"] == pid)
        return False

    def ask(self, *words: Any) -> Any:
        """Say something to it."""
        return ask(self.port, *words)

    def close(self) -> None:
        """End it."""
        self._watchdog.close()


class SentinelTrio(Stacked):
    """A master, two replicas and three Sentinels, from `with` to its end.

    Attributes:
        servers: the first master and its replicas.
        sentinels: those who watch them.
    """

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        """Describe it; nothing is started yet.

        Args:
            settings: more of each server's.
        """
        self._settings = _SERVER | (settings or {})
        super().__init__()
        self.servers: list[EmbeddedRedis] = []
        self.sentinels: list[Sentinel] = []

    @property
    def url(self) -> str:
        """Where the Sentinels are."""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def start(self) -> None:
        """Start the servers, and the Sentinels that watch them."""
        settings = dict(self._settings)
        for _ in range(_COUNT):
            server = EmbeddedRedis(settings=settings)
            self.servers.append(self.stack.enter_context(server))
            settings["replicaof"] = f"{HOST} {self.servers[0].port}"
        conf = (
            f"sentinel monitor {SERVICE} {HOST} {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
            f"sentinel parallel-syncs {SERVICE} 2\n"
        )
        folder = self.servers[0].directory.with_name("sentinel")
        for _ in range(_COUNT):
            sentinel = Sentinel(conf, folder)
            self.sentinels.append(sentinel)
            self.stack.callback(sentinel.close)
            sentinel.start()
            with suppress(redis.ResponseError):
                sentinel.ask("SENTINEL", "DEBUG", *_PERIODS)
        eventually(self.is_sound, "Sentinels and servers know each other", seconds=20)

    def master(self) -> EmbeddedRedis:
        """The server that the Sentinels name."""
        port = int(self._named()[0])
        return next(server for server in self.servers if server.port == port)

    def ask(self, server: EmbeddedRedis, *words: Any) -> Any:
        """Say something to one server."""
        return ask(server.port, *words)

    def is_sound(self) -> bool:
        """Whether there is a master that all Sentinels agree on, with two replicas that follow."""
        named = self._named()
        states = [sentinel.ask("SENTINEL", "MASTER", SERVICE) for sentinel in self.sentinels]
        known = [dict(zip(state[::2], state[1::2], strict=True)) for state in states]
        if named[1:] != named[:-1] or not all(
            one[b"num-other-sentinels"] == b"2"
            and int(one[b"num-slaves"]) >= _COUNT - 1
            and one[b"flags"] == b"master"
            for one in known
        ):
            return False
        role = self.ask(self.master(), "ROLE")
        return bool(role[0] == b"master" and len(role[2]) == _COUNT - 1)

    def failover(self) -> None:
        """Have the Sentinels choose another master, and wait for it."""
        before = self.master()
        self.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
        self.wait_other(before)

    def wait_other(self, before: EmbeddedRedis) -> None:
        """Wait until all Sentinels name another master than that."""
        eventually(
            lambda: all(int(port) != before.port for port in self._named()),
            "another master",
            seconds=20,
        )

    def _named(self) -> list[Any]:
        """Ports of the master, as each Sentinel names it."""
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return [sentinel.ask(*words)[1] for sentinel in self.sentinels]
