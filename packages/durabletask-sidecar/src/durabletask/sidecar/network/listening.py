"""Find out where one can listen, and say in the words of the operating system why not.

gRPC knows only that it failed, and writes lines of its own about it to standard error.

Knows nothing about what is to be served.
"""

from __future__ import annotations

import ipaddress
import socket

LAST_PORT = 65535

# What `localhost` stands for, whatever the machine's own table of names says: a peer may
# try either family first, and some try no other.
_LOOPBACK = ("127.0.0.1", "::1")

# A port that the one family has free is nearly always free in the other.
_MOST_TRIES = 100


def hosts(host: str) -> tuple[str, ...]:
    """The addresses to listen on: for `localhost` those of all families that the machine has."""
    if host != "localhost":
        return (host,)
    # Without any, the first is the one to complain about.
    return tuple(each for each in _LOOPBACK if _is_free(each, 0)) or _LOOPBACK[:1]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there; False where that is unknown."""
    try:
        addresses = {str(each[4][0]) for each in socket.getaddrinfo(host, 0)}
        return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in addresses)
    except (OSError, ValueError):
        return False


def free_port(hosts: tuple[str, ...]) -> int:
    """A port that is free on each of the addresses; 0, that gRPC picks one, if it is only one."""
    if len(hosts) == 1:
        return 0
    for _ in range(_MOST_TRIES):
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
