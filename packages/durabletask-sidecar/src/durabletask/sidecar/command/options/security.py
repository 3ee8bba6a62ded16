"""Options for who may connect, and who may call.

Knows nothing about certificates and tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.sidecar.command.config import ConfigError
from durabletask.sidecar.security import Security

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "security", "Files that change are read again; broken ones leave the earlier in force."
    )
    group.add_argument("--tls-cert", metavar="FILE", help="serve TLS with this certificate, in PEM")
    group.add_argument("--tls-key", metavar="FILE", help="the certificate's key, in PEM")
    group.add_argument(
        "--client-ca",
        metavar="FILE",
        help="let in only clients with a certificate of this authority, in PEM",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="let in only calls with a token for their task hub; the file has lines of a task "
        "hub (* for all) and a token",
    )


def read(options: argparse.Namespace) -> Security:
    """Raises ConfigError when one of them asks for another that is missing."""
    try:
        return Security(options.tls_cert, options.tls_key, options.client_ca, options.token_file)
    except ValueError as error:
        raise ConfigError(str(error)) from error
