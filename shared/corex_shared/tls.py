"""TLS to Redis: whether a URL's files can be used, and what went wrong, in words for people."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from corex_shared.errors import ConfigError

_CAUSES = (
    # What our side says of the server's certificate.
    ("certificate has expired", "the server's certificate has expired"),
    ("certificate is not yet valid", "the server's certificate is not valid yet"),
    ("mismatch, certificate is not valid", "the server's certificate is not for this host"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "no authority in ssl_ca_certs has signed the server's certificate",
    ),
    # What the server says of ours.
    ("ALERT_UNKNOWN_CA", "the server does not trust the authority of our ssl_certfile"),
    ("ALERT_CERTIFICATE_EXPIRED", "our ssl_certfile has expired"),
    ("ALERT_CERTIFICATE_REVOKED", "our ssl_certfile is revoked"),
    ("ALERT_BAD_CERTIFICATE", "the server refuses our ssl_certfile"),
    ("ALERT_CERTIFICATE_REQUIRED", "the server wants a certificate: set ssl_certfile, ssl_keyfile"),
    ("WRONG_VERSION_NUMBER", "what listens there does not speak TLS"),
    ("PROTOCOL_VERSION", "the server speaks no version of TLS that is allowed here"),
    ("Timeout connecting", "perhaps what listens there does not speak TLS"),
)
# A server that does not like our certificate closes the connection; whether what it says of that is
# read before the connection is gone is a matter of chance.
_CUT = ("EOF occurred in violation of protocol", "Connection reset by peer", "Connection closed")


def explain(text: str, has_certificate: bool) -> str:
    """Say why a connection could not be made.

    Args:
        text: what the libraries say.
        has_certificate: whether the URL names a certificate of ours.
    """
    for sign, cause in _CAUSES:
        if sign in text:
            return f"TLS: {cause} ({text})"
    if not any(sign in text for sign in _CUT):
        return text
    if has_certificate:
        cause = "refuses our ssl_certfile (expired, or of an authority that it does not know)"
    else:
        cause = "wants a certificate: set ssl_certfile, ssl_keyfile"
    return f"TLS: perhaps the server {cause} ({text})"


def check_files(options: Mapping[str, Any]) -> None:
    """See that the files that a URL names can be used.

    Their paths are not told, since what tells it may be a log.

    Args:
        options: of the URL, as redis-py reads it.

    Raises:
        ConfigError: one cannot be read, or is not what it should be.
    """
    # Without one OpenSSL would ask for it, on a terminal that nobody looks at.
    secret = str(options.get("ssl_password", ""))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities, certificate = options.get("ssl_ca_certs"), options.get("ssl_certfile")
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        _check_readable(name, options.get(name))
    if options.get("ssl_keyfile") and not certificate:
        raise ConfigError("url", "ssl_certfile", "is missing: there is an ssl_keyfile")
    try:
        if authorities:
            context.load_verify_locations(cafile=authorities)
    except ssl.SSLError as error:
        raise ConfigError("url", "ssl_ca_certs", f"holds no certificates ({error})") from error
    try:
        if certificate:
            context.load_cert_chain(certificate, options.get("ssl_keyfile"), lambda: secret)
    except ssl.SSLError as error:
        reason = "no certificate with its private key, or ssl_password is not the key's"
        raise ConfigError("url", "ssl_certfile, ssl_keyfile", f"{reason} ({error})") from error


def _check_readable(name: str, path: Any) -> None:
    if path is None:
        return
    try:
        with open(str(path), "rb"):
            pass
    except OSError as error:
        raise ConfigError("url", name, f"cannot be read: {error.strerror}") from error
