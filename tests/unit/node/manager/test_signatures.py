"""Arguments of commands, read from signatures."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest

from corex_node.manager.context import Context
from corex_node.manager.limits import Limits
from corex_node.manager.registry import (
    Entry,
    Kind,
    NoArguments,
    Program,
    Registry,
    TakenNameError,
)
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError
from corex_shared.models import JobResult
from corex_shared.states import JobState
from tests.unit.node.manager.bench import QuickBench

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Point(msgspec.Struct, forbid_unknown_fields=True):
    """A type of arguments."""

    x: int
    y: int = 0


def _entry(function: Callable[..., Any], arguments: Any = None, **options: Any) -> Entry:
    registry = Registry()
    registry.command("c", arguments, **options)(function)
    entry = registry.get("c")
    assert entry is not None
    return entry


def _call(function: Callable[..., Any], asked: dict[str, Any] | None, arguments: Any = None) -> Any:
    entry = _entry(function, arguments)
    return entry.bind(entry.parse(asked), "the context")()


# -- how functions get them -----------------------------------------------------------------------


def plain(name: str, port: Port = 80, *, tags: list[str] | None = None) -> list[object]:
    return [name, port, tags]


def with_default_list(names: list[str] = []) -> list[str]:  # noqa: B006
    names.append("more")
    return names


def untyped(value, other=1):  # type: ignore[no-untyped-def]
    return [value, other]


def nothing() -> str:
    return "nothing"


def one_of(kind: Literal["a", "b"], size: int | str) -> list[object]:
    return [kind, size]


def nested(points: list[Point], limits: dict[str, Port]) -> list[object]:
    return [[point.x for point in points], limits]


@pytest.mark.parametrize(
    "function, asked, answer",
    [
        (plain, {"name": "web"}, ["web", 80, None]),
        (plain, {"name": "web", "port": 1, "tags": ["t"]}, ["web", 1, ["t"]]),
        (plain, {"name": "", "tags": None}, ["", 80, None]),
        (untyped, {"value": [1, {"a": None}]}, [[1, {"a": None}], 1]),
        (untyped, {"value": None, "other": "x"}, [None, "x"]),
        (nothing, None, "nothing"),
        (nothing, {}, "nothing"),
        (one_of, {"kind": "b", "size": "big"}, ["b", "big"]),
        (one_of, {"kind": "a", "size": 7}, ["a", 7]),
        (nested, {"points": [{"x": 1}], "limits": {"n": 5}}, [[1], {"n": 5}]),
    ],
)
def test_each_parameter_is_an_argument(
    function: Callable[..., Any], asked: dict[str, Any] | None, answer: object
) -> None:
    """By its name, of its type, with its default."""
    assert _call(function, asked) == answer


def test_a_default_is_each_calls_own() -> None:
    """One that a call changes is as it was for the next."""
    entry = _entry(with_default_list)
    answers = [entry.bind(entry.parse({}), None)() for _ in range(3)]
    assert answers == [["more"]] * 3


@pytest.mark.parametrize(
    "function, asked, named",
    [
        (plain, None, "name"),
        (plain, {"name": 5}, "name"),
        (plain, {"name": None}, "name"),
        (plain, {"name": "a", "port": "80"}, "port"),
        (plain, {"name": "a", "port": 0}, "port"),
        (plain, {"name": "a", "port": 65536}, "port"),
        (plain, {"name": "a", "port": 1.5}, "port"),
        (plain, {"name": "a", "port": True}, "port"),
        (plain, {"name": "a", "tags": "t"}, "tags"),
        (plain, {"name": "a", "tags": [1]}, "tags[0]"),
        (plain, {"name": "a", "more": 1}, "more"),
        (plain, {"name": "a", "context": 1}, "context"),
        (nothing, {"x": 1}, "x"),
        (one_of, {"kind": "c", "size": 1}, "kind"),
        (one_of, {"kind": "a", "size": []}, "size"),
        (nested, {"points": [{"x": "1"}], "limits": {}}, "points[0].x"),
        (nested, {"points": [{"y": 1}], "limits": {}}, "points[0].x"),
        (nested, {"points": [{"x": 1, "z": 2}], "limits": {}}, "points[0].z"),
        (nested, {"points": [], "limits": {"n": 0}}, "limits[...]"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(
    function: Callable[..., Any], asked: dict[str, Any] | None, named: str
) -> None:
    """Wrong, missing, unknown, beyond its bounds; the function is not called."""
    with pytest.raises(BadRequestError) as caught:
        _call(function, asked)
    assert str(caught.value).startswith(f"{named}: ")


# -- the context ----------------------------------------------------------------------------------


def first(context: Context, x: int) -> list[object]:
    return [context, x]


def last(x: int, context: Context) -> list[object]:
    return [context, x]


def between(x: int, context: Context, y: int = 1) -> list[object]:
    return [context, x + y - 1]


def by_name(x: int, *, context: Context) -> list[object]:
    return [context, x]


def struct_first(context: Context, point: Point) -> list[object]:
    return [context, point.x]


def struct_last(point: Point, context: Context) -> list[object]:
    return [context, point.x]


def struct_by_name(point: Point, *, context: Context) -> list[object]:
    return [context, point.x]


def positional(context: Context, point: Point, /) -> list[object]:
    return [context, point.x]


@pytest.mark.parametrize(
    "function",
    [first, last, between, by_name, struct_first, struct_last, struct_by_name, positional],
)
def test_the_context_may_be_anywhere(function: Callable[..., Any]) -> None:
    """Among named arguments as beside a struct."""
    assert _entry(function).wants_context
    assert _call(function, {"x": 7}) == ["the context", 7]


@pytest.mark.parametrize("function", [struct_first, struct_last, struct_by_name, positional])
def test_the_context_may_be_anywhere_beside_a_type_that_is_given(
    function: Callable[..., Any],
) -> None:
    """And beside a dictionary."""
    assert _call(function, {"x": 7}, Point) == ["the context", 7]

    def whatever(arguments: dict[str, Any], context: Context) -> list[object]:
        return [context, arguments]

    assert _call(whatever, {"any": [1]}, dict) == ["the context", {"any": [1]}]


def test_who_does_not_ask_for_the_context_does_not_get_it() -> None:
    """An argument of that name is unknown."""
    assert not _entry(plain).wants_context
    assert _call(lambda _: 5, None) == 5
    assert _entry(lambda _: 5).arguments is NoArguments


# -- kinds ----------------------------------------------------------------------------------------


async def later(x: int) -> int:
    return x + 1


class Caller:
    """Objects that are called."""

    def method(self, x: int) -> int:
        return x + 2

    def __call__(self, x: int) -> int:
        return x + 3


class LaterCaller:
    """Objects whose call is a coroutine."""

    async def __call__(self, x: int) -> int:
        return x + 4


@pytest.mark.parametrize(
    "function, kind",
    [
        (plain, Kind.THREAD),
        (later, Kind.ASYNC),
        (Caller().method, Kind.THREAD),
        (Caller(), Kind.THREAD),
        (LaterCaller(), Kind.ASYNC),
        (functools.partial(later), Kind.ASYNC),
        (lambda _: None, Kind.THREAD),
    ],
)
def test_the_kind_is_that_of_what_is_called(function: Callable[..., Any], kind: Kind) -> None:
    """Methods, objects, partial calls: coroutine functions run on the loop."""
    assert _entry(function, dict).kind is kind
    assert _entry(function, dict, inline=True).kind is (kind if kind is Kind.ASYNC else Kind.INLINE)


@pytest.fixture
async def bench() -> AsyncIterator[QuickBench]:
    """A manager of commands of every kind."""
    registry = Registry()
    registry.command("plain")(plain)
    registry.command("later")(later)
    registry.command("method")(Caller().method)
    registry.command("object")(Caller())
    registry.command("later.object")(LaterCaller())
    registry.command("inline", inline=True)(plain)
    made = QuickBench(registry, Limits())
    made.start()
    yield made
    await made.close()


async def _ask(bench: QuickBench, command: str, **arguments: Any) -> JobResult:
    return await bench.result(bench.push(command, arguments))


@pytest.mark.parametrize(
    "command, arguments, answer",
    [
        ("plain", {"name": "a"}, ["a", 80, None]),
        ("inline", {"name": "a", "port": 5}, ["a", 5, None]),
        ("later", {"x": 1}, 2),
        ("method", {"x": 1}, 3),
        ("object", {"x": 1}, 4),
        ("later.object", {"x": 1}, 5),
    ],
)
async def test_every_kind_is_called_with_its_arguments(
    bench: QuickBench, command: str, arguments: dict[str, Any], answer: object
) -> None:
    """And answers."""
    result = await _ask(bench, command, **arguments)
    assert (result.state, json.loads(result.data)) == (JobState.SUCCESS, answer)


@pytest.mark.parametrize("command", ["plain", "inline", "later"])
async def test_a_wrong_argument_is_a_400(bench: QuickBench, command: str) -> None:
    """Before anything runs."""
    result = await _ask(bench, command, nmae="a")
    assert (result.state, result.code) == (JobState.ERROR, 400)
    assert json.loads(result.data).startswith("nmae: ")


# -- what cannot be registered --------------------------------------------------------------------


def star(*names: str) -> None: ...


def stars(**named: str) -> None: ...


def some_stars(name: str, **named: str) -> None: ...


def context_stars(name: str, **context: str) -> None: ...


def only_positions(name: str, /) -> None: ...


def context_by_position(context: Context, /, name: str) -> None: ...


def too_many(point: Point, other: int, context: Context) -> None: ...


def unknown_type(name: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821


class Odd:
    """No type of the wire."""


def odd_type(name: Odd) -> None: ...


def odd_default(names: list[str] = ["a"]) -> None: ...  # noqa: B006


@pytest.mark.parametrize(
    "function",
    [
        star,
        stars,
        some_stars,
        context_stars,
        only_positions,
        context_by_position,
        unknown_type,
        odd_type,
        odd_default,
    ],
)
def test_a_function_that_cannot_be_called_by_names_is_refused(
    function: Callable[..., Any],
) -> None:
    """As it is registered, not when somebody calls it; nothing is registered."""
    registry = Registry()
    with pytest.raises(TypeError, match=r"^c: "):
        registry.command("c")(function)
    assert "c" not in registry


def test_a_type_that_is_not_at_the_top_of_its_module_is_refused() -> None:
    """With a reason: with postponed annotations it cannot be found."""

    class Local(msgspec.Struct):
        x: int

    def local(name: Local) -> None: ...

    with pytest.raises(TypeError, match=r"not known at the top of its module: .*Local"):
        Registry().command("c")(local)


@pytest.mark.parametrize("function", [nothing, too_many])
def test_a_function_that_does_not_take_the_type_that_is_given_is_refused(
    function: Callable[..., Any],
) -> None:
    """One argument, and the context if it wants it."""
    with pytest.raises(TypeError, match=r"^c: it cannot be called"):
        Registry().command("c", Point)(function)


# -- names, schemas, programs ---------------------------------------------------------------------


def test_including_what_clashes_adds_nothing() -> None:
    """And says which name it was."""
    one, other = Registry(), Registry()
    one.command("b")(nothing)
    for name in ("a", "b", "c"):
        other.command(name)(nothing)
    with pytest.raises(TakenNameError, match="'b'"):
        one.include(other)
    assert one.names() == ["b"]
    third = Registry()
    third.include(one)
    third.command("z")(nothing)
    assert (third.names(), one.names()) == (["b", "z"], ["b"])


@pytest.mark.parametrize("add", ["command", "program", "factory"])
def test_a_name_is_taken_once_whatever_for(add: str) -> None:
    """The one that was there stays."""
    registry = Registry()
    registry.command("c")(nothing)
    before = registry.get("c")
    with pytest.raises(TakenNameError):
        getattr(registry, add)("c")(plain)
    assert registry.get("c") is before


def test_a_decorated_function_is_as_it_was() -> None:
    """It can be called, and registered under another name."""
    registry = Registry()
    assert registry.command("a")(plain) is plain
    assert registry.command("b")(plain) is plain
    assert registry.factory("f")(plain) is plain


def test_a_schema_tells_names_types_defaults_and_bounds() -> None:
    """So that tools can ask for the right thing."""
    schema = _entry(plain).schema()
    [definition] = schema["$defs"].values()
    assert definition["required"] == ["name"]
    assert definition["properties"]["port"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
        "default": 80,
    }
    assert definition["additionalProperties"] is False
    assert _entry(lambda _: None, dict).schema() == {"type": "object"}


def test_a_program_may_have_named_arguments_too() -> None:
    """They are checked before anything is started."""
    registry = Registry()

    @registry.program("greet")
    def greet(name: str, times: Port = 1) -> Program:
        return Program(ProgramSpec(("echo", *[name] * times)))

    entry = registry.get("greet")
    assert entry is not None
    assert entry.kind is Kind.PROGRAM
    made = entry.bind(entry.parse({"name": "you", "times": 2}), None)()
    assert made.spec.argv == ("echo", "you", "you")
    with pytest.raises(BadRequestError, match=r"^times: "):
        entry.parse({"name": "you", "times": 0})
