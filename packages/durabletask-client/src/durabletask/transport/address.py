"""Where the sidecar is: an address as people write it, made into a target for gRPC.

The first of these that says anything wins: the argument, `DURABLETASK_ENDPOINT`, what Dapr
tells its applications (`DAPR_GRPC_ENDPOINT`, or `DAPR_GRPC_PORT` on `DAPR_GRPC_HOST` or
`DAPR_RUNTIME_HOST`, else this machine), `localhost:4001`. A prefix decides about TLS,
whatever else was said.

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
DAPR_ENDPOINT_VARIABLE = "DAPR_GRPC_ENDPOINT"
DAPR_PORT_VARIABLE = "DAPR_GRPC_PORT"
DAPR_HOST_VARIABLES = ("DAPR_GRPC_HOST", "DAPR_RUNTIME_HOST")
# Dapr's SDKs take an endpoint without a port for one behind a load balancer.
_DAPR_ENDPOINT_PORT = 443
_DAPR_TLS = re.compile(r"/?\?tls=(true|false)", re.IGNORECASE)

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
    secure: object = False,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Find the sidecar's address and whether to use TLS, or raise ValueError if it is malformed.

    `secure`, a bool or the credentials for TLS, holds only where the address has no prefix;
    credentials and a prefix that forbids TLS are a ValueError, too. A plaintext address without
    a port means port 4001; with TLS it means 443, which is gRPC's default and what hosted
    schedulers listen on.
    """
    source, written = _first_said(host_address, environment)
    target, speaks_tls = written, bool(secure)
    if source == DAPR_ENDPOINT_VARIABLE:
        target, speaks_tls = _without_tls_query(target, secure=speaks_tls)
    prefix = _PREFIX.match(target)
    if prefix:
        speaks_tls = prefix[1].lower() in _SECURE
        # People copy addresses out of browsers, slash and all.
        target = target[prefix.end() :].rstrip("/")
    port = _DAPR_ENDPOINT_PORT if source == DAPR_ENDPOINT_VARIABLE else DEFAULT_PORT
    try:
        target = _with_port(target or DEFAULT_ADDRESS, port, secure=speaks_tls)
    except ValueError as error:
        raise ValueError(
            f"{source} is {written!r}, but {error}: write host:port, as in 'localhost:4001' or "
            "'[::1]:4001', or https://host:port for TLS."
        ) from None
    if not speaks_tls and not isinstance(secure, bool):
        # In plain text nobody would look at them, and nobody would notice.
        raise ValueError(
            f"{source} is {written!r}, which forbids TLS, but there are credentials for it: "
            "write https:// before the address, or nothing."
        )
    return Address(target, speaks_tls)


def is_of_dapr(
    host_address: str | None = None, *, environment: Mapping[str, str] = os.environ
) -> bool:
    """True if it is Dapr's variables that say where the sidecar is."""
    source, _ = _first_said(host_address, environment)
    return source in (DAPR_ENDPOINT_VARIABLE, DAPR_PORT_VARIABLE)


def _first_said(host_address: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """Who says where the sidecar is, and what; the argument says nothing if nobody does."""
    said = {"host_address": _text(host_address)}
    said |= {
        name: environment.get(name, "") for name in (ENDPOINT_VARIABLE, DAPR_ENDPOINT_VARIABLE)
    }
    said[DAPR_PORT_VARIABLE] = _at_daprs_port(environment)
    stripped = ((source, text.strip()) for source, text in said.items())
    return next(((source, text) for source, text in stripped if text), ("host_address", ""))


def _at_daprs_port(environment: Mapping[str, str]) -> str:
    port = environment.get(DAPR_PORT_VARIABLE, "").strip()
    hosts = (environment.get(name, "").strip() for name in DAPR_HOST_VARIABLES)
    return f"{next(filter(None, hosts), 'localhost')}:{port}" if port else ""


def _without_tls_query(endpoint: str, *, secure: bool) -> tuple[str, bool]:
    # Dapr's own way to ask for TLS where the address has no prefix.
    query = _DAPR_TLS.search(endpoint)
    if query is None or query.end() != len(endpoint):
        return endpoint, secure
    return endpoint[: query.start()], query[1].lower() == "true"


def _text(host_address: str | None) -> str:
    return arguments.optional_text(host_address, "host_address") or ""


def _with_port(target: str, default: int, *, secure: bool) -> str:
    if _OF_GRPC.fullmatch(target):
        return target
    parts = _HOST_AND_PORT.fullmatch(target)
    if parts is None:
        raise ValueError("that is no address")
    port = parts[2]
    if port is None:
        return target if secure else f"{target}:{default}"
    if not 1 <= int(port) <= _HIGHEST_PORT:
        raise ValueError(f"ports go from 1 to {_HIGHEST_PORT}")
    return target
