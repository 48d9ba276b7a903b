"""Settings: where they come from, which wins, and errors that name source and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from corex_node.bounds import reaper_limits
from corex_node.config import Config, Extension, load
from corex_shared.errors import ConfigError

BAD_URLS = [
    "foo://x",
    "redis://h:99999",
    "redis://h/0?nosuch=1",
    "redis://h/zero",
    "unix://",
    "redis+sentinel://h",
    "rediss://h?ssl_ca_certs=/nowhere/ca.pem",
]


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
        ("[labels]\nzone = 7\n", "labels.zone"),
        ("main = 7\n", "main"),
        ("labels = 7\n", "labels"),
        ("[startup.web]\nname = 'x'\n", "startup"),
        ("[stats]\n", "stats"),
        ("[limits]\nbacklog = 10\n", "limits.backlog"),
        ("[limits]\nbacklog_messages = 0\n", "limits.backlog_messages"),
        ("[limits]\nopen_files = 0\n", "limits.open_files"),
        ("[limits]\nseries = 0\n", "limits.series"),
        ("[limits]\nrestart_first = 0\n", "limits.restart_first"),
        ("[limits]\nrestart_factor = 0.5\n", "limits.restart_factor"),
        ("[limits]\nrestart_factor = 1001\n", "limits.restart_factor"),
        ("[limits]\nrestart_factor = nan\n", "limits.restart_factor"),
        ("[limits]\nrestart_cap = inf\n", "limits.restart_cap"),
        ("[limits]\nrestart_cap = 0.5\n", "limits.restart_cap"),
        ("[limits]\nrestart_first = 31\n", "limits.restart_cap"),
        ("[limits]\nrestart_healthy = 0\n", "limits.restart_healthy"),
        ("[limits]\nlease = 9\n", "limits.heartbeat"),
        ("[limits]\nreap = -1\n", "limits.reap"),
        ("[limits]\nreap = 9\n", "limits.reap"),
        ("[security]\nunprivileged = 1\n", "security.unprivileged"),
        ("[security]\nprivileged = true\n", "security.privileged"),
        ("extension = 7\n", "extension"),
        ("[[extension]]\nbinary = 'x'\n", "extension"),
        ("[extension]\na = 7\n", "extension.a"),
        ("[extension.a]\n", "extension.a.binary"),
        ("[extension.a]\nbinary = ''\n", "extension.a.binary"),
        ("[extension.a]\nbinary = 7\n", "extension.a.binary"),
        ("[extension.a]\nbinary = 'x'\narg = ['y']\n", "extension.a.arg"),
        ("[extension.a]\nbinary = 'x'\nargs = 'y'\n", "extension.a.args"),
        ("[extension.a]\nbinary = 'x'\nargs = ['y', 7]\n", "extension.a.args[1]"),
        ('[extension.a]\nbinary = "x"\nargs = ["\\u0000"]\n', "extension.a.args[0]"),
        ("[extension.a]\nbinary = 'x'\ndir = ''\n", "extension.a.dir"),
        ("[extension.a]\nbinary = 'x'\ndir = '/'\ncwd = '/'\n", "extension.a"),
        ("[extension.a]\nbinary = 'x'\nshell = 'yes'\n", "extension.a.shell"),
        ("[extension.a]\nbinary = 'x'\nenv = ['A=b']\n", "extension.a.env"),
        ("[extension.a]\nbinary = 'x'\nenv = {A = 'b', C = 1}\n", "extension.a.env.C"),
        ("[extension.a]\nbinary = 'x'\nenv = {'C=' = 'b'}\n", "extension.a.env.C="),
        ("[extension.'a b']\nbinary = 'x'\n", "extension.a b"),
        ("[extension.'']\nbinary = 'x'\n", "extension."),
        ("[extension.'-a']\nbinary = 'x'\n", "extension.-a"),
        ("[extension.a.b]\nbinary = 'x'\n", "extension.a.b"),
        ("[extension.a]\nbinary = 'x'\n[extension.a.b]\nbinary = 'x'\n", "extension.a.b"),
    ],
)
def test_an_error_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    """A setting that cannot be used is found by what the error says."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (caught.value.source, caught.value.key) == (str(path), key)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    """It is found with the settings, and the error names where it came from."""
    path = _file(tmp_path, f'[main]\nurl = "{url}"\n')
    ways: list[tuple[str, dict[str, Any]]] = [
        (str(path), {"path": path}),
        ("environment", {"environ": {"COREX_NODE_URL": url}}),
        ("environment", {"environ": {"COREX_URL": url}}),
        ("options", {"options": {"main": {"url": url}}}),
    ]
    for source, given in ways:
        with pytest.raises(ConfigError) as caught:
            load(**given)
        assert (caught.value.source, caught.value.key) == (source, "main.url")


def test_a_password_in_a_bad_url_is_not_shown() -> None:
    """Nor what may be a part of it."""
    with pytest.raises(ConfigError) as caught:
        load(options={"main": {"url": "redis://:hunter2@h:port"}})
    assert "hunter2" not in str(caught.value)


def test_a_bad_url_that_another_replaces(tmp_path: Path) -> None:
    """Only the URL that is used is looked at."""
    path = _file(tmp_path, '[main]\nurl = "foo://x"\n')
    assert load(path, options={"main": {"url": "redis://h"}}).main.url == "redis://h"


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


@pytest.mark.parametrize("text, patience", [("", 60), ("reap = 40.5", 40.5), ("reap = 0", 0)])
def test_how_long_others_must_be_away(tmp_path: Path, text: str, patience: float) -> None:
    """As long as the lease, unless the settings say otherwise."""
    config = load(_file(tmp_path, f"[limits]\nlease = 60\nheartbeat = 20\n{text}\n"))
    assert reaper_limits(config).patience == patience
    assert load(environ={"COREX_NODE_LIMITS_REAP": "30"}).limits.reap == 30


def test_a_heartbeat_too_slow_for_the_lease() -> None:
    """A lease must outlive a beat that is missed."""
    options = {"limits": {"lease": 10.0, "heartbeat": 6.0}}
    with pytest.raises(ConfigError, match=r"limits\.heartbeat"):
        load(options=options)


@pytest.mark.parametrize(
    "text, reason",
    [
        ('[extension.a]\nbinary = "x"\nargs = ["\\u0000"]\n', "it holds a NUL"),
        ("[extension.a]\nbinary = ''\n", "it is empty or holds a NUL"),
        ("[extension.a]\nargs = []\n", "it is missing"),
        ("[extension.a]\nbinary = 'x'\nenv = {'' = 'b'}\n", "neither = nor NUL"),
        ("[extension.a.b]\nbinary = 'x'\n", '[extension."a.b"]'),
        ("[extension.'a b']\nbinary = 'x'\n", "1 to 128 letters"),
        ("[main]\nid = 'a b'\n", "1 to 128 letters"),
        ("[logging]\nlevel = 'loud'\n", "debug, info, warning or error"),
        ("[limits]\nrestart_cap = 0.5\n", "at least limits.restart_first, which is 1 s"),
    ],
)
def test_an_error_says_what_would_do(tmp_path: Path, text: str, reason: str) -> None:
    """The reason is in words that a person can act on."""
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, text))
    assert reason in caught.value.reason
    assert "regex" not in caught.value.reason


def test_defaults_of_the_newer_tables() -> None:
    """Restarts, backlog, bounds of built-ins, security, extensions."""
    config = load()
    limits = config.limits
    assert (limits.backlog, limits.backlog_messages) == (65536, 100)
    assert (limits.restart_first, limits.restart_factor) == (1, 2)
    assert (limits.restart_cap, limits.restart_healthy) == (30, 60)
    assert (limits.open_files, limits.series) == (256, 10_000)
    assert config.security.unprivileged is False
    assert config.extension == {}


def test_security_in_the_environment() -> None:
    """A switch is true or false."""
    for text, value in (("true", True), ("1", True), ("false", False), ("0", False)):
        config = load(environ={"COREX_NODE_SECURITY_UNPRIVILEGED": text})
        assert config.security.unprivileged is value
    for variable in ("COREX_NODE_SECURITY_UNPRIVILEGED", "COREX_NODE_SECURITY_UNPRIVILEGE"):
        with pytest.raises(ConfigError) as caught:
            load(environ={variable: "maybe"})
        assert (caught.value.source, caught.value.key) == ("environment", variable)


def test_extensions(tmp_path: Path) -> None:
    """Each is a table of its own; those of all files come together."""
    _file(tmp_path, "[extension.'net.scan']\nbinary = 'nmap'\ncwd = '/'\n", "more.toml")
    text = """
        [main]
        include = ["more.toml"]
        [extension.greet]
        binary = "echo"
        args = ["hello {name}", "\u00fc\\n"]
        dir = "/tmp"
        env = {A = "", B = "x=y"}
        shell = true
    """
    config = load(_file(tmp_path, text))
    assert config.extension == {
        "greet": Extension(
            "echo", ["hello {name}", "ü\n"], "/tmp", None, {"A": "", "B": "x=y"}, True
        ),
        "net.scan": Extension("nmap", cwd="/"),
    }
    assert config.extension["net.scan"].directory == "/"
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config


@pytest.mark.parametrize("within", ["node.toml", "a.toml"])
def test_an_extension_is_defined_once(tmp_path: Path, within: str) -> None:
    """A second definition is an error that names both files, whichever comes first."""
    one = "[extension.a]\nbinary = 'x'\n"
    _file(tmp_path, one if within == "a.toml" else "", "a.toml")
    second = _file(tmp_path, one, "b.toml")
    main = "[main]\ninclude = ['a.toml', 'b.toml']\n"
    path = _file(tmp_path, main + (one if within == "node.toml" else ""))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (caught.value.source, caught.value.key) == (str(second), "extension.a")
    assert str(tmp_path / within) in caught.value.reason


def test_an_extension_twice_in_one_file(tmp_path: Path) -> None:
    """The error says which and where."""
    text = "[extension.a]\nbinary = 'x'\n[extension.a]\nbinary = 'y'\n"
    with pytest.raises(ConfigError, match=r"'a'.*line 3"):
        load(_file(tmp_path, text))


def test_an_included_file_with_a_main_that_is_no_table(tmp_path: Path) -> None:
    """It is named like any other error."""
    part = _file(tmp_path, "main = 7\n", "part.toml")
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, "[main]\ninclude = ['part.toml']\n"))
    assert (caught.value.source, caught.value.key) == (str(part), "main")


def test_values_that_do_not_fit_each_other_are_named_with_their_source(tmp_path: Path) -> None:
    """The source is where the value at fault, or else the one it does not fit, was given."""
    path = _file(tmp_path, "[limits]\nrestart_first = 5.0\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {"COREX_NODE_LIMITS_RESTART_CAP": "2"})
    assert (caught.value.source, caught.value.key) == ("environment", "limits.restart_cap")
    options = {"limits": {"restart_first": 40.0}}
    with pytest.raises(ConfigError) as caught:
        load(path, None, options)
    assert (caught.value.source, caught.value.key) == ("options", "limits.restart_cap")
    assert load(path, None, {"limits": {"restart_cap": 5.0}}).limits.restart_cap == 5
