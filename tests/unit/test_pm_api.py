"""docs/pm-api.md: every name of its table can be imported, every test of it exists."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "pm-api.md"
_ROW = re.compile(r"^\| `(?P<symbols>[^|]*)` \| (?P<names>[^|]*) \| (?P<tests>[^|]*) \|$")
_CODE = re.compile(r"`([^`]+)`")

_SYMBOLS = re.findall(
    r"\S+",
    """
New Start MaxJobs Command Tags JobFlags M MustArguments
Job Job.Command Job.Signal Job.Process Job.Wait Job.WaitContext Job.StartTime Job.Subscribe
Job.Unschedule Jobs JobOf Kill Killall Shutdown Run RunFactory System Internal RunSlice
JobResult NewJobResult JobState State* Streams
Process ProcessFactory GetProcessFactory Signaler Stater PIDer GetPID
Register RegisterBuiltIn RegisterBuiltInWithCtx RegisterExtension
NewSystemProcess SystemCommandArguments CommandSystem
NewInternalProcess NewInternalProcessWithCtx Runnable RunnableWithCtx Context Context.Log
Context.Message extension
NewContainerProcess ContainerCommandArguments ContainerProcess Channel
Handler AddHandle PreHandler ResultHandler MessageHandler StatsHandler
RunnerHook NOOPHook DelayHook ExitHook PIDHook MatchHook StreamHook
PIDTable TestingPIDTable ProcessStats Aggregate AggreagteAverage AggreagteDifference Tag
Error BadRequestError NotFoundError NotAcceptableError PreconditionFailedError InternalError
ServiceUnavailableError RunError SetUnprivileged Queue
StandardStreamBufferSize GenericStreamBufferSize
""",
)
"""What 0-core's package offers."""


class _Row(NamedTuple):
    symbols: list[str]
    names: list[str]
    tests: list[str]


def _rows() -> list[_Row]:
    found = [_ROW.match(line) for line in _PAGE.read_text().splitlines()]
    return [
        _Row(
            match["symbols"].replace("`", "").split(", "),
            _CODE.findall(match["names"]),
            _CODE.findall(match["tests"]),
        )
        for match in found
        if match
    ]


def _resolve(name: str) -> object:
    """Import the longest module that a dotted name begins with, then follow attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            slots = getattr(value, "__struct_fields__", ()) or getattr(
                value, "__dataclass_fields__", ()
            )
            value = part if part in slots else getattr(value, part)
        return value
    raise ModuleNotFoundError(name)


def _tests_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_symbol_has_its_row() -> None:
    """None is missing, none is there twice, none is made up."""
    listed = [symbol for row in _rows() for symbol in row.symbols]
    assert sorted(listed) == sorted(_SYMBOLS)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.symbols[0])
def test_every_name_can_be_imported(row: _Row) -> None:
    """Each symbol has at least one name, and it is there."""
    assert row.names
    for name in row.names:
        assert _resolve(name) is not None


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.symbols[0])
def test_every_test_exists(row: _Row) -> None:
    """Each symbol has at least one test, and it is there."""
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert name in _tests_of(_ROOT / "tests" / path), test
