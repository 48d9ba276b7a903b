"""The reader of the guide notices what is not as a page says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corex_shared.errors import ConfigError
from tests.helpers.pages import blocks_of
from tests.helpers.reader import Reader


def _read(folder: Path, text: str, places: dict[str, Path] | None = None) -> None:
    page = folder / "page.md"
    page.write_text(text)
    Reader(page, folder, {"PATH": os.environ["PATH"]}, places or {}).read()


def _block(info: str, *lines: str) -> str:
    return "\n".join(("Text.", "", f"```{info}", *lines, "```", ""))


def test_a_page_that_is_right(tmp_path: Path) -> None:
    """Names, variables and files live on; what is shown may leave things out."""
    _read(
        tmp_path,
        _block("python", "x = 6 * 7", "print('the answer:', x)")
        + _block("output", "the …: 42")
        + _block("python", "print(x)")
        + _block("output", "42")
        + _block("python", "print('nobody looks')")
        + _block('python title="said.py"', "print('said')")
        + _block("console", "$ name=world", "$ cd /; cd -", "…", "$ echo hello \\", "> $name")
        + _block("console", "$ echo $name; sh -c 'exit 3'", "world", "$ echo $?", "3")
        + _block("console", "$ printf '%s\\n' 1 2 3 4; cat said.py", "1", "…", "4", "print('said')")
        + _block("toml", "[main]", 'id = "web-1"')
        + _block("text", "systemctl daemon-reload"),
    )


def test_terminals(tmp_path: Path) -> None:
    """One waits for what is shown, goes on, and has shown commands for others."""
    _read(
        tmp_path,
        _block(
            'console title="Terminal 1"',
            "$ (sleep 0.1; echo starting; echo '  x=$((40 + 2))') && exec sleep 600",
            "starting",
            "  x=$((…))",
        )
        + _block("console", "$ x=…", "$ echo $x", "42"),
    )


def test_places(tmp_path: Path) -> None:
    """A folder that the page names is one of the test's; others are left alone."""
    srv = tmp_path / "mine"
    srv.mkdir()
    _read(
        tmp_path,
        _block("console", "$ mkdir /srv/app; ls -d /srv/app /usr", "/srv/app", "/usr")
        + _block("python", "import os", "print(os.listdir('/srv'))")
        + _block("output", "['app']"),
        {"/srv": srv},
    )
    assert (srv / "app").is_dir()


@pytest.mark.parametrize(
    "text",
    [
        _block("python", "print(1)") + _block("output", "2"),
        _block("python", "print(1); print(2)") + _block("output", "1"),
        _block("python", "print(1)") + _block("output", "1", "…", "2"),
        _block("output", "1"),
        _block("console", "$ echo 1", "2"),
        _block("console", "$ echo 1; echo 2 >&2", "1"),
        _block("console", "$ false"),
        _block("console", "$ false", "$ true"),
        _block("console", "$ false", "$ echo $?", "2"),
        _block("console", "echo 1"),
        _block("console"),
        _block("console", "$ x=…"),
        _block("sh", "true"),
        _block(""),
        "```python\nprint(1)\n",
        "- A list:\n\n    ```python\n    print(1)\n    ```\n",
    ],
)
def test_a_page_that_is_wrong(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError, match=r"page.md:\d+"):
        _read(tmp_path, text)


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_job"):
        _read(tmp_path, _block("toml", "[main]", "max_job = 3"))


def test_python_that_fails_names_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _read(tmp_path, _block("python", "x = 1", "x / 0"))
    last = caught.traceback[-1]
    assert (Path(last.path).name, last.lineno + 1) == ("page.md", 5)


def test_blocks_know_where_they_are(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(_block('toml title="a.toml"', "[main]"))
    [block] = blocks_of(page)
    assert (block.language, block.title, block.text, block.line) == (
        "toml",
        "a.toml",
        "[main]\n",
        4,
    )
