"""Fixtures: a server with ops/redis/redis.conf, and users of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from tests.helpers.servers import Server
from tests.helpers.users import SECRET, Users, user_line

OPS = Path(__file__).parents[3] / "ops" / "redis"


def hardened(
    folder: Path, program: str | None = None, *options: str, tls: Sequence[str] = ()
) -> Server:
    """Describe a server with the settings and the users of ops/redis, and an administrator."""
    folder.mkdir()
    users = folder / "users.acl"
    admin = user_line("admin", "admin", secret_file=folder / "secret")
    users.write_text(f"{(OPS / 'users.acl').read_text()}{admin}\n")
    return Server(
        folder,
        *("--aclfile", str(users), *options),
        program=program,
        config=OPS / "redis.conf",
        login=f"admin:{SECRET}@",
        certificates=tls,
    )


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, leftovers: object) -> Iterator[Server]:
    """One server for all tests of users that do it no harm."""
    del leftovers  # looked for after the server is gone
    server = hardened(tmp_path_factory.mktemp("guarded") / "redis")
    server.start()
    with server.client() as client:
        version = client.info("server")["redis_version"]
    if version.startswith("6."):
        server.stop()
        pytest.skip(f"Redis {version} has no rules by key; a redis-server 7.0 on PATH is needed")
    yield server
    server.stop()


@pytest.fixture
def admin(guarded: Server) -> Iterator[redis.Redis]:
    """A client that may do everything."""
    with guarded.client() as client:
        yield client


@pytest.fixture
def users(admin: redis.Redis, namespace: str, tmp_path: Path) -> Users:
    """Makes users for this test's namespace."""
    return Users(admin, namespace, tmp_path)
