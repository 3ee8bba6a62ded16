"""Where the sidecar is: an address as people write it, made into a target for gRPC.

The first of these that is not empty wins: the argument, `DURABLETASK_ENDPOINT`, the variables
that Dapr sets for its applications (`DAPR_GRPC_ENDPOINT`, or `DAPR_GRPC_PORT` on
`DAPR_GRPC_HOST` or `DAPR_RUNTIME_HOST`, else this machine), `localhost:4001`. A prefix always
decides about TLS. Does no I/O: the environment is an argument.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from durabletask.core import arguments
from durabletask.protocol import in_process

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 4001
DEFAULT_ADDRESS = f"localhost:{DEFAULT_PORT}"
ENDPOINT_VARIABLE = "DURABLETASK_ENDPOINT"
DAPR_ENDPOINT_VARIABLE = "DAPR_GRPC_ENDPOINT"
DAPR_PORT_VARIABLE = "DAPR_GRPC_PORT"
DAPR_HOST_VARIABLES = ("DAPR_GRPC_HOST", "DAPR_RUNTIME_HOST")
# Dapr's SDKs assume that an endpoint without a port is behind a load balancer.
_DAPR_ENDPOINT_PORT = 443
_DAPR_TLS = re.compile(r"/?\?tls=(true|false)", re.IGNORECASE)

_PREFIX = re.compile(r"(https?|grpcs?)://", re.IGNORECASE)
_SECURE = ("https", "grpcs")
_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+(?:%\w+)?\])(?::([0-9]{1,5}))?")
_HIGHEST_PORT = 65535
# Targets with a scheme of gRPC's own are passed on to it unchanged; the first is this project's.
_PASSED_ON = re.compile(
    r"(in-process|dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):.+", re.IGNORECASE
)
# Targets that reach only this machine, with gRPC's schemes too.
_LOOPBACK = re.compile(
    r"(dns:(///?)?|ipv[46]:)?(localhost|127(\.\d{1,3}){3}|\[?::1\]?)(:\d+)?"
    r"|unix(-abstract)?:.*|in-process:.*",
    re.IGNORECASE,
)


class Address(NamedTuple):
    """A target for gRPC, and whether to use TLS."""

    target: str
    secure: bool

    @property
    def is_loopback(self) -> bool:
        """True if calls to it never leave this machine."""
        return _LOOPBACK.fullmatch(self.target) is not None

    @property
    def is_in_process(self) -> bool:
        """True if it can lead only to a sidecar of this process, which listens on no port."""
        return self.target.startswith(in_process.SCHEME)

    def __str__(self) -> str:
        return f"https://{self.target}" if self.secure else self.target


def resolve(
    host_address: str | None = None,
    *,
    secure: object = False,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Find the sidecar's address and whether to use TLS, or raise ValueError if it is malformed.

    `secure`, a bool or the credentials for TLS, counts only if the address has no prefix;
    credentials together with a prefix that forbids TLS are a ValueError too. Without a port the
    port is 4001 in plain text, and 443 with TLS: gRPC's default, on which hosted schedulers
    listen.
    """
    source, written = _first_given(host_address, environment)
    target, uses_tls = written, bool(secure)
    if source == DAPR_ENDPOINT_VARIABLE:
        target, uses_tls = _without_tls_query(target, secure=uses_tls)
    prefix = _PREFIX.match(target)
    if prefix:
        uses_tls = prefix[1].lower() in _SECURE
        # Addresses copied from a browser end in a slash.
        target = target[prefix.end() :].rstrip("/")
    port = _DAPR_ENDPOINT_PORT if source == DAPR_ENDPOINT_VARIABLE else DEFAULT_PORT
    try:
        target = _with_port(target or DEFAULT_ADDRESS, port, secure=uses_tls)
    except ValueError as error:
        raise ValueError(
            f"{source} is {written!r}, but {error}: write host:port, as in 'localhost:4001' or "
            "'[::1]:4001', or https://host:port for TLS."
        ) from None
    if not uses_tls and not isinstance(secure, bool):
        # Without TLS gRPC would silently ignore the credentials.
        raise ValueError(
            f"{source} is {written!r}, which forbids TLS, but there are credentials for it: "
            "write https:// before the address, or no prefix."
        )
    return Address(target, uses_tls)


def is_of_dapr(
    host_address: str | None = None, *, environment: Mapping[str, str] = os.environ
) -> bool:
    """True if the address comes from Dapr's variables."""
    source, _ = _first_given(host_address, environment)
    return source in (DAPR_ENDPOINT_VARIABLE, DAPR_PORT_VARIABLE)


def _first_given(host_address: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The source of the address and the address; both the argument's if all are empty."""
    given = {"host_address": _text(host_address)}
    given |= {
        name: environment.get(name, "") for name in (ENDPOINT_VARIABLE, DAPR_ENDPOINT_VARIABLE)
    }
    given[DAPR_PORT_VARIABLE] = _at_daprs_port(environment)
    stripped = ((source, text.strip()) for source, text in given.items())
    return next(((source, text) for source, text in stripped if text), ("host_address", ""))


def _at_daprs_port(environment: Mapping[str, str]) -> str:
    port = environment.get(DAPR_PORT_VARIABLE, "").strip()
    hosts = (environment.get(name, "").strip() for name in DAPR_HOST_VARIABLES)
    return f"{next(filter(None, hosts), 'localhost')}:{port}" if port else ""


def _without_tls_query(endpoint: str, *, secure: bool) -> tuple[str, bool]:
    # Dapr's own way to ask for TLS in an address without a prefix.
    query = _DAPR_TLS.search(endpoint)
    if query is None or query.end() != len(endpoint):
        return endpoint, secure
    return endpoint[: query.start()], query[1].lower() == "true"


def _text(host_address: str | None) -> str:
    return arguments.optional_text(host_address, "host_address") or ""


def _with_port(target: str, default: int, *, secure: bool) -> str:
    if _PASSED_ON.fullmatch(target):
        return target
    parts = _HOST_AND_PORT.fullmatch(target)
    if parts is None:
        raise ValueError("that is not an address")
    port = parts[2]
    if port is None:
        return target if secure else f"{target}:{default}"
    if not 1 <= int(port) <= _HIGHEST_PORT:
        raise ValueError(f"ports go from 1 to {_HIGHEST_PORT}")
    return target
