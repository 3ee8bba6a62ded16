"""The certificate of the server, and the authority whose clients may connect.

Each handshake uses the files as they are then. Existing connections keep the certificates that
they were opened with.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc

from durabletask.sidecar.security import SecurityError, files

if TYPE_CHECKING:
    from os import PathLike

    Name = str | PathLike[str]


class Certificates:
    """A certificate, its key, and optionally the authority of client certificates."""

    def __init__(self, cert: Name, key: Name, client_ca: Name | None = None) -> None:
        """Read the files; raise SecurityError when they cannot be used."""
        self._requires_client_certificate = client_ca is not None
        paths = [cert, key] if client_ca is None else [cert, key, client_ca]
        self._files = files.FileBacked(paths, lambda: _read(cert, key, client_ca))

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials for one port, which notice changed files by themselves."""
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
            # None means unchanged, which its type stubs leave out.
            cast("Any", newer),
            require_client_authentication=self._requires_client_certificate,
        )


def _read(cert: Name, key: Name, client_ca: Name | None) -> grpc.ServerCertificateConfiguration:
    chain, private = files.read(cert), files.read_secret(key)
    _check_pair(cert, key)
    roots = None
    if client_ca is not None:
        roots = files.read(client_ca)
        _check_authority(client_ca)
    return grpc.ssl_server_certificate_configuration([(private, chain)], roots)


# gRPC writes what is wrong with a file to standard error and raises an error without a reason.
# So Python's OpenSSL checks the files first.


def _check_pair(cert: Name, key: Name) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            cert, key, password=lambda: _refuse_passphrase(key)
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SecurityError(f"{key} is not the key of the certificate in {cert}") from error
        raise SecurityError(
            f"{cert} and {key} are not a certificate and its key in PEM format: {_reason(error)}"
        ) from error


def _refuse_passphrase(key: Name) -> NoReturn:
    raise SecurityError(f"{key} has a passphrase: give a key without a passphrase")


def _check_authority(client_ca: Name) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise SecurityError(
            f"{client_ca} is not the certificate of an authority in PEM format: {_reason(error)}"
        ) from error


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
