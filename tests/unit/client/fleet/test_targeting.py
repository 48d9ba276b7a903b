"""Which nodes a run is for."""

from __future__ import annotations

from typing import Any

import pytest

from corex.fleet.targeting import Chosen, make_selection, select
from corex_shared.errors import ConfigError, InvalidIdError, NoSuchNodeError
from corex_shared.models import NodeInfo

NODES = [
    NodeInfo("db-1", alive=True, last_seen=1, labels={"zone": "us"}),
    NodeInfo("gone", alive=False, last_seen=7),
    NodeInfo("web-0", alive=False, last_seen=8),
    NodeInfo("web-1", alive=True, last_seen=1, labels={"zone": "eu"}, groups=["build", "x"]),
    NodeInfo("web-2", alive=True, last_seen=1, labels={"zone": "eu", "role": "front"}),
]


def chosen(*targets: str, **narrowed: Any) -> list[str]:
    """Name what is chosen."""
    return [one.name for one in select(make_selection(targets, **narrowed), NODES)]


@pytest.mark.parametrize(
    "targets, narrowed, names",
    [
        (["web-1"], {}, ["web-1"]),
        (["web-*"], {}, ["web-0", "web-1", "web-2"]),
        (["*"], {}, ["db-1", "gone", "web-0", "web-1", "web-2"]),
        (["web-2, web-*", "db-1", "web-2"], {}, ["web-2", "web-0", "web-1", "db-1"]),
        (["gone"], {}, ["gone"]),
        (["zone=eu"], {}, ["web-1", "web-2"]),
        (["@build", "web-1"], {}, ["@build", "web-1"]),
        (["web-*"], {"labels": {"zone": "eu"}}, ["web-1", "web-2"]),
        ([], {"labels": {"zone": "eu", "role": "front"}}, ["web-2"]),
        ([], {"groups": "build"}, ["web-1"]),
        (["*"], {"groups": ["none", "x"]}, ["web-1"]),
    ],
)
def test_targets(targets: list[str], narrowed: dict[str, Any], names: list[str]) -> None:
    """In the order of the parts, each once, also those that are away."""
    assert chosen(*targets, **narrowed) == names


def test_it_is_known_who_is_away_and_since_when() -> None:
    """So that nothing is pushed there."""
    assert select(make_selection(["web-[01]"]), NODES) == [
        Chosen("web-0", False, 8),
        Chosen("web-1", True, 1),
    ]


@pytest.mark.parametrize(
    "targets, narrowed",
    [
        (["web-9"], {}),
        (["web-1", "x*"], {}),
        (["zone=none"], {}),
        (["@none"], {}),
        (["gone"], {"labels": {"zone": "eu"}}),
        ([], {"groups": "none"}),
    ],
)
def test_what_names_nobody(targets: list[str], narrowed: dict[str, Any]) -> None:
    """One part is enough."""
    with pytest.raises(NoSuchNodeError):
        chosen(*targets, **narrowed)


@pytest.mark.parametrize(
    "targets, narrowed, error",
    [
        ([], {}, ConfigError),
        (["a,,b"], {}, ConfigError),
        ([None], {}, ConfigError),
        (["@x"], {"groups": "x"}, ConfigError),
        (["*"], {"labels": {"a": None}}, ConfigError),
        (["a b"], {}, InvalidIdError),
        (["*"], {"groups": "a b"}, InvalidIdError),
    ],
)
def test_what_makes_no_sense(
    targets: list[Any], narrowed: dict[str, Any], error: type[Exception]
) -> None:
    """It is refused before anybody is asked."""
    with pytest.raises(error):
        make_selection(targets, **narrowed)
