"""Every example of the guide does what the page says. See tests/helpers/reader.py."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import DEFAULT_NAMESPACE
from tests.helpers.nodes import NodeProcess, start_together
from tests.helpers.pages import blocks_of
from tests.helpers.reader import Reader

pytestmark = pytest.mark.timeout(180)  # a page starts a dozen programs or more

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
_NODE = re.compile(r"^\$ corex node run --id (?P<id>\S+)(?P<options>.*) >\S+ 2>&1 &$", re.MULTILINE)


def _fleet() -> list[tuple[str, list[str]]]:
    """The nodes that first-steps.md starts for the other pages: ID and options."""
    text = (GUIDE / "first-steps.md").read_text().split("## A fleet to try things on")[1]
    return [(found["id"], found["options"].split()) for found in _NODE.finditer(text)]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """A Redis of the guide's own, so that its keys have the names that the pages have."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(
    server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """The nodes that all pages talk of, those that first-steps.md starts."""
    logs = tmp_path_factory.mktemp("fleet")
    nodes = [
        NodeProcess(name, server.url, DEFAULT_NAMESPACE, logs / f"{name}.log", options)
        for name, options in _fleet()
    ]
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.finish)
        start_together(nodes)
        yield nodes


def _environment(url: str, home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("COREX_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"
    return {**own, "PATH": path, "HOME": str(home), "COREX_URL": url, "TERM": "dumb"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_that_a_page_shows_is_so(
    page: Path,
    server: EmbeddedRedis,
    fleet: list[NodeProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COREX_URL", server.url)
    monkeypatch.delenv("COREX_NAMESPACE", raising=False)
    places = {name: tmp_path / name[1:] for name in ("/etc/redis", "/srv")}
    for folder in places.values():
        folder.mkdir(parents=True)
    places["ops/redis"] = GUIDE.parents[1] / "ops" / "redis"
    Reader(page, tmp_path, _environment(server.url, tmp_path), places).read()
    for node in fleet:
        assert node.running, node.log_tail()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_could_not_be(page: Path) -> None:
    """Blocks of text are for what needs another machine; corex and Python are run."""
    for block in blocks_of(page):
        if block.language == "text":
            found = re.search(r"^(\$ )?(corex|python|import|from)\b", block.text, re.MULTILINE)
            assert not found, f"{block.place}: it can be run"
