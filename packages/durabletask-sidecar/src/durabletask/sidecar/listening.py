"""Find out whether a port can be had, and say so in the words of the operating system.

gRPC knows only that it failed, and writes lines of its own about it to standard error.

Knows nothing about what is to be served.
"""

from __future__ import annotations

import socket

LAST_PORT = 65535


def check_free(host: str, port: int) -> None:
    """Raise OSError with a text for the user when nothing can listen there."""
    if not 0 <= port <= LAST_PORT:
        raise OSError(f"cannot listen on {target(host, port)}: the last port is {LAST_PORT}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                # As gRPC does it: connections of an earlier sidecar may still linger.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
    except (OSError, UnicodeError) as error:
        # The latter for what cannot be the name of a host.
        raise OSError(f"cannot listen on {target(host, port)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def target(host: str, port: int) -> str:
    """Write an address as gRPC reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
