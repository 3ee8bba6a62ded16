"""`grpc.health.v1`: tell probes and load balancers whether work is welcome here.

    serving --drain--> not serving --close--> watchers are sent away

It says nothing about instances, so it answers everybody; and it is not part of the protocol,
so it is no method among the others.

Knows nothing about why the sidecar drains.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import grpc

from durabletask.protocol import codec, methods

from .health_messages import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListEntry,
    HealthListRequest,
    HealthListResponse,
    ServingStatus,
)

if TYPE_CHECKING:
    import betterproto2

    Context = grpc.aio.ServicerContext[bytes, bytes]
    M = TypeVar("M", bound=betterproto2.Message)

SERVICE = "grpc.health.v1.Health"

# The first stands for the server as a whole.
_KNOWN = ("", methods.SERVICE)


class Health:
    """Whether the sidecar serves, for those who ask once and those who watch."""

    def __init__(self) -> None:
        self._status = ServingStatus.SERVING
        self._draining = asyncio.Event()
        self._closed = asyncio.Event()

    def drain(self) -> None:
        """Say from now on that work should go elsewhere."""
        self._status = ServingStatus.NOT_SERVING
        self._draining.set()

    def close(self) -> None:
        """Send the watchers away: they would keep the server from stopping."""
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
            # Not an error, says the standard: the service might come later.
            await _tell(context, ServingStatus.SERVICE_UNKNOWN)
        else:
            if not self._draining.is_set():
                await _tell(context, ServingStatus.SERVING)
            await self._draining.wait()
            await _tell(context, ServingStatus.NOT_SERVING)
        await self._closed.wait()

    async def _list(self, raw: bytes, context: Context) -> bytes:
        await _read(HealthListRequest, raw, context)
        response = HealthCheckResponse(status=self._status)
        entries = [HealthListEntry(service=each, response=response) for each in _KNOWN]
        return codec.encode(HealthListResponse(statuses=entries))


async def _tell(context: Context, status: ServingStatus) -> None:
    await context.write(codec.encode(HealthCheckResponse(status=status)))


async def _read(message_class: type[M], raw: bytes, context: Context) -> M:
    try:
        return codec.decode(message_class, raw)
    except codec.DecodeError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise AssertionError from error  # abort always raises
