"""Find addresses and ports to listen on, and say why one cannot be used.

The checks come before gRPC listens: it reports only that it failed, and writes to standard
error by itself. Does not import grpc.
"""

from __future__ import annotations

import ipaddress
import socket

LAST_PORT = 65535

# The addresses of `localhost`, whatever the machine's hosts file says: a peer may try either
# family first, and some try only one.
_LOOPBACK = ("127.0.0.1", "::1")

# A port that is free in one family is nearly always free in the other.
_MAX_TRIES = 100


def hosts(host: str) -> tuple[str, ...]:
    """The addresses to listen on; for `localhost` one of each family that the machine has."""
    if host != "localhost":
        return (host,)
    # Without any, the error will be about the first.
    return tuple(each for each in _LOOPBACK if _is_free(each, 0)) or _LOOPBACK[:1]


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that host; False if that is unknown."""
    try:
        addresses = {str(each[4][0]) for each in socket.getaddrinfo(host, 0)}
        return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in addresses)
    except (OSError, ValueError):
        return False


def free_port(hosts: tuple[str, ...]) -> int:
    """A port that is free on each of the addresses; 0 for a single one: gRPC picks a port."""
    if len(hosts) == 1:
        return 0
    for _ in range(_MAX_TRIES):
        with socket.create_server((hosts[0], 0)) as first:
            port: int = first.getsockname()[1]
            if all(_is_free(other, port) for other in hosts[1:]):
                return port
    raise OSError(f"cannot find a port that is free on each of {', '.join(hosts)}")


def _is_free(host: str, port: int) -> bool:
    try:
        check_free(host, port)
    except OSError:
        return False
    return True


def check_free(host: str, port: int) -> None:
    """Raise OSError with a text for the user when that address cannot be listened on."""
    if not 0 <= port <= LAST_PORT:
        raise OSError(
            f"cannot listen on {target(host, port)}: the port must be at most {LAST_PORT}"
        )
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                # As gRPC does: connections of an earlier sidecar may still be in TIME_WAIT.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
    except (OSError, UnicodeError) as error:
        # UnicodeError is raised for text that cannot be a host name.
        raise OSError(f"cannot listen on {target(host, port)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def target(host: str, port: int) -> str:
    """The address in the form that gRPC reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
