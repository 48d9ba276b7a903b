"""What is said of a TLS connection that cannot be made."""

from __future__ import annotations

import pytest

from corex_shared.tls import explain


@pytest.mark.parametrize(
    "text, cause",
    [
        ("certificate verify failed: certificate has expired", "server's certificate has expired"),
        ("Hostname mismatch, certificate is not valid for 'b'", "not for this host"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "no authority in ssl_ca_certs"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA]", "does not trust the authority of our ssl_certfile"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED]", "our ssl_certfile has expired"),
        ("[SSL: WRONG_VERSION_NUMBER]", "does not speak TLS"),
        ("Timeout connecting to server", "does not speak TLS"),
    ],
)
def test_the_cause_is_named(text: str, cause: str) -> None:
    """In front of what the library says."""
    said = explain(text, has_certificate=True)
    assert said.startswith("TLS: ")
    assert cause in said
    assert text in said


@pytest.mark.parametrize(
    "has_certificate, cause", [(False, "wants a certificate"), (True, "refuses our ssl_certfile")]
)
def test_a_connection_that_is_cut_may_be_for_want_of_a_certificate(
    has_certificate: bool, cause: str
) -> None:
    """TLS 1.3 servers say so after they have accepted the connection, and are not always heard."""
    assert f"perhaps the server {cause}" in explain("Connection reset by peer.", has_certificate)


def test_other_errors_stay_as_they_are() -> None:
    """They have nothing to do with TLS."""
    assert explain("Connection refused", has_certificate=False) == "Connection refused"
