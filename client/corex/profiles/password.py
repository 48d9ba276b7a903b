"""The password of a profile: from a file, a program or the environment. It is never told."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from corex_shared.errors import ConfigError

if TYPE_CHECKING:
    from corex.profiles.profile import Profile

PASSWORD_KEYS = ("password_file", "password_command", "password_env")
COMMAND_TIMEOUT = 60.0
"""Seconds that a password's program has: perhaps it asks the user for its own."""


def find_password(profile: Profile) -> str | None:
    """Read the password of a profile; None if it names none.

    Raises:
        ConfigError: it cannot be had; says why, and nothing of it.
    """
    table = profile.table
    if table.password_file is not None:
        return _checked(profile, "password_file", _of_file(profile, table.password_file))
    if table.password_command is not None:
        return _checked(profile, "password_command", _of_program(profile, table.password_command))
    if table.password_env is not None:
        found = os.environ.get(table.password_env)
        if found is None:
            raise profile.error("password_env", f"{table.password_env} is not set")
        return _checked(profile, "password_env", found)
    return None


def _checked(profile: Profile, key: str, text: str) -> str:
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise profile.error(key, "the password that it gives is empty")
    if "\n" in password:
        raise profile.error(key, "the password that it gives has several lines")
    return password


def _of_file(profile: Profile, name: str) -> str:
    path = profile.path(name)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise profile.error("password_file", f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:  # the cause would show what is in it
        raise profile.error("password_file", f"{path} is not UTF-8") from None


def _of_program(profile: Profile, command: list[str]) -> str:
    """Run a program for its output. What it says on stderr is for the user, who sees it."""
    if not command:
        raise profile.error("password_command", "it names no program")

    def failed(reason: str) -> ConfigError:
        return profile.error("password_command", f"{command[0]}: {reason}")

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,  # ours is for the remote command
            stdout=subprocess.PIPE,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:  # the cause would show what it has written
        raise failed(f"it did not end within {COMMAND_TIMEOUT:g} s") from None
    except (OSError, ValueError) as error:
        raise failed(f"it cannot be run: {error}") from error
    if done.returncode:
        raise failed(f"it ended with {done.returncode}")
    try:
        return done.stdout.decode()
    except UnicodeDecodeError:
        raise failed("what it writes is not UTF-8") from None
