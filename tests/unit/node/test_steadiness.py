"""Who may take others for gone."""

from __future__ import annotations

import pytest

from corex_node.steadiness import Steadiness

LEASE, BEAT = 15.0, 5.0


def _beats(steadiness: Steadiness, *times: float) -> Steadiness:
    for time in times:
        steadiness.renewed(time)
    return steadiness


def test_not_before_a_whole_lease() -> None:
    """Others had the time to be heard then."""
    steadiness = _beats(Steadiness(LEASE, BEAT, 100), 105, 110, 114.9)
    assert not steadiness.holds(114.9)
    assert steadiness.holds(115)


def test_not_after_a_gap() -> None:
    """Redis was away, perhaps: everybody has a whole lease again to be heard."""
    steadiness = _beats(Steadiness(LEASE, BEAT, 100), 105, 110, 115, 120)
    assert steadiness.holds(130)
    assert not steadiness.holds(130.1)
    _beats(steadiness, 130.1, 135, 140, 145)
    assert not steadiness.holds(145)
    assert steadiness.holds(145.1)


def test_a_late_beat_is_no_gap() -> None:
    """Redis was not away for so long that another's lease could have ended."""
    steadiness = _beats(Steadiness(LEASE, BEAT, 100), 105, 115, 124.9)
    assert steadiness.holds(125)


@pytest.mark.parametrize("beat", [1.0, 7.5])
def test_whatever_the_settings_it_can_be_had(beat: float) -> None:
    """A heartbeat is at most half a lease."""
    times = [100 + beat * number for number in range(1, 30)]
    assert _beats(Steadiness(LEASE, beat, 100), *times).holds(times[-1] + beat)
