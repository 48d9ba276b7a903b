"""Users of a Redis as `ops/redis/acl.py` makes them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Collection
from pathlib import Path

import redis

from ops.redis import acl

SECRET = "a-password-of-tests"


def user_line(role: str, name: str, *options: str, secret_file: Path) -> str:
    """Have the script write a user, whose password is `SECRET`."""
    secret_file.write_text(f"{SECRET}\n")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = acl.main([role, name, "--password-file", str(secret_file), *options])
    assert code == 0
    return out.getvalue().strip()


class Users:
    """Makes users of one server.

    Attributes:
        version: of the server, as `acl.py` wants it.
    """

    def __init__(self, admin: redis.Redis, namespace: str, folder: Path) -> None:
        """Make users by an administrator's client, for one namespace."""
        self._admin = admin
        self._namespace = namespace
        self._file = folder / "secret"
        info = admin.info("server")
        assert isinstance(info, dict)
        is_valkey = "valkey_version" in info or info.get("server_name") == "valkey"
        found = re.match(r"\d+\.\d+", "7.2" if is_valkey else str(info["redis_version"]))
        assert found is not None
        self.version = found.group()

    def add(self, role: str, name: str, *options: str, without: Collection[str] = ()) -> str:
        """Make a user, or make it anew; return its `user:password@` for a URL.

        Args:
            role: as `acl.py` knows it.
            name: of the user, and of the node.
            options: more of the script's.
            without: rules that are left out, such as `+rpush`.
        """
        line = user_line(
            role,
            name,
            *("--namespace", self._namespace, "--server", self.version, "--setuser", *options),
            secret_file=self._file,
        )
        for rule in without:
            line, count = re.subn(rf"(?<=[ (]){re.escape(rule)}(?=[ )]|$)", "", line)
            assert count, f"no rule {rule} in: {line}"
        answer = self._admin.execute_command(*shlex.split(line))  # type: ignore[no-untyped-call]
        assert answer in (b"OK", True)
        return f"{name}:{SECRET}@"
