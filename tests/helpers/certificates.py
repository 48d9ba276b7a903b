"""Certificates of tests: an authority, and what it signs, made by the `openssl` program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

_EXTENSIONS = """\
[server]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth
subjectAltName = {names}
[client]
basicConstraints = critical, CA:false
extendedKeyUsage = clientAuth
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of its own, in a folder.

    Attributes:
        certificate: the file that those who trust it are given.
    """

    def __init__(self, folder: Path) -> None:
        """Make it; the folder is made too."""
        folder.mkdir()
        self._folder = folder
        self._own = self._request("ca")
        self.certificate = self._own.certificate
        self._sign(self._own, "authority", ["-signkey", str(self._own.key)])

    def server(self, name: str, *, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificate:
        """Make a server's certificate for these names."""
        return self._issue(name, "server", names)

    def expired_server(self, name: str) -> Certificate:
        """Make a server's certificate that is no longer valid."""
        return self._issue(name, "server", "IP:127.0.0.1,DNS:localhost", days=-1)

    def client(self, name: str) -> Certificate:
        """Make a client's certificate."""
        return self._issue(name, "client", "")

    def expired_client(self, name: str) -> Certificate:
        """Make a client's certificate that is no longer valid."""
        return self._issue(name, "client", "", days=-1)

    def encrypted(self, made: Certificate, secret: str) -> Certificate:
        """Write the key of a certificate anew, encrypted."""
        key = made.key.with_suffix(".encrypted")
        _openssl(
            *("pkcs8", "-topk8", "-in", str(made.key), "-out", str(key)),
            *("-passout", f"pass:{secret}"),
        )
        return Certificate(made.certificate, key)

    def _issue(self, name: str, kind: str, names: str, days: int = 30) -> Certificate:
        made = self._request(name)
        by = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key), "-CAcreateserial"]
        self._sign(made, kind, by, names or "DNS:unused", days)
        return made

    def _request(self, name: str) -> Certificate:
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        curve = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        _openssl(
            *("req", "-new", "-newkey", *curve, "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(made.key), "-out", str(request)),
        )
        return made

    def _sign(
        self, made: Certificate, kind: str, by: list[str], names: str = "DNS:unused", days: int = 30
    ) -> None:
        extensions = made.certificate.with_suffix(".cnf")
        extensions.write_text(_EXTENSIONS.format(names=names))
        _openssl(
            *("x509", "-req", "-in", str(made.certificate.with_suffix(".csr")), *by),
            *("-extfile", str(extensions), "-extensions", kind),
            *("-days", str(days), "-out", str(made.certificate)),
        )


def tls_url(port: int, host: str = "127.0.0.1", login: str = "", **files: str) -> str:
    """Write the URL of a server that speaks TLS; `files` are its query, without `ssl_`."""
    query = urlencode({f"ssl_{name}": value for name, value in files.items()})
    return f"rediss://{login}{host}:{port}/0" + (f"?{query}" if query else "")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
