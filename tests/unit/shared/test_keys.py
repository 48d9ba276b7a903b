"""Keys as they are spelled on the wire."""

from __future__ import annotations

import pytest

from corex_shared.errors import InvalidIdError
from corex_shared.keys import Keys

keys = Keys()


def test_every_key_is_spelled_as_the_protocol_says() -> None:
    """The names are those that other programs use."""
    assert keys.commands("n") == "corex:{node:n}:commands"
    assert keys.control("n") == "corex:{node:n}:control"
    assert keys.claimed("n") == "corex:{node:n}:claimed"
    assert keys.presence("n") == "corex:{node:n}:presence"
    assert keys.rejected("n") == "corex:{node:n}:rejected"
    assert keys.reaper("n") == "corex:{node:n}:reaper"
    assert keys.logger("n", "q") == "corex:{node:n}:logger:q"
    assert keys.logged("n", "q") == "corex:{node:n}:logged:q"
    assert keys.state("j") == "corex:{job:j}:state"
    assert keys.result("j") == "corex:{job:j}:result"
    assert keys.log("j") == "corex:{job:j}:log"
    assert keys.stream("j") == "corex:{job:j}:stream"
    assert keys.node_log("n") == "corex:log:n"
    assert keys.nodes() == "corex:nodes"
    assert keys.inbox("c") == "corex:{client:c}:inbox"
    assert keys.run_record("r") == "corex:{run:r}:record"
    assert keys.run_journal("r") == "corex:{run:r}:journal"
    assert keys.run_driver("r") == "corex:{run:r}:driver"
    assert keys.run_token("r") == "corex:{run:r}:token"
    assert keys.run_cancel("r") == "corex:{run:r}:cancel"


def test_another_namespace() -> None:
    """Several fleets share one Redis."""
    assert Keys("blue").state("j") == "blue:{job:j}:state"


@pytest.mark.parametrize("namespace", ["", "a b", "a{b}", "*"])
def test_a_namespace_is_an_identifier(namespace: str) -> None:
    """Anything else is refused before it is part of a key."""
    with pytest.raises(InvalidIdError, match="namespace"):
        Keys(namespace)


@pytest.mark.parametrize(
    "names", [("commands", "control", "claimed", "presence", "rejected", "reaper")]
)
def test_keys_of_a_node_are_in_one_slot(names: tuple[str, ...]) -> None:
    """What is moved together has one hash tag."""
    tags = {getattr(keys, name)("n").partition("{")[2].partition("}")[0] for name in names}
    assert tags == {"node:n"}


def test_keys_of_a_subscriber_are_in_their_nodes_slot() -> None:
    """Two names never give one key, whatever they are."""
    for queue in ("q", "a:logged:b"):
        assert keys.logger("n", queue).startswith("corex:{node:n}:")
        assert keys.logged("n", queue).startswith("corex:{node:n}:")
    assert keys.logger("n", "q:logged") != keys.logged("n", "q")


def test_keys_of_a_job_are_in_one_slot() -> None:
    """The same holds for a job."""
    names = ("state", "result", "log", "stream")
    tags = {getattr(keys, name)("j").partition("{")[2].partition("}")[0] for name in names}
    assert tags == {"job:j"}
