"""The messages of `grpc.health.v1`, for our own codec.

Written by hand: gRPC's own package for them brings google.protobuf, and the protocol's
generated messages are for what workers and clients say.

Knows nothing about when the sidecar is well.
"""

# ruff: noqa: RUF009 - this is how betterproto2 declares fields

from __future__ import annotations

from dataclasses import dataclass

import betterproto2


class ServingStatus(betterproto2.Enum):
    """How a service is; the values are the standard's."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(eq=False, repr=False)
class HealthCheckRequest(betterproto2.Message):
    """How is this service? Empty for the server as a whole."""

    service: str = betterproto2.field(1, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class HealthCheckResponse(betterproto2.Message):
    """How the service is."""

    status: ServingStatus = betterproto2.field(
        1, betterproto2.TYPE_ENUM, default_factory=lambda: ServingStatus.UNKNOWN
    )


@dataclass(eq=False, repr=False)
class HealthListRequest(betterproto2.Message):
    """How are all services?"""


@dataclass(eq=False, repr=False)
class HealthListEntry(betterproto2.Message):
    """How one of them is; the same bytes as an entry of the standard's map."""

    service: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    response: HealthCheckResponse | None = betterproto2.field(
        2, betterproto2.TYPE_MESSAGE, optional=True
    )


@dataclass(eq=False, repr=False)
class HealthListResponse(betterproto2.Message):
    """How each service is."""

    statuses: list[HealthListEntry] = betterproto2.field(
        1, betterproto2.TYPE_MESSAGE, repeated=True
    )
