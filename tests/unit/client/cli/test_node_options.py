"""Where `corex node run` takes its Redis and its namespace from."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from corex.cli.app import app
from corex_node import cli
from corex_node.config import Config

ALL, NODE, OPTION = "redis://all", "redis://node", "redis://option"


@pytest.mark.parametrize(
    "environ, options, url, namespace",
    [
        ({"COREX_URL": ALL, "COREX_NAMESPACE": "all"}, [], ALL, "all"),
        (
            {
                "COREX_URL": ALL,
                "COREX_NAMESPACE": "all",
                "COREX_NODE_URL": NODE,
                "COREX_NODE_NAMESPACE": "mine",
            },
            [],
            NODE,
            "mine",
        ),
        (
            {"COREX_URL": ALL, "COREX_NODE_URL": NODE, "COREX_NODE_NAMESPACE": "mine"},
            ["--url", OPTION, "--namespace", "option"],
            OPTION,
            "option",
        ),
    ],
    ids=["of all programs", "the node's own", "options"],
)
def test_options_come_before_the_nodes_variables_and_these_before_those_of_all_programs(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    options: list[str],
    url: str,
    namespace: str,
) -> None:
    """A machine whose users have `COREX_URL` set does not run its node as one of them."""
    for variable in ("COREX_URL", "COREX_NAMESPACE", "COREX_NODE_URL", "COREX_NODE_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    served: list[Config] = []
    monkeypatch.setattr(cli, "replace_process", served.append)
    result = CliRunner().invoke(app, [*options, "node", "run", "--id", "n1"])
    assert result.exit_code == 0, result.output
    assert (served[0].main.url, served[0].main.namespace) == (url, namespace)


@pytest.mark.parametrize(
    "environ, options, source",
    [
        ({}, ["node", "run", "--url", "foo://x"], "options"),
        ({}, ["--url", "foo://x", "node", "run"], "options"),
        ({"COREX_URL": "foo://x"}, ["node", "run"], "environment"),
        ({"COREX_NODE_URL": "foo://x"}, ["node", "run"], "environment"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: list[str], source: str
) -> None:
    """It is told in one line, which names where it came from, before anything is started."""
    for variable in ("COREX_URL", "COREX_NODE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    served: list[Config] = []
    monkeypatch.setattr(cli, "replace_process", served.append)
    result = CliRunner().invoke(app, options)
    assert (result.exit_code, served) == (2, [])
    assert result.output.startswith(f"corex: {source}: main.url: foo://x: it must begin with")
    assert result.output.count("\n") == 1
