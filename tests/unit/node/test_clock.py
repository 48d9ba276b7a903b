"""The server's time, as a node knows it."""

from __future__ import annotations

import time

import pytest

from corex_node.clock import ServerClock


def test_until_the_server_is_heard_it_is_this_machines_time() -> None:
    assert abs(ServerClock().now_ms() - time.time_ns() // 1_000_000) < 1000


def test_setting_this_machines_clock_does_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands would else expire, or not, until the server is heard again."""
    clock = ServerClock()
    clock.heard(1_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert 1_000_000 <= clock.now_ms() < 1_010_000
