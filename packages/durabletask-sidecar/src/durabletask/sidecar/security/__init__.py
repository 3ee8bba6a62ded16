"""Who may connect, and who may call: certificates and bearer tokens, each from files.

    files --> certificates --> the handshake of every connection
    file  --> token table  --> the admission of every call

Files that change are read again; those that cannot be used leave the earlier ones in force.

Knows nothing about instances, or about what is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike


class SecurityError(Exception):
    """A certificate, a key or a file of tokens cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Security:
    """Where the certificates and tokens of a sidecar are; None leaves a protection out.

    With a `client_ca` only those are let in whose certificate that authority has signed. The
    `token_file` has lines of a task hub and a token for it; see `token_table`.

    Raises ValueError when one asks for another that is missing.

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
            raise ValueError("TLS takes both a certificate and its key: tls-cert and tls-key")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError(
                "certificates of clients (client-ca) are only asked for over TLS: "
                "give tls-cert and tls-key, too"
            )

    @property
    def has_tls(self) -> bool:
        return self.tls_cert is not None

    @property
    def knows_callers(self) -> bool:
        """Whether there is anything that tells one caller from another."""
        return self.token_file is not None or self.client_ca is not None
