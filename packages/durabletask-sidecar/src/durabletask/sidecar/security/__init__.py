"""Who may connect and who may call: certificates and bearer tokens, each from files.

    files --> certificates --> the handshake of every connection
    file  --> token table  --> the authorization of every call

Files that change are read again. While a changed file cannot be used, what was read before
stays in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike


class SecurityError(Exception):
    """A certificate, key or token file cannot be used; the text says which one and why."""


@dataclass(frozen=True, slots=True)
class Security:
    """The files with the certificates and tokens of a sidecar; None turns a protection off.

    `tls_cert` (with its chain) and `tls_key` are in PEM, the key without a passphrase. With a
    `client_ca` only clients with a certificate signed by that authority may connect. With a
    `token_file` each call needs a token for its task hub; each line of the file is the name of
    a task hub, or `*` for all, and a token.

    Raises ValueError when one of them needs another that is missing.

    Example:
        security = Security("server.pem", "server.key", token_file="tokens")
        with Sidecar("tasks.db", security=security) as address:
            ...
    """

    tls_cert: str | PathLike[str] | None = None
    tls_key: str | PathLike[str] | None = None
    client_ca: str | PathLike[str] | None = None
    token_file: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both a certificate and its key: give tls-cert and tls-key")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError(
                "client-ca needs TLS, which asks clients for their certificates: "
                "give tls-cert and tls-key too"
            )

    @property
    def has_tls(self) -> bool:
        return self.tls_cert is not None

    @property
    def has_authentication(self) -> bool:
        """Whether callers must identify themselves, by a token or a certificate."""
        return self.token_file is not None or self.client_ca is not None

    def exposure_warnings(self) -> Iterator[str]:
        """What to warn of when the sidecar listens on an address that is not loopback."""
        if not self.has_tls:
            yield (
                "Listening beyond this machine without TLS: anyone on the network path can read "
                "and change all traffic, including tokens. Give --tls-cert and --tls-key."
            )
        if not self.has_authentication:
            yield (
                "Listening beyond this machine without authentication: anyone who can connect "
                "can read and change all instances. Give --token-file, or --client-ca with TLS."
            )
