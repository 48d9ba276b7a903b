"""Settings: where they come from, which wins, and errors that name source and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corex_node.config import load
from corex_shared.errors import ConfigError


def _file(folder: Path, text: str, name: str = "node.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_without_any_setting() -> None:
    """There are defaults for all."""
    config = load()
    assert config.main.max_jobs == 200
    assert config.main.namespace == "corex"
    assert config.logging.levels == [2, 4, 7, 8, 9]
    assert config.limits.lease == 15


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    """File, environment, options."""
    path = _file(tmp_path, '[main]\nid = "file"\nmax_jobs = 1\nnamespace = "file"\n')
    environ = {"COREX_NODE_MAX_JOBS": "2", "COREX_NODE_NAMESPACE": "environment"}
    config = load(path, environ, {"main": {"namespace": "options"}})
    main = config.main
    assert (main.id, main.max_jobs, main.namespace) == ("file", 2, "options")


def test_tables_in_the_environment() -> None:
    """Keys of other tables have the table's name; lists are separated by commas."""
    config = load(
        environ={
            "COREX_NODE_LIMITS_GRACE": "2.5",
            "COREX_NODE_LOGGING_LEVELS": "1, 2,",
            "COREX_NODE_GROUPS": "a,b",
            "OTHER": "x",
        }
    )
    assert config.limits.grace == 2.5
    assert config.logging.levels == [1, 2]
    assert config.main.groups == ["a", "b"]


def test_the_nodes_own_url_wins() -> None:
    """`COREX_URL` is for all programs, `COREX_NODE_URL` for the node."""
    both = {"COREX_URL": "redis://all", "COREX_NODE_URL": "redis://node"}
    assert load(environ=both).main.url == "redis://node"
    assert load(environ={"COREX_URL": "redis://all"}).main.url == "redis://all"


def test_labels(tmp_path: Path) -> None:
    """A table of the user's own."""
    config = load(_file(tmp_path, '[labels]\nzone = "a"\n'), None, {"labels": {"rack": "7"}})
    assert config.labels == {"zone": "a", "rack": "7"}


def test_included_files(tmp_path: Path) -> None:
    """A folder's files are merged in the order of their names."""
    (tmp_path / "conf.d").mkdir()
    _file(tmp_path, "[main]\nmax_jobs = 2\n", "conf.d/a.toml")
    _file(tmp_path, "[main]\nmax_jobs = 3\n", "conf.d/b.toml")
    _file(tmp_path, "not TOML", "conf.d/c.txt")
    path = _file(tmp_path, '[main]\nmax_jobs = 1\ninclude = ["conf.d"]\n')
    assert load(path).main.max_jobs == 3


@pytest.mark.parametrize(
    "text, key",
    [
        ("[main]\nmax_job = 1\n", "main.max_job"),
        ("[main]\nmax_jobs = 0\n", "main.max_jobs"),
        ('[main]\nmax_jobs = "7"\n', "main.max_jobs"),
        ('[main]\nid = "a b"\n', "main.id"),
        ("[limit]\ngrace = 1\n", "limit"),
        ("[limits]\ngrace = -1\n", "limits.grace"),
        ("[limits]\nlease = 0\n", "limits.lease"),
        ("[limits]\npayload = 10\n", "limits.payload"),
        ('[logging]\nlevel = "loud"\n', "logging.level"),
        ("[logging]\nlevels = [1, 256]\n", "logging.levels[1]"),
        ("[labels]\nzone = 7\n", "labels[...]"),
        ("main = 7\n", "main"),
    ],
)
def test_an_error_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    """A setting that cannot be used is found by what the error says."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (caught.value.source, caught.value.key) == (str(path), key)


@pytest.mark.parametrize("text", ["[main", "main = = 1", 'a = "\\q"'])
def test_what_is_no_toml(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError, match="not TOML") as caught:
        load(path)
    assert caught.value.source == str(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or no text, is an error that names it."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.toml", tmp_path, binary):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            load(path)
        assert caught.value.source == str(path)


@pytest.mark.parametrize(
    "variable, text",
    [
        ("COREX_NODE_MAX_JOB", "1"),
        ("COREX_NODE_MAX_JOBS", "many"),
        ("COREX_NODE_MAX_JOBS", "0"),
        ("COREX_NODE_LIMITS_GRACES", "1"),
        ("COREX_NODE_LIMITS_GRACE", ""),
        ("COREX_NODE_LIMITS_GRACE", "nan"),
        ("COREX_NODE_LIMITS_LEASE", "inf"),
        ("COREX_NODE_LOGGING_LEVELS", "1,two"),
        ("COREX_NODE_ID", "a b"),
    ],
)
def test_an_error_names_the_variable(variable: str, text: str) -> None:
    """A variable that cannot be used, or is not known, is named."""
    with pytest.raises(ConfigError) as caught:
        load(environ={variable: text})
    assert (caught.value.source, caught.value.key) == ("environment", variable)


@pytest.mark.parametrize(
    "options, key",
    [({"main": {"id": "a b"}}, "main.id"), ({"main": {"max_jobs": 0}}, "main.max_jobs")],
)
def test_an_error_names_the_option(options: dict[str, Any], key: str) -> None:
    """An option that cannot be used is named."""
    with pytest.raises(ConfigError) as caught:
        load(options=options)
    assert (caught.value.source, caught.value.key) == ("options", key)


def test_an_error_in_an_included_file(tmp_path: Path) -> None:
    """It names that file, not the one that includes it."""
    part = _file(tmp_path, "[limits]\ngrace = -1\n", "part.toml")
    path = _file(tmp_path, '[main]\ninclude = ["part.toml"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (caught.value.source, caught.value.key) == (str(part), "limits.grace")


def test_an_include_that_is_not_there(tmp_path: Path) -> None:
    """It names what includes it."""
    path = _file(tmp_path, '[main]\ninclude = ["none.toml"]\n')
    with pytest.raises(ConfigError, match=r"none\.toml") as caught:
        load(path)
    assert caught.value.key == "main.include"


def test_an_include_within_an_include(tmp_path: Path) -> None:
    """It is refused."""
    part = _file(tmp_path, '[main]\ninclude = ["node.toml"]\n', "part.toml")
    path = _file(tmp_path, '[main]\ninclude = ["part.toml"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.source == str(part)


def test_a_heartbeat_too_slow_for_the_lease() -> None:
    """A lease must outlive a beat that is missed."""
    options = {"limits": {"lease": 10.0, "heartbeat": 6.0}}
    with pytest.raises(ConfigError, match=r"limits\.heartbeat"):
        load(options=options)
