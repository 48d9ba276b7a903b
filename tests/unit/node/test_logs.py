"""The agent's own log."""

from __future__ import annotations

import json
import logging
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from corex_node import logs
from corex_shared.errors import ConfigError


@pytest.fixture(autouse=True)
def _former_log() -> Iterator[None]:
    former, is_set_up = structlog.get_config(), structlog.is_configured()
    yield
    logs.configure("info", "json")  # closes the file
    structlog.reset_defaults()
    if is_set_up:
        structlog.configure(**former)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of this test, with events of level info and above."""
    path = tmp_path / "log" / "node.log"
    path.parent.mkdir()
    logs.configure("info", "json", str(path))
    return path


def _events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _names(path: Path) -> list[str]:
    return [event["event"] for event in _events(path)]


@pytest.mark.parametrize(
    "level, written",
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_a_level_holds_for_loggers_that_are_bound_already(
    path: Path, level: str, written: list[str]
) -> None:
    """Raised or lowered, it decides what is written from then on."""
    module, bound = structlog.get_logger(), structlog.get_logger().bind()
    module.info("first use")
    logs.set_level(level)
    for logger in (module, bound):
        for name in logs.LEVELS:
            getattr(logger, name)(name)
    assert _names(path) == ["first use", *written, *written]


def test_an_event_that_is_not_written_is_structlogs_own_empty_function(path: Path) -> None:
    """It costs what it costs where the level can never be changed."""
    bound = structlog.get_logger().bind()
    for level in ("debug", "info"):
        logs.set_level(level)
        fixed = structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()])
        assert type(bound).debug is fixed.debug
    bound.debug("hidden")
    assert _names(path) == []


def test_an_event_has_its_fields_level_and_time(path: Path) -> None:
    """Each is one line of JSON."""
    structlog.get_logger().warning("disk.full", mount="/", text="ä\nö")
    [event] = _events(path)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "disk.full", "level": "warning", "mount": "/", "text": "ä\nö"}


def test_a_file_is_appended_to(path: Path) -> None:
    """What an earlier agent wrote stays."""
    structlog.get_logger().info("first")
    logs.configure("info", "json", str(path))
    structlog.get_logger().info("second")
    assert _names(path) == ["first", "second"]
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_for_people_has_no_colours(path: Path) -> None:
    """Escape sequences are for terminals."""
    logs.configure("info", "console", str(path))
    structlog.get_logger().info("node.ready", node="n1")
    assert "node.ready" in path.read_text()
    assert "\x1b" not in path.read_text()


def test_reopening_follows_the_name(path: Path) -> None:
    """What was moved away gets nothing more; bound loggers write to the new file."""
    bound = structlog.get_logger().bind()
    bound.info("before")
    moved = path.rename(path.with_suffix(".1"))
    bound.info("moved")
    logs.reopen()
    bound.info("after")
    assert _names(moved) == ["before", "moved"]
    assert _names(path) == ["after"]


def test_a_file_that_cannot_be_reopened_is_written_on(path: Path) -> None:
    """Nothing is lost because the folder has gone."""
    bound = structlog.get_logger().bind()
    moved = path.parent.rename(path.parent.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        logs.reopen()
    bound.info("still here")
    assert _names(moved / path.name) == ["still here"]


def test_reopening_leaks_no_descriptor(path: Path) -> None:
    """Each takes the place of the former one, and none is for programs that the agent starts."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        logs.reopen()
    assert len(os.listdir("/proc/self/fd")) == before
    [ours] = [fd for fd in Path("/proc/self/fd").iterdir() if _points_to(fd, path)]
    assert not os.get_inheritable(int(ours.name))


def _points_to(link: Path, path: Path) -> bool:
    try:
        return link.readlink() == path
    except OSError:  # the one with which the folder was read
        return False


def test_standard_error_is_reopened_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a file there is nothing to open."""
    logs.configure("info", "json")
    logs.reopen()
    structlog.get_logger().info("said")
    assert json.loads(capfd.readouterr().err)["event"] == "said"


@pytest.mark.parametrize("kind", ["folder", "missing folder", "pipe that nobody reads"])
def test_a_file_that_cannot_be_opened_is_a_wrong_setting(tmp_path: Path, kind: str) -> None:
    """It is told at once, and the log stays what it was."""
    path = tmp_path / "log"
    if kind == "folder":
        path.mkdir()
    elif kind == "missing folder":
        path = path / "node.log"
    else:
        os.mkfifo(path)
    good = tmp_path / "good.log"
    logs.configure("info", "json", str(good))
    with pytest.raises(ConfigError, match=r"logging\.file"):
        logs.configure("info", "json", str(path))
    structlog.get_logger().info("still here")
    assert _names(good) == ["still here"]


def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    """What could not be written is counted, and the count is told when there is room again."""
    path = tmp_path / "node.log"
    path.symlink_to("/dev/full")
    logs.configure("info", "json", str(path))
    bound = structlog.get_logger().bind()
    bound.info("lost")
    bound.error("lost too")
    path.unlink()
    logs.reopen()
    bound.info("room")
    bound.info("again")
    assert _names(path) == ["room", "log.lost", "again"]
    assert _events(path)[1]["lines"] == 2


def test_a_line_that_was_cut_spoils_no_other(path: Path) -> None:
    """A disk that got full within a line leaves the rest of it out; the next is a line again."""
    bound = structlog.get_logger().bind()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        bound.info("cut", text="x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    bound.info("whole")
    cut, whole, lost = path.read_text().splitlines()
    assert len(cut) == 100
    assert json.loads(whole)["event"] == "whole"
    assert json.loads(lost)["lines"] == 1


def test_text_of_any_kind_can_be_written(path: Path) -> None:
    """A name of a file that is no Unicode is no reason to fail."""
    logs.configure("info", "console", str(path))
    structlog.get_logger().info("odd \udcff")
    assert "odd \\udcff" in path.read_text()
