"""Profiles: the file, the password, and what comes before what."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

from corex import AsyncClient, Client, ConfigError
from corex.profiles import password
from corex.profiles.choice import choose_profile, find_place, find_place_of_library, load_file
from corex.profiles.file import config_path

SECRET = "a-secret-of-tests"


class File:
    """The user's file of profiles."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text)
        self.path.chmod(0o600)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    """A file where it is looked for; nothing else says where Redis is."""
    for name in ("COREX_URL", "COREX_NAMESPACE", "COREX_PROFILE", "COREX_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return File(tmp_path / "corex" / "config.toml")


def place(
    url: str | None = None, namespace: str | None = None, profile: str | None = None
) -> tuple[str, str | None]:
    """Where the command line goes."""
    chosen = choose_profile(load_file(needed=bool(profile)), profile, "--profile")
    found = find_place(url, namespace, chosen)
    return found.url, found.namespace


def refusal(profile: str | None = "p") -> ConfigError:
    """The error of a file that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        place(profile=profile)
    return caught.value


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """COREX_CONFIG names it; else it is in XDG_CONFIG_HOME, if that is absolute, or ~/.config."""
    monkeypatch.delenv("COREX_CONFIG", raising=False)
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/x")
    assert config_path() == Path("/x/corex/config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "x")
    assert config_path() == Path("/h/.config/corex/config.toml")
    monkeypatch.setenv("COREX_CONFIG", "~/c.toml")
    assert config_path() == Path("/h/c.toml")


TWO = """
default = "a"
[profile.a]
url = "redis://a"
namespace = "na"
[profile.b]
url = "redis://b"
namespace = "nb"
"""


def test_what_is_nearer_wins(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, named profile, COREX_URL, COREX_PROFILE, the file's default, what is built in."""
    assert place() == ("redis://127.0.0.1:6379/0", None)
    file.write(TWO)
    assert place() == ("redis://a", "na")
    monkeypatch.setenv("COREX_PROFILE", "b")
    assert place() == ("redis://b", "nb")
    monkeypatch.setenv("COREX_URL", "redis://e")
    assert place() == ("redis://e", None)
    assert place(profile="a") == ("redis://a", "na")
    assert place(profile="a", url="redis://o") == ("redis://o", "na")
    assert place(url="redis://o") == ("redis://o", None)
    assert place(profile="a", namespace="no") == ("redis://a", "no")


def test_the_namespace_of_the_environment(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before a profile's, unless that was named by an option."""
    file.write(TWO)
    monkeypatch.setenv("COREX_NAMESPACE", "ne")
    assert place() == ("redis://a", "ne")
    assert place(profile="b") == ("redis://b", "nb")


def test_a_client_of_a_profile(file: File) -> None:
    """Both clients take one by its name."""
    file.write(TWO)
    client = Client(profile="b")
    assert repr(client) == "<corex.Client redis://b namespace=nb>"
    assert repr(AsyncClient(profile="a")) == "<corex.AsyncClient redis://a namespace=na>"


def test_the_library_reads_the_file_only_if_asked_to(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken file harms no program that names no profile; the file's default is not for it."""
    file.write("nonsense")
    assert find_place_of_library(None, None, None).url == "redis://127.0.0.1:6379/0"
    monkeypatch.setenv("COREX_PROFILE", "b")
    assert find_place_of_library("redis://x", None, None).url == "redis://x"
    with pytest.raises(ConfigError):
        find_place_of_library(None, None, None)
    file.write(TWO)
    assert find_place_of_library(None, None, None).url == "redis://b"
    assert find_place_of_library(None, None, "a").url == "redis://a"


def test_a_profile_that_there_is_not(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which there are, and who named it."""
    assert str(refusal()) == f"{file.path}: there is no such file"
    file.write(TWO)
    assert str(refusal("c")).startswith("--profile: there is no profile 'c' in")
    assert str(refusal("c")).endswith("there are: a, b")
    monkeypatch.setenv("COREX_PROFILE", "d")
    assert str(refusal(None)).startswith("COREX_PROFILE: there is no profile 'd'")
    file.write('default = "z"\n[profile.a]\n')
    assert str(refusal(None)).startswith(f"{file.path}: default: there is no profile 'z'")


def test_a_file_that_is_named_must_be_there(
    file: File, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That there is none where it is looked for is no error; where it is said to be, it is."""
    assert place()[1] is None
    monkeypatch.setenv("COREX_CONFIG", str(tmp_path / "none.toml"))
    assert "none.toml: there is no such file" in str(refusal(None))


@pytest.mark.parametrize(
    "text, key, reason",
    [
        ("x = 1", "x", "no such setting"),
        ("default = 1", "default", "the name of a profile"),
        ("profile = 1", "profile", "tables are wanted"),
        ("[profile]\np = 1", "profile.p", "a table is wanted"),
        ('[profile."a b"]', "profile.a b", "a name has letters"),
        ("[profile.p]\nx = 1", "profile.p.x", "no such setting"),
        ("[profile.p]\nurl = 1", "profile.p.url", "Expected `str"),
        ('[profile.p]\nurl = "http://h"', "profile.p.url", "it must begin with"),
        ('[profile.p]\nnamespace = "a b"', "profile.p.namespace", "not an identifier"),
        ("[profile.p]\ndefaults = 1", "profile.p.defaults", "Expected `object`"),
        ('[profile.p]\npassword_command = "x"', "profile.p.password_command", "Expected `array"),
        ('[profile.p]\npassword_env = "X"', "profile.p.password_env", "it needs a url"),
        ('[profile.p]\nssl_certfile = "X"', "profile.p.ssl_certfile", "it needs a url"),
        (
            '[profile.p]\nurl = "redis://h"\nssl_ca_certs = "X"',
            "profile.p.url",
            "ssl_ca_certs needs TLS",
        ),
        (
            '[profile.p]\nurl = "rediss://h"\nssl_ca_certs = "X"',
            "profile.p.ssl_ca_certs",
            "cannot be read",
        ),
        (
            '[profile.p]\nurl = "redis://h"\npassword_env = "X"\npassword_file = "Y"',
            "profile.p.password_env",
            "there is a password_file already",
        ),
        (
            '[profile.p]\nurl = "redis://u:pw@h"\npassword_env = "X"',
            "profile.p.password_env",
            "the url has a password already",
        ),
        ("nonsense", "", "it is not TOML"),
    ],
)
def test_what_cannot_be_used(file: File, text: str, key: str, reason: str) -> None:
    """The error names the file and the key."""
    file.write(text)
    error = refusal()
    assert (error.source, error.key) == (str(file.path), key)
    assert reason in error.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read(file: File) -> None:
    """It is no file without profiles."""
    file.write("")
    file.path.chmod(0)
    assert "it cannot be read: Permission denied" in str(refusal(None))


def test_a_folder_in_place_of_the_file(file: File) -> None:
    """It is no file without profiles either."""
    file.path.mkdir(parents=True)
    assert "it cannot be read: Is a directory" in str(refusal(None))


def test_a_password_of_a_file(file: File) -> None:
    """Its path begins at the file of profiles; its last line break is not part of it."""
    file.write('[profile.p]\nurl = "redis://u@h/0"\npassword_file = "secret"')
    (file.path.parent / "secret").write_text(f"{SECRET}/@\n")
    (file.path.parent / "secret").chmod(0o600)
    assert place(profile="p")[0] == f"redis://u:{SECRET}%2F%40@h/0"


def test_a_password_of_the_environment(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names the variable; one that is not set is an error."""
    file.write('[profile.p]\nurl = "redis://h/0"\npassword_env = "PROD_PASSWORD"')
    error = refusal()
    assert (error.key, error.reason) == ("profile.p.password_env", "PROD_PASSWORD is not set")
    monkeypatch.setenv("PROD_PASSWORD", SECRET)
    assert place(profile="p")[0] == f"redis://:{SECRET}@h/0"


def command_of(file: File, code: str) -> None:
    """Write a profile whose password a program gives."""
    command = f'["{sys.executable}", "-c", \'{code}\']'
    file.write(f'[profile.p]\nurl = "redis://u@h/0"\npassword_command = {command}')


def test_a_password_of_a_program(file: File) -> None:
    """No shell is there, and what comes in on our stdin is not the program's."""
    command_of(file, 'import sys; print(sys.stdin.read() + "$HOME;")')
    ours, end = os.pipe()
    os.write(end, b"ours")
    os.close(end)
    saved = os.dup(0)
    os.dup2(ours, 0)
    try:
        assert place(profile="p")[0] == "redis://u:%24HOME%3B@h/0"
        assert os.read(0, 9) == b"ours"
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(ours)


@pytest.mark.parametrize(
    "code, reason",
    [
        (f'print("{SECRET}"); raise SystemExit(3)', "it ended with 3"),
        ("", "the password that it gives is empty"),
        (f'print("{SECRET}\\n{SECRET}")', "it gives has several lines"),
        (
            f'import sys; sys.stdout.buffer.write(b"{SECRET}\\xff")',
            "what it writes is not UTF-8",
        ),
        (
            f'import time; print("{SECRET}", flush=True); time.sleep(30)',
            "it did not end within 0.5 s",
        ),
    ],
)
def test_a_program_that_gives_no_password(
    file: File, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says why; nothing of what it wrote is in it, nor in its traceback."""
    monkeypatch.setattr(password, "COMMAND_TIMEOUT", 0.5)
    command_of(file, code)
    error = refusal()
    assert error.key == "profile.p.password_command"
    assert reason in error.reason
    shown = "".join(traceback.format_exception(error)).replace(code, "")
    assert SECRET not in shown


def test_a_program_that_there_is_not(file: File) -> None:
    """So too one that is not named at all."""
    file.write('[profile.p]\nurl = "redis://h"\npassword_command = ["/nowhere/pass"]')
    assert "/nowhere/pass: it cannot be run" in refusal().reason
    file.write('[profile.p]\nurl = "redis://h"\npassword_command = []')
    assert refusal().reason == "it names no program"


def test_a_password_that_is_not_needed_is_not_asked_for(file: File) -> None:
    """Where an option says where Redis is, the profile's password goes nowhere."""
    file.write('[profile.p]\nurl = "redis://h"\nnamespace = "n"\npassword_command = ["/nowhere"]')
    assert place("redis://other", profile="p") == ("redis://other", "n")


def test_tls_of_a_profile(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files begin at the file of profiles, or at home."""
    home = file.path.parent / "home"
    monkeypatch.setenv("HOME", str(home))
    file.write(
        '[profile.p]\nurl = "rediss://h/0?db=1"\nssl_ca_path = "ca"\nssl_check_hostname = false\n'
        '[profile.q]\nurl = "rediss://h"\nssl_ca_path = "~/ca"\n'
    )
    options = f"ssl_ca_path={file.path.parent}/ca&ssl_check_hostname=false".replace("/", "%2F")
    assert place(profile="p")[0] == f"rediss://h/0?db=1&{options}"
    assert f"{home}/ca".replace("/", "%2F") in place(profile="q")[0]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_file_that_others_may_read(file: File) -> None:
    """It is told of if there is a password in it: who may read it, may use that."""
    file.write(f'[profile.p]\nurl = "redis://u:{SECRET}@h/0"\n')
    assert load_file(needed=True).warnings == ()
    file.path.chmod(0o640)
    (warning,) = load_file(needed=True).warnings
    assert warning.startswith(f"{file.path}: profile.p.url: ")
    assert SECRET not in warning
    with pytest.warns(UserWarning, match="others may read") as heard:
        Client(profile="p")
    assert heard[0].filename == __file__
    file.write('[profile.p]\nurl = "redis://u@h/0"\n')
    file.path.chmod(0o644)
    assert load_file(needed=True).warnings == ()


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_password_that_others_may_read(file: File) -> None:
    """Its file is told of when its profile is used, and not before."""
    file.write('[profile.p]\nurl = "redis://u@h/0"\npassword_file = "secret"\n[profile.q]\n')
    secret = file.path.parent / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o604)
    with pytest.warns(UserWarning, match=r"profile\.p\.password_file: others may read") as heard:
        Client(profile="p")
    assert SECRET not in str(heard[0].message)
    Client(profile="q")
    secret.chmod(0o600)
    Client(profile="p")


def test_nothing_shows_the_password(file: File) -> None:
    """Whatever a log or a debugger may print of it."""
    file.write(f'[profile.p]\nurl = "redis://u:{SECRET}@h/0"\n')
    read = load_file(needed=True)
    profile = choose_profile(read, "p", "--profile")
    found = find_place(None, None, profile)
    assert profile is not None
    for shown in (read, profile, profile.table, found, Client(profile="p")):
        assert SECRET not in repr(shown) + str(shown)
