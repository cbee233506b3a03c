"""API key and TLS settings of a client."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path

from tfrec_fusion.errors import InputError


class Credentials:
    """API key of a client and encryption of its connections.

    Args:
      server: "host:port", "http://host:port" or "https://host:port".
      api_key: sent with each request, and nowhere else.
      tls: encrypt connections; an https:// address implies it.
      ca_certs: PEM file of the only authorities that may have signed the server's certificate.

    Attributes:
      headers: sent with each request over both protocols.
      tls: whether connections are encrypted.
      ca_certs: as given.

    Raises:
      InputError: a key that is no valid header value or that would leave this machine
        unencrypted, unreadable certificates, or contradicting arguments.

    Example:
      >>> Credentials("https://shop.example", "secret").headers
      {'authorization': 'Bearer secret'}
    """

    def __init__(
        self,
        server: str,
        api_key: str | None = None,
        tls: bool = False,
        ca_certs: str | Path | None = None,
    ):
        if tls and server.startswith("http://"):
            raise InputError(f"client: tls needs an https:// address. Received: {server!r}")
        self.tls = tls or server.startswith("https://")
        if ca_certs is not None:
            self._check_certificates(ca_certs)
        self.ca_certs = ca_certs
        self.headers = {}
        if api_key is not None:
            self._check_key(api_key, server)
            self.headers = {"authorization": f"Bearer {api_key}"}

    def _check_certificates(self, path: str | Path) -> None:
        if not self.tls:
            raise InputError(
                "client: ca_certs needs TLS: an https:// address or, over gRPC, tls=True. "
                f"Received: {str(path)!r}"
            )
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            raise InputError(
                "client: ca_certs must be a PEM file of certificates "
                f"({error.strerror or error}). Received: {str(path)!r}"
            ) from None

    def _check_key(self, key: str, server: str) -> None:
        # Check here: the HTTP libraries' own errors would show the key.
        if not (isinstance(key, str) and key and key.isascii() and key.isprintable()):
            raise InputError("client: api_key must be printable ASCII text; it is not shown here")
        if key != key.strip():
            raise InputError(
                "client: api_key has leading or trailing whitespace; strip it. It is not shown here"
            )
        if not self.tls and not _is_loopback(server):
            raise InputError(
                "client: api_key needs TLS, as the server is on another machine: give an https:// "
                f"address or, over gRPC, tls=True. Received: {server!r}"
            )


# Only plain addresses count as loopback: dns://resolver/host, say, may name several machines.
_PLAIN = re.compile(r"(http://)?(?:\[([0-9a-fA-F:.]+)\]|([0-9a-zA-Z.-]+))(?::\d+)?(?(1)(?:/.*)?)")


def _is_loopback(server: str) -> bool:
    found = _PLAIN.fullmatch(server)
    if found is None:
        return False
    host = found[2] or found[3]
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
