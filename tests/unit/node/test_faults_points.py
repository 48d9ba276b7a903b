"""Points at which a test has the agent die: armed by name, passed by all others."""

from __future__ import annotations

import signal

import pytest

from corex_node import faults
from corex_node.faults import CLAIMED, ENDED, Faults
from corex_shared.errors import ConfigError


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signals that would have been raised."""
    found: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", found.append)
    return found


def test_no_setting_lets_every_point_pass(raised: list[int]) -> None:
    points = Faults()
    points.arm("")
    for point in faults.POINTS:
        points.reach(point)
    assert raised == []


def test_the_point_kills_when_it_is_passed_for_the_count_th_time(raised: list[int]) -> None:
    points = Faults()
    points.arm(f"{CLAIMED}:3")
    points.reach(ENDED)
    points.reach(CLAIMED)
    points.reach(CLAIMED)
    assert raised == []
    points.reach(CLAIMED)
    assert raised == [signal.SIGKILL]


def test_an_agent_that_is_to_be_stopped_passes_later(raised: list[int]) -> None:
    points = Faults()
    points.arm(f"{CLAIMED}:2:stop")
    for _ in range(4):
        points.reach(CLAIMED)
    assert raised == [signal.SIGSTOP]


@pytest.mark.parametrize(
    "setting",
    [
        "nowhere",
        "claimed:x",
        "claimed:-1",
        ":2",
        "claimed:",
        "claimed:1:",
        "claimed:1:go",
        "claimed:1:stop:",
    ],
)
def test_what_names_no_point_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="COREX_FAULT"):
        Faults().arm(setting)
