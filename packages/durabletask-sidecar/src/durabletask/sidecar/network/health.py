# ruff: noqa: RUF009 - this is how betterproto2 declares fields
"""`grpc.health.v1`: tell probes and load balancers whether the sidecar accepts work.

    serving --drain--> not serving --close--> calls of watchers end

It is a gRPC service of its own beside the protocol, and needs no token. Its messages are
written by hand: gRPC's own package for them brings google.protobuf.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import betterproto2
import grpc

from durabletask.protocol import codec, methods

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[bytes, bytes]

M = TypeVar("M", bound=betterproto2.Message)

SERVICE = "grpc.health.v1.Health"

# The first stands for the server as a whole.
_KNOWN = ("", methods.SERVICE)


class ServingStatus(betterproto2.Enum):
    """The state of a service, with the values of the standard."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(eq=False, repr=False)
class HealthCheckRequest(betterproto2.Message):
    """Asks for the state of a service; the empty name is the server as a whole."""

    service: str = betterproto2.field(1, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class HealthCheckResponse(betterproto2.Message):
    """The state of one service."""

    status: ServingStatus = betterproto2.field(
        1, betterproto2.TYPE_ENUM, default_factory=lambda: ServingStatus.UNKNOWN
    )


@dataclass(eq=False, repr=False)
class HealthListRequest(betterproto2.Message):
    """Asks for the states of all services."""


@dataclass(eq=False, repr=False)
class HealthListEntry(betterproto2.Message):
    """The state of one of them; encoded like an entry of the standard's map."""

    service: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    response: HealthCheckResponse | None = betterproto2.field(
        2, betterproto2.TYPE_MESSAGE, optional=True
    )


@dataclass(eq=False, repr=False)
class HealthListResponse(betterproto2.Message):
    """The states of all services."""

    statuses: list[HealthListEntry] = betterproto2.field(
        1, betterproto2.TYPE_MESSAGE, repeated=True
    )


class Health:
    """The state of the sidecar, for single checks and for watchers."""

    def __init__(self) -> None:
        self._status = ServingStatus.SERVING
        self._draining = asyncio.Event()
        self._closed = asyncio.Event()

    def drain(self) -> None:
        """Report NOT_SERVING from now on."""
        self._status = ServingStatus.NOT_SERVING
        self._draining.set()

    def close(self) -> None:
        """End the calls of watchers, which would keep the server from stopping."""
        self.drain()
        self._closed.set()

    def handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
                "List": grpc.unary_unary_rpc_method_handler(self._list),
            },
        )

    async def _check(self, raw: bytes, context: Context) -> bytes:
        request = await _read(HealthCheckRequest, raw, context)
        if request.service not in _KNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return codec.encode(HealthCheckResponse(status=self._status))

    async def _watch(self, raw: bytes, context: Context) -> None:
        request = await _read(HealthCheckRequest, raw, context)
        if request.service not in _KNOWN:
            # The standard says that this is no error: the service might be added later.
            await _send(context, ServingStatus.SERVICE_UNKNOWN)
        else:
            if not self._draining.is_set():
                await _send(context, ServingStatus.SERVING)
            await self._draining.wait()
            await _send(context, ServingStatus.NOT_SERVING)
        await self._closed.wait()

    async def _list(self, raw: bytes, context: Context) -> bytes:
        await _read(HealthListRequest, raw, context)
        response = HealthCheckResponse(status=self._status)
        entries = [HealthListEntry(service=each, response=response) for each in _KNOWN]
        return codec.encode(HealthListResponse(statuses=entries))


async def _send(context: Context, status: ServingStatus) -> None:
    await context.write(codec.encode(HealthCheckResponse(status=status)))


async def _read(message_class: type[M], raw: bytes, context: Context) -> M:
    try:
        return codec.decode(message_class, raw)
    except codec.DecodeError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise AssertionError from error  # abort always raises
