"""Nodes, clients and the command line over TLS, with certificates of both sides."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

import corex
from corex_node.process.embedded import find_server
from corex_shared.errors import ConfigError, StoreUnavailableError
from corex_shared.keys import Keys
from tests.helpers.certificates import Authority, Certificate, tls_url
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, RunNode
from tests.helpers.servers import Server, speaks_tls
from tests.helpers.users import SECRET, Users
from tests.integration.security.conftest import hardened


@dataclass(frozen=True)
class Trust:
    """Everybody's certificates."""

    authority: Authority
    other: Authority
    server: Certificate
    expired_server: Certificate
    other_host: Certificate
    client: Certificate
    expired_client: Certificate
    foreign_client: Certificate

    @property
    def files(self) -> dict[str, str]:
        """Options of a URL with which a client gets in."""
        return {"ca_certs": str(self.authority.certificate), **self.shown(self.client)}

    @staticmethod
    def shown(made: Certificate) -> dict[str, str]:
        """Options of a URL for a client's certificate."""
        return {"certfile": str(made.certificate), "keyfile": str(made.key)}

    def options(self, server: Certificate) -> list[str]:
        """Options of a server that has this certificate and wants one of its clients."""
        return [
            *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
            *("--tls-ca-cert-file", str(self.authority.certificate), "--tls-auth-clients", "yes"),
        ]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """Made once, by the openssl program."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl on PATH to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = Authority(folder / "ours"), Authority(folder / "other")
    return Trust(
        authority,
        other,
        authority.server("server"),
        authority.expired_server("expired-server"),
        authority.server("other-host", names="DNS:redis.example"),
        authority.client("client"),
        authority.expired_client("expired-client"),
        other.client("foreign-client"),
    )


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, leftovers: object
) -> Iterator[Server]:
    """The hardened server, with TLS."""
    del leftovers  # looked for after the server is gone
    if not speaks_tls(find_server()):
        pytest.skip(f"{find_server()} was built without TLS")
    server = hardened(tmp_path_factory.mktemp("secured") / "redis", tls=trust.options(trust.server))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def users(secured: Server, namespace: str, tmp_path: Path) -> Iterator[Users]:
    """Makes users of that server."""
    with secured.client() as admin:
        yield Users(admin, namespace, tmp_path)


def test_nodes_and_clients_work_over_tls(
    secured: Server, trust: Trust, users: Users, run_node: RunNode, namespace: str
) -> None:
    """With certificates and passwords of both sides; neither passwords nor paths of keys are in
    the node's log."""
    login = users.add("node", "n1")
    node = run_node("n1", url=tls_url(secured.tls_port, login=login, **trust.files))
    login = users.add("client", "c1")
    url = tls_url(secured.tls_port, "localhost", login=login, **trust.files)
    with corex.Client(url, namespace=namespace) as client:
        remote = client.node("n1")
        assert remote.bash("echo a").wait(timeout=10).stdout == "a\n"
        texts = [message.text for message in remote.bash("echo b", stream=True).stream()]
        assert texts[0] == "b\n"
        shown = str(remote.call("config.get"))
    done = subprocess.run(
        [str(COREX), "--url", url, "--namespace", namespace, "run", "n1", "--", "echo", "c"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, b"c\n"), done.stderr
    for text in (node.log_text(), shown):
        assert "rediss://n1:***@" in text
        assert SECRET not in text
        assert str(trust.client.key) not in text
        assert trust.client.key.name not in text


async def test_the_asyncio_client_works_over_tls(
    secured: Server, trust: Trust, users: Users, namespace: str
) -> None:
    """It has connections of its own kind."""
    login = users.add("client", "c1")
    url = tls_url(secured.tls_port, login=login, **trust.files)
    async with corex.AsyncClient(url, namespace=namespace) as client:
        assert await client.nodes() == []


def test_a_key_may_be_encrypted(
    secured: Server, trust: Trust, users: Users, namespace: str
) -> None:
    """Its password is in the URL; a wrong one, or none, is an error before anything is opened."""
    made = trust.authority.encrypted(trust.client, "of-the-key")
    files = {**trust.files, **trust.shown(made)}
    login = users.add("client", "c1")
    url = tls_url(secured.tls_port, login=login, **files, password="of-the-key")
    with corex.Client(url, namespace=namespace) as client:
        assert client.nodes() == []
    wrongs: list[dict[str, str]] = [{}, {"password": "of-another"}]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="ssl_password is not the key's") as caught:
            corex.Client(tls_url(secured.tls_port, **files, **wrong))
        assert "of-another" not in str(caught.value)


def refused(url: str) -> list[str]:
    """Try to reach a server, with a client of each kind; return why that failed."""
    with corex.Client(url) as client, pytest.raises(StoreUnavailableError) as caught:
        client.nodes()
    return [str(caught.value), asyncio.run(refused_async(url))]


async def refused_async(url: str) -> str:
    async with corex.AsyncClient(url) as client:
        with pytest.raises(StoreUnavailableError) as caught:
            await client.nodes()
    return str(caught.value)


@pytest.mark.parametrize(
    "case, cause",
    [
        ("wrong authority", "no authority in ssl_ca_certs has signed the server's certificate"),
        ("system's authorities", "no authority in ssl_ca_certs has signed"),
        ("no certificate", "server wants a certificate: set ssl_certfile, ssl_keyfile"),
        ("expired certificate", "expired"),
        ("certificate of another authority", "authority"),
    ],
)
def test_a_client_that_does_not_get_in_is_told_why(
    secured: Server, trust: Trust, case: str, cause: str
) -> None:
    """In one line, which names the option to look at."""
    files = {
        "wrong authority": {**trust.files, "ca_certs": str(trust.other.certificate)},
        "system's authorities": trust.shown(trust.client),
        "no certificate": {"ca_certs": str(trust.authority.certificate)},
        "expired certificate": {**trust.files, **trust.shown(trust.expired_client)},
        "certificate of another authority": {**trust.files, **trust.shown(trust.foreign_client)},
    }[case]
    for text in refused(tls_url(secured.tls_port, **files)):
        assert text.startswith("TLS: ")
        assert cause in text
        assert "\n" not in text


@pytest.mark.parametrize(
    "case, cause",
    [
        ("expired", "the server's certificate has expired"),
        ("other host", "the server's certificate is not for this host"),
    ],
)
def test_a_server_that_is_not_trusted(
    secured: Server, trust: Trust, tmp_path: Path, case: str, cause: str
) -> None:
    """A client is told why."""
    del secured  # there is one, so this server can be had, too
    made = trust.expired_server if case == "expired" else trust.other_host
    server = Server(tmp_path / "redis", certificates=trust.options(made))
    server.start()
    try:
        for text in refused(tls_url(server.tls_port, **trust.files)):
            assert text.startswith(f"TLS: {cause}")
    finally:
        server.stop()


def test_a_node_keeps_trying_until_the_server_can_be_trusted(
    secured: Server, trust: Trust, run_node: RunNode, tmp_path: Path, keys: Keys
) -> None:
    """It says why; when the server has another certificate, it begins."""
    del secured  # there is one, so this server can be had, too
    server = Server(tmp_path / "redis", certificates=trust.options(trust.expired_server))
    server.start()
    try:
        url = tls_url(server.tls_port, **trust.files)
        node = run_node("n1", url=url, start=False)
        node.start(wait=False)
        cause = "TLS: the server's certificate has expired"
        eventually(lambda: node.log_text().count(cause) >= 2)
        assert "Traceback" not in node.log_text()
        with redis.Redis.from_url(server.url) as admin:
            renewed = trust.server
            admin.execute_command(
                *("CONFIG", "SET", "tls-cert-file", str(renewed.certificate)),
                *("tls-key-file", str(renewed.key)),
            )
            eventually(lambda: admin.exists(keys.presence("n1")))
        assert node.stop() == 0
    finally:
        server.stop()


def test_a_node_whose_certificate_is_renewed_gets_in(
    secured: Server, trust: Trust, users: Users, run_node: RunNode, keys: Keys, tmp_path: Path
) -> None:
    """Without being started anew: it reads the files whenever it connects."""
    files = {"certfile": tmp_path / "own.crt", "keyfile": tmp_path / "own.key"}
    shutil.copy(trust.expired_client.certificate, files["certfile"])
    shutil.copy(trust.expired_client.key, files["keyfile"])
    options = {**trust.files, **{name: str(path) for name, path in files.items()}}
    url = tls_url(secured.tls_port, login=users.add("node", "n1"), **options)
    node = run_node("n1", url=url, start=False)
    node.start(wait=False)
    eventually(lambda: node.log_text().count("ssl_certfile") >= 2)
    assert "expired" in node.log_text()
    shutil.copy(trust.client.certificate, files["certfile"])
    shutil.copy(trust.client.key, files["keyfile"])
    with secured.client() as admin:
        eventually(lambda: admin.exists(keys.presence("n1")))
        admin.client_kill_filter(user="n1")
    assert node.stop() == 0


def test_a_node_with_a_file_that_is_not_there_ends_at_once(run_node: RunNode) -> None:
    """It names the option and not the path."""
    url = "rediss://127.0.0.1:1/0?ssl_ca_certs=/etc/hostname&ssl_keyfile=/nowhere/hidden.key"
    node = run_node("n1", url=url, start=False)
    node.start(wait=False)
    assert node.wait() == 2
    assert "ssl_keyfile: cannot be read: No such file" in node.log_text()
    assert "hidden.key" not in node.log_text()
    assert "Traceback" not in node.log_text()


def test_plain_and_tls_do_not_meet(secured: Server, trust: Trust) -> None:
    """Each is told that nothing is there for it, within the time for a connection."""
    plain = corex.Client(f"redis://127.0.0.1:{secured.tls_port}/0")
    with plain as client, pytest.raises(StoreUnavailableError):
        client.nodes()
