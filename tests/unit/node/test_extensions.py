"""Commands that the settings define: what they run."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec
import pytest

from corex_node.builtins.extensions import register_extensions
from corex_node.config import Extension
from corex_node.manager.registry import Kind, Program, Registry
from corex_shared.errors import BadRequestError, ConfigError


def _run(extension: Extension, arguments: dict[str, Any] | None = None) -> Program:
    """What the command `x` of an extension runs."""
    registry = Registry()
    register_extensions(registry, {"x": extension})
    entry = registry.get("x")
    assert entry is not None
    assert entry.kind is Kind.PROGRAM
    program = entry.function(entry.parse(arguments))
    assert isinstance(program, Program)
    return program


def test_an_extension_runs_its_program_with_filled_arguments() -> None:
    extension = Extension("tool", ["--name={name}", "{count}", "plain"])
    program = _run(extension, {"name": "a b; c", "count": 3})
    assert program.spec.argv == ("tool", "--name=a b; c", "3", "plain")
    assert (program.spec.env, program.spec.dir, program.stdin) == (None, None, None)


def test_an_extension_may_be_called_without_arguments() -> None:
    extension = Extension("tool", ["{name}"])
    assert _run(extension).spec.argv == ("tool", "{name}")
    assert _run(extension, {}).spec.argv == ("tool", "{name}")


def test_arguments_that_nothing_asks_for_are_ignored() -> None:
    program = _run(Extension("tool", ["{a}"]), {"a": 1, "b": "\0", "c": {"d": float("nan")}})
    assert program.spec.argv == ("tool", "1")


def test_a_caller_chooses_neither_program_nor_directory_nor_environment() -> None:
    extension = Extension("{a}", ["{a}"], dir="/{a}", env={"A": "{a}", "{a}": "x"})
    spec = _run(extension, {"a": "evil"}).spec
    assert (spec.argv, spec.dir) == (("{a}", "evil"), "/{a}")
    assert spec.env == {"A": "{a}", "{a}": "x"}
    assert not spec.clear_env


def test_the_directory_may_have_the_name_that_0_core_gives_it() -> None:
    assert _run(Extension("tool", cwd="/a")).spec.dir == "/a"
    assert _run(Extension("tool", dir="/b")).spec.dir == "/b"


@pytest.mark.parametrize(
    "stdin, read",
    [("ü\0", "ü\0".encode()), (b"\xff\0", b"\xff\0"), ("", b""), (None, None)],
)
def test_stdin_is_read_and_fills_nothing(stdin: str | bytes | None, read: bytes | None) -> None:
    program = _run(Extension("tool", ["{stdin}", "{x}"]), {"stdin": stdin, "x": 1})
    assert program.stdin == read
    assert program.spec.argv == ("tool", "{stdin}", "1")


@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("stdin", [7, ["a"], {"a": 1}, True])
def test_stdin_that_is_neither_text_nor_bytes_is_refused(stdin: object, shell: bool) -> None:
    with pytest.raises(BadRequestError, match=r"^stdin: "):
        _run(Extension("tool", shell=shell), {"stdin": stdin})


@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("value", ["a\0b", b"\0", b"\xff", float("nan"), float("inf"), ["\0", {}]])
def test_a_value_that_no_argument_can_hold_is_refused_by_name(value: object, shell: bool) -> None:
    if isinstance(value, list):
        value = {None: value}  # a key that JSON has not
    with pytest.raises(BadRequestError, match=r"^who: "):
        _run(Extension("tool", ["{who}"], shell=shell), {"who": value})


def test_an_extension_takes_any_object_and_its_schema_says_so() -> None:
    registry = Registry()
    register_extensions(registry, {"x": Extension("tool")})
    entry = registry.get("x")
    assert entry is not None
    assert entry.schema() == {"type": "object"}


def test_a_name_that_is_taken_is_an_error_of_the_settings() -> None:
    registry = Registry()
    registry.command("core.ping")(lambda _: None)
    with pytest.raises(ConfigError) as caught:
        register_extensions(registry, {"a": Extension("x"), "core.ping": Extension("x")})
    assert caught.value.key == "extension.core.ping"


# -- scripts ------------------------------------------------------------------------------------


def _output(extension: Extension, arguments: dict[str, Any] | None = None) -> str:
    """What the script of an extension writes to stdout."""
    program = _run(extension, arguments)
    environment = {"PATH": "/usr/bin:/bin", **(program.spec.env or {})}
    done = subprocess.run(
        program.spec.argv,
        env=environment,
        input=program.stdin or b"",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_script_is_binary_and_arguments_joined_by_spaces() -> None:
    extension = Extension("printf", ["'%s\\n' a b", "| sort -r |", "tr a-z A-Z"], shell=True)
    assert _output(extension) == "B\nA\n"


def test_a_value_is_one_word_of_a_script_whatever_it_holds() -> None:
    extension = Extension("printf", ["'[%s]' {a} {b}", "{a}{b}"], shell=True)
    evil = {"a": "x  y'\"$(echo pwned)`echo pwned`;*\\\n", "b": ""}
    assert _output(extension, evil) == f"[{evil['a']}][][{evil['a']}]"


@pytest.mark.parametrize(
    "script",
    [
        '"{a}"',
        '"${Y}{a}"',
        '"$(cat {f}; printf %s {a})"',
        "`printf %s {a}`",
        "$(printf %s {a} | cat)",
        '$(f() { printf %s {a}; }; f "wrong")',
        '$(set -- wrong; printf %s "{a}")',
    ],
)
def test_a_value_is_safe_and_whole_wherever_it_stands(script: str) -> None:
    value = "x' \" $(echo pwned) `echo pwned` * \\ ; exit 9"
    extension = Extension("printf", ["%s", script], shell=True)
    expected = value
    if script[0] in "`$":  # the script itself splits what it substitutes
        extension = Extension("IFS=; set -f; printf", ["%s", script], shell=True)
    assert _output(extension, {"a": value, "f": "/dev/null"}) == expected


def test_a_value_is_never_run_even_where_it_is_no_word() -> None:
    for script in ["'{a}'", "'{a}\"{a}\"'", "${HOME}{a}", "\\{a}", '"\\{a}"', "$'{a}'", "$ {a}"]:
        for value in [
            "$(echo p''wned)",
            "';echo p''wned;'",
            '";echo p""wned;"',
            "\\';echo p''wned#",
        ]:
            extension = Extension("printf", ["%s", script], shell=True)
            assert "pwned" not in _output(extension, {"a": value})


def test_variables_of_the_script_itself_cannot_be_replaced_by_a_caller() -> None:
    extension = Extension("W=mine; echo", ["${W} \\{W} {W}"], shell=True)
    assert _output(extension, {"W": "theirs"}) == "mine {W} theirs\n"
    assert _output(extension) == "mine {W} {W}\n"


def test_a_script_has_its_environment_and_reads_stdin() -> None:
    extension = Extension("cat", ["; echo $A {b}"], env={"A": "1"}, shell=True)
    assert _output(extension, {"stdin": "in\n", "b": 2}) == "in\n1 2\n"


def test_a_script_is_called_by_the_name_of_its_command() -> None:
    assert _output(Extension("echo", ["$0"], shell=True)) == "x\n"


def test_arguments_survive_the_settings_being_passed_on() -> None:
    extension = Extension("tool", ["{a}"], "/d", None, {"A": "b"}, True)
    again = msgspec.json.decode(msgspec.json.encode(extension), type=Extension)
    assert again == extension
