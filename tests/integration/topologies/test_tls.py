"""With TLS and a password: one server, by a Sentinel, and a Cluster."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
import redis

from corex import Client
from corex_node.process.embedded import HOST, EmbeddedRedis
from corex_shared.connection import Endpoint, execute, execute_async
from corex_shared.errors import StoreRefusedError, StoreUnavailableError
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.sentinel import SERVICE, Sentinel

PASSWORD = "p/ss:w@rd"
OPENSSL = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
QUOTED = "p%2Fss%3Aw%40rd"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a server that shows a certificate of its own making, `ca.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "ca.pem"
    subprocess.run(
        [*OPENSSL, "-keyout", key, "-out", certificate, "-addext", f"subjectAltName=IP:{HOST}"],
        check=True,
        capture_output=True,
    )
    return {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
        "tls-cluster": "yes",
        "tls-replication": "yes",
    }


@pytest.fixture(scope="module", params=["server", "sentinel", "cluster"])
def url(request: pytest.FixtureRequest, certificate: dict[str, str]) -> Iterator[str]:
    """URL without its options."""
    port = random.randrange(10_000, 32_000)  # below those that clients are given
    settings = {**certificate, "tls-port": str(port)}
    if request.param == "cluster":
        settings["cluster-enabled"] = "yes"
    with EmbeddedRedis(settings=settings) as server, redis.Redis.from_url(server.url) as plain:
        if request.param == "cluster":
            plain.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            state = partial(plain.execute_command, "CLUSTER", "INFO")
            eventually(lambda: "cluster_state:ok" in str(state()))
        plain.config_set("requirepass", PASSWORD)
        if request.param == "server":
            yield f"rediss://:{QUOTED}@{HOST}:{port}/0"
        elif request.param == "cluster":
            yield f"rediss+cluster://:{QUOTED}@{HOST}:{port}"
        else:
            lines = [f"{name} {value}" for name, value in settings.items() if name != "tls-port"]
            lines += [f"sentinel monitor {SERVICE} {HOST} {port} 1"]
            lines += [f'sentinel auth-pass {SERVICE} "{PASSWORD}"']
            sentinel = Sentinel("\n".join(lines), server.directory.with_name("sentinel"), tls=True)
            with closing(sentinel):
                sentinel.start()
                sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">sesame")
                address = f"{HOST}:{sentinel.tls_port}"
                yield f"rediss+sentinel://:{QUOTED}@{address}/{SERVICE}/0"


@pytest.fixture
def whole_url(url: str, certificate: dict[str, str]) -> str:
    """URL with its options."""
    more = "&sentinel_password=sesame" if "sentinel" in url else ""
    return f"{url}?ssl_ca_certs={certificate['tls-ca-cert-file']}{more}"


async def test_all_kinds_of_clients(whole_url: str) -> None:
    """They encrypt, check the certificate, and give the password."""
    endpoint = Endpoint(whole_url)
    # First: redis-py does not wait until a subscription's TLS has ended, which takes some turns of
    # the event loop.
    asynchronous = endpoint.async_pubsub()
    async with asynchronous.pubsub() as hearer:
        await hearer.subscribe("c")
        message = await hearer.get_message(timeout=20)
        assert message["type"] == "subscribe"
    await asynchronous.aclose()
    for waiting in (endpoint.async_command(), endpoint.async_blocking(1)):
        assert await execute_async(waiting, [("SET", "k", 1), ("GET", "k")]) == [True, b"1"]
        await waiting.aclose()
    for client in (endpoint.command(), endpoint.blocking(1)):
        assert execute(client, [("GET", "k"), ("PUBLISH", "c", 1)]) == [b"1", 0]
        client.close()
    with endpoint.pubsub() as subscriber, subscriber.pubsub() as listener:
        listener.subscribe("c")
        assert listener.get_message(timeout=20)["type"] == "subscribe"


def test_a_node_and_a_client(whole_url: str, run_node: RunNode, namespace: str) -> None:
    """A command and its result; the log shows no password."""
    node = run_node("n1", url=whole_url)
    with Client(whole_url, namespace=namespace) as cx:
        assert cx.node("n1").bash("echo out").wait(timeout=10).stdout == "out\n"
    assert QUOTED not in node.log_text()
    assert "sesame" not in node.log_text()


def test_a_certificate_of_a_stranger(whole_url: str) -> None:
    """Without the authority that signed it a server is not trusted."""
    options = whole_url.partition("?")[2].partition("&")[0]
    with (
        closing(Endpoint(whole_url.replace(options, "client_name=x")).command()) as client,
        pytest.raises(StoreUnavailableError, match="certificate"),
    ):
        execute(client, [("GET", "k")])


def test_a_wrong_password(whole_url: str) -> None:
    """It is refused in clear words, and not tried again for ever."""
    for wrong in (whole_url.replace(QUOTED, "wrong"), whole_url.replace("sesame", "wrong")):
        if wrong != whole_url:
            with (
                closing(Endpoint(wrong).command()) as client,
                pytest.raises(StoreRefusedError, match="password"),
            ):
                execute(client, [("GET", "k")])
