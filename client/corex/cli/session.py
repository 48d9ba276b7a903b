"""The options of `corex` itself, and the client made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from corex.cli.exits import INTERRUPTED

if TYPE_CHECKING:
    from corex.profiles.choice import Place
    from corex.profiles.profile import Profile
    from corex.sync import Client

_WITHOUT_FILE = frozenset({"node", "dev"})
"""Commands that make nodes: these have settings of their own, and no user's."""


def use_profile(context: typer.Context, name: str | None) -> None:
    """Choose the profile before the command begins; its defaults are those of the command then.

    Raises:
        ConfigError: the file, or the profile, cannot be used.
    """
    from corex.cli.defaults import default_map
    from corex.cli.render import say
    from corex.profiles.choice import choose_profile, load_file

    named = name if _is_option(context, "profile") else None
    makes_node = context.invoked_subcommand in _WITHOUT_FILE
    if makes_node and not named:
        return
    file = load_file(needed=bool(name))
    profile = choose_profile(file, named, "--profile")
    for warning in (*file.warnings, *(profile.warnings() if profile is not None else ())):
        say(f"warning: {warning}")
    context.obj = profile
    if profile is None:
        return
    context.default_map = default_map(context, profile)
    if makes_node:
        # The node's command looks at these two. It hands them on in memory, not as arguments.
        place = place_of(context)
        context.params.update(url=place.url, namespace=place.namespace)


def place_of(context: typer.Context) -> Place:
    """Find where Redis is.

    Raises:
        ConfigError: the profile's URL or password cannot be had.
    """
    from corex.profiles.choice import find_place

    root = context.find_root()
    url, namespace = (
        root.params.get(name) if _is_option(root, name) else None for name in ("url", "namespace")
    )
    profile: Profile | None = root.obj
    return find_place(url, namespace, profile)


def _is_option(root: Any, name: str) -> bool:
    """Whether a value was given as an option: one of the environment has its own rank."""
    source = root.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextlib.contextmanager
def client_of(context: typer.Context) -> Iterator[Client]:
    """Make the client of a command; Ctrl-C in its body ends the command quietly.

    Raises:
        ConfigError: the URL, the namespace or the profile cannot be used.
    """
    from corex.cli.identity import client_name
    from corex.sync import Client

    place = place_of(context)
    client = Client(place.url, namespace=place.namespace, name=client_name())
    try:
        with client:
            yield client
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt
