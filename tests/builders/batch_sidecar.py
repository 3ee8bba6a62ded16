"""A sidecar whose batch streams a test plays itself, reply by reply."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from durabletask.protocol import batch_stream, codec, dialects, messages
from tests.builders.transport import RawSidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FOUND = messages.GetInstanceResponse(
    exists=True, orchestration_state=messages.OrchestrationState(name="sum")
)
FOUND_RAW = codec.encode(FOUND, dialects.TASKHUB)

OURS = (("x-durabletask-engine", "durabletask-sidecar/1"),)
OFFER = (batch_stream.OFFER_KEY, str(64 * 1024 * 1024))


class BatchingSidecar(RawSidecar):
    """A sidecar whose batch streams a test plays itself, and that answers all calls alike.

    `offers` is what it says to Hello. What comes on a stream is in `arrived`; what comes as a
    call by itself is in `alone`.
    """

    def __init__(
        self,
        offers: Any = (OFFER,),
        *,
        serves: bool = True,
        admits: bool = True,
        holds: str = "",
    ) -> None:
        super().__init__(
            {"Hello": self._hello, "GetInstance": self._get, "RaiseEvent": self._get}, {}
        )
        if holds:
            self.unary[holds] = self._hold
        self.held = asyncio.Event()
        """Set once a call by itself of the method `holds` has come, which waits for `gate`."""
        self.gate = asyncio.Event()
        self._offers = offers
        self._serves = serves
        self._admits = admits
        self.alone: list[bytes] = []
        self.arrived: asyncio.Queue[messages.CallBatch] = asyncio.Queue()
        self._calls: list[messages.BatchedCall] = []
        self.streams: list[Any] = []
        self.asked = 0
        """How often a stream was asked for."""
        self.address = ""

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method != batch_stream.PATH:
            return super().service(handler_call_details)
        self.asked += 1
        return grpc.stream_stream_rpc_method_handler(self._exchange) if self._serves else None

    async def _hello(self, _request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((*OURS, *self._offers))
        return b""

    async def _get(self, request: bytes, _context: Any) -> bytes:
        self.alone.append(request)
        return FOUND_RAW

    async def _hold(self, request: bytes, context: Any) -> bytes:
        self.held.set()
        await self.gate.wait()
        return await self._get(request, context)

    async def _exchange(self, _requests: Any, context: Any) -> None:
        if not self._admits:
            await asyncio.Event().wait()
        # First: the client goes on, and the test looks here, as soon as it is told.
        self.streams.append(context)
        await context.send_initial_metadata((OFFER,))
        while (raw := await context.read()) is not grpc.aio.EOF:
            self.arrived.put_nowait(codec.decode(messages.CallBatch, raw))

    async def call(self) -> messages.BatchedCall:
        """The next call that comes on a stream, alone in its batch."""
        batch = await self.arrived.get()
        (call,) = batch.calls
        return call

    async def next_call(self) -> messages.BatchedCall:
        """The next call that comes on a stream, in whatever batch."""
        while not self._calls:
            self._calls += (await self.arrived.get()).calls
        return self._calls.pop(0)

    async def reply(self, **reply: Any) -> None:
        """Answer on the stream that was opened last."""
        batch = messages.ReplyBatch(replies=[messages.Reply(**reply)])
        await self.streams[-1].write(codec.encode(batch))

    async def break_stream(self) -> None:
        await self.streams[-1].abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


@asynccontextmanager
async def serving(sidecar: BatchingSidecar) -> AsyncIterator[BatchingSidecar]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((sidecar,))
    sidecar.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield sidecar
    finally:
        await server.stop(None)
