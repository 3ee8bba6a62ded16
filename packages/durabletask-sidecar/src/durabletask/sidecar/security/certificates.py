"""The certificates of the server, and whose clients it lets in.

Each handshake looks whether the files have changed. Connections that exist go on with what
they began with.

Knows nothing about tokens or calls.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc

from . import SecurityError, secret_files
from .reloading import Reloading

if TYPE_CHECKING:
    from os import PathLike

    Name = str | PathLike[str]


class Certificates:
    """A certificate, its key, and the authority of the clients' certificates, from files."""

    def __init__(self, cert: Name, key: Name, client_ca: Name | None = None) -> None:
        """Read them; raise SecurityError when they cannot be used."""
        self._asks_clients = client_ca is not None
        paths = [cert, key] if client_ca is None else [cert, key, client_ca]
        self._files = Reloading(paths, lambda: _read(cert, key, client_ca))

    def credentials(self) -> grpc.ServerCredentials:
        """What one port needs; each port keeps account of what it was given."""
        given = self._files.current()

        def newer() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            current = self._files.current()
            if current is given:
                return None
            given = current
            return current

        return grpc.dynamic_ssl_server_credentials(
            given,
            # Its types do not know that None means: no other than before.
            cast("Any", newer),
            require_client_authentication=self._asks_clients,
        )


def _read(cert: Name, key: Name, client_ca: Name | None) -> grpc.ServerCertificateConfiguration:
    chain, private = secret_files.read(cert), secret_files.read_secret(key)
    _check_pair(cert, key)
    roots = None
    if client_ca is not None:
        roots = secret_files.read(client_ca)
        _check_authority(client_ca)
    return grpc.ssl_server_certificate_configuration([(private, chain)], roots)


# gRPC tells of unusable files in lines of its own on standard error, and says here only that
# it failed. So OpenSSL, which comes with Python, looks at them first.


def _check_pair(cert: Name, key: Name) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            cert, key, password=lambda: _refuse_passphrase(key)
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SecurityError(f"{key} is not the key of the certificate in {cert}") from error
        raise SecurityError(
            f"{cert} and {key} are not a certificate and its key in PEM: {_reason(error)}"
        ) from error


def _refuse_passphrase(key: Name) -> NoReturn:
    raise SecurityError(f"{key} has a passphrase: give a key without one")


def _check_authority(client_ca: Name) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise SecurityError(
            f"{client_ca} is not a certificate of an authority in PEM: {_reason(error)}"
        ) from error


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
