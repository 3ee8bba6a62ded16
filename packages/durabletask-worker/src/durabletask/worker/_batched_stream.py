"""A stream of work items that come in batches, on a thread of the connection's.

They are handed on from there, and the event loop sees only what is left over, the first sign of
life, and the end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durabletask.protocol import methods
from durabletask.transport.loop_calls import LoopCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from durabletask.transport import Metadata
    from durabletask.transport.batched_calls import BatchedCalls


class BatchedStream:
    """Opens the stream; iterating over it gives the messages that `hand_on` returned.

    An empty message comes once, when the first has arrived. After `aclose` nothing is
    handed on any more, and the iteration ends, also for those who wait for a message.
    """

    def __init__(
        self,
        calls: BatchedCalls,
        request: Any,
        metadata: Metadata,
        hand_on: Callable[[Sequence[bytes]], Sequence[bytes]],
    ) -> None:
        self._hand_on = hand_on
        self._in_loop = LoopCalls()
        self._left_over: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._has_received = False
        self._is_closed = False
        self._cancel = calls.stream(
            methods.GET_WORK_ITEMS, request, self._on_received, self._on_ended, metadata=metadata
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        left_over = await self._left_over.get()
        if isinstance(left_over, Exception) or self._is_closed:
            # Whoever reads after the end must not wait for a message.
            self._left_over.put_nowait(StopAsyncIteration())
        if self._is_closed:
            raise StopAsyncIteration
        if isinstance(left_over, Exception):
            raise left_over
        return left_over

    async def aclose(self) -> None:
        self._is_closed = True
        self._left_over.put_nowait(StopAsyncIteration())
        self._cancel()

    def _on_received(self, messages: Sequence[bytes]) -> None:
        # Without messages the engine says that it has admitted the worker.
        if not messages or self._is_closed:
            return
        if not self._has_received:
            self._has_received = True
            self._in_loop(self._left_over.put_nowait, b"")
        for raw in self._hand_on(messages):
            self._in_loop(self._left_over.put_nowait, raw)

    def _on_ended(self, error: Exception | None) -> None:
        self._in_loop(self._left_over.put_nowait, error or StopAsyncIteration())
