"""Where the sidecar is: an address as people write it, made into a target for gRPC.

The first of these that says anything wins: the argument, `DURABLETASK_ENDPOINT`,
`localhost:4001`. A prefix decides about TLS, whatever else was said.

Knows nothing about channels; the environment is an argument.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from durabletask.core import arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 4001
DEFAULT_ADDRESS = f"localhost:{DEFAULT_PORT}"
ENDPOINT_VARIABLE = "DURABLETASK_ENDPOINT"

_PREFIX = re.compile(r"(https?|grpcs?)://", re.IGNORECASE)
_SECURE = ("https", "grpcs")
_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+(?:%\w+)?\])(?::([0-9]{1,5}))?")
_HIGHEST_PORT = 65535
# Forms of gRPC's own, which it knows how to read.
_OF_GRPC = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):.+", re.IGNORECASE)
# The forms that reach this machine only; gRPC's own `dns:` and `ipv4:` forms included.
_LOOPBACK = re.compile(
    r"(dns:(///?)?|ipv[46]:)?(localhost|127(\.\d{1,3}){3}|\[?::1\]?)(:\d+)?|unix(-abstract)?:.*",
    re.IGNORECASE,
)


class Address(NamedTuple):
    """A target for gRPC and whether to speak TLS to it."""

    target: str
    secure: bool

    @property
    def is_loopback(self) -> bool:
        """True if calls to it never leave this machine."""
        return _LOOPBACK.fullmatch(self.target) is not None

    def __str__(self) -> str:
        return f"https://{self.target}" if self.secure else self.target


def resolve(
    host_address: str | None = None,
    *,
    secure: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Find the sidecar's address and whether to use TLS, or raise ValueError if it is malformed.

    `secure` holds only where the address has no prefix. A plaintext address without a port
    means port 4001; with TLS it means 443, which is gRPC's default and what hosted
    schedulers listen on.
    """
    source, written = "host_address", _text(host_address).strip()
    if not written:
        source, written = ENDPOINT_VARIABLE, environment.get(ENDPOINT_VARIABLE, "").strip()
    target = written
    prefix = _PREFIX.match(written)
    if prefix:
        secure = prefix[1].lower() in _SECURE
        # People copy addresses out of browsers, slash and all.
        target = written[prefix.end() :].rstrip("/")
    try:
        return Address(_with_port(target or DEFAULT_ADDRESS, secure=secure), secure)
    except ValueError as error:
        raise ValueError(
            f"{source} is {written!r}, but {error}: write host:port, as in 'localhost:4001' or "
            "'[::1]:4001', or https://host:port for TLS."
        ) from None


def _text(host_address: str | None) -> str:
    return arguments.optional_text(host_address, "host_address") or ""


def _with_port(target: str, *, secure: bool) -> str:
    if _OF_GRPC.fullmatch(target):
        return target
    parts = _HOST_AND_PORT.fullmatch(target)
    if parts is None:
        raise ValueError("that is no address")
    port = parts[2]
    if port is None:
        return target if secure else f"{target}:{DEFAULT_PORT}"
    if not 1 <= int(port) <= _HIGHEST_PORT:
        raise ValueError(f"ports go from 1 to {_HIGHEST_PORT}")
    return target
