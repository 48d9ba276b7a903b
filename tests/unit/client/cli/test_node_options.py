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
