"""Commands by name, and their arguments."""

from __future__ import annotations

import msgspec
import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.context import Context
from corex_node.manager.registry import Kind, NoArguments, Registry, TakenNameError
from corex_shared.errors import BadRequestError


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of a command of these tests."""

    name: str
    count: int = 1
    inner: dict[str, int] | None = None


def test_the_kind_follows_the_function() -> None:
    """Coroutines run on the loop, others in a thread unless they never wait."""
    registry = Registry()

    async def waits(_: NoArguments) -> None:
        """Wait."""

    def plain(context: Context, _: NoArguments) -> None:
        """Do nothing."""

    registry.command("waits")(waits)
    registry.command("plain")(plain)
    registry.command("inline", inline=True, repeatable=True)(plain)
    entries = [registry.get(name) for name in registry.names()]
    assert [entry and (entry.name, entry.kind) for entry in entries] == [
        ("inline", Kind.INLINE),
        ("plain", Kind.THREAD),
        ("waits", Kind.ASYNC),
    ]
    assert [entry and entry.wants_context for entry in entries] == [True, True, False]
    assert [entry and entry.repeatable for entry in entries] == [True, False, False]


def test_a_name_is_taken_once() -> None:
    """The second of a name is refused."""
    registry = standard_registry()
    with pytest.raises(TakenNameError, match=r"core\.ping"):
        registry.command("core.ping")(lambda _: None)


def test_names() -> None:
    """Those of the standard are there, unknown ones are not."""
    registry = standard_registry()
    assert {"core.ping", "core.system", "bash", "job.list", "job.kill"} <= set(registry.names())
    assert "bash" in registry
    assert "core.nothing" not in registry
    assert registry.get("core.nothing") is None


@pytest.mark.parametrize(
    "arguments, named",
    [
        (None, "name"),
        ({}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a", "count": "1"}, "count"),
        ({"name": "a", "more": 1}, "more"),
        ({"name": "a", "inner": {"x": "y"}}, "inner[...]"),
    ],
)
def test_a_wrong_argument_is_named_first(arguments: dict[str, object] | None, named: str) -> None:
    """Wrong, missing and unknown arguments are told by name."""
    registry = Registry()
    registry.command("c", Arguments)(lambda _: None)
    entry = registry.get("c")
    assert entry is not None
    with pytest.raises(BadRequestError) as caught:
        entry.parse(arguments)
    assert str(caught.value).startswith(f"{named}: ")


def test_good_arguments() -> None:
    """They become the struct; none at all are like an empty map."""
    registry = Registry()
    registry.command("c", Arguments)(lambda _: None)
    registry.command("none")(lambda _: None)
    with_some, with_none = registry.get("c"), registry.get("none")
    assert with_some is not None
    assert with_none is not None
    assert with_some.parse({"name": "a", "count": 2}) == Arguments("a", 2)
    assert with_none.parse(None) == with_none.parse({}) == NoArguments()
