"""Carry out calls of this project's own clients and workers, whose requests come as values.

They come from the same process, or many in one message. What over gRPC is a call each is here
a call each as well: it is admitted by its token, counted, logged and refused alike. Answers are
given to callbacks, which return at once and raise nothing. Everything runs on the sidecar's
event loop; does not import grpc.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durabletask.protocol import dialects
from durabletask.protocol.in_process import Failure
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION

from .authorization import Admission
from .calls import Caller, hub_of
from .errors import failure_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from durabletask.protocol.in_process import Metadata
    from durabletask.protocol.methods import Method
    from durabletask.sidecar.instrumentation import Instrumentation

    from . import Service
    from .authorization import Tokens

    Answered = Callable[[Any, Failure | None], None]
    Received = Callable[[Sequence[bytes]], Awaitable[None] | None]
    Ended = Callable[[Failure | None], None]

STOPPING = Failure("UNAVAILABLE", "the sidecar is stopping")


class CallRunner:
    """Runs calls until it is closed; `tokens` admits them, None admits everybody."""

    def __init__(
        self,
        service: Service,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        tokens: Tokens | None = None,
    ) -> None:
        self._service = service
        self._instrumentation = instrumentation
        self._tokens = tokens
        self._running: set[asyncio.Task[None]] = set()

    def call(
        self, method: Method, request: Any, metadata: Metadata, answered: Answered
    ) -> Callable[[], object]:
        """Carry out a method with one response; returns a function that cancels the call.

        `answered` is called once, after a cancellation too.
        """
        return self._run(self._answer(method, request, metadata, answered))

    def stream(
        self, method: Method, request: Any, metadata: Metadata, received: Received, ended: Ended
    ) -> Callable[[], object]:
        """Carry out a method with many responses; returns a function that cancels the call.

        `received` is called with an empty sequence once the call is admitted, and with each
        batch of responses; if it returns something to wait for, the next batch comes after
        that. `ended` is called once, after a cancellation too.
        """
        return self._run(self._send(method, request, metadata, received, ended))

    def refuse(self, method: Method, error: Exception, metadata: Metadata) -> Failure:
        """Report a call that cannot be carried out; returns what its caller gets."""
        started = self._instrumentation.ticks()
        failure = failure_of(error, method=method.name, hub=hub_of(dict(metadata)))
        self._report(method, failure.status, started)
        return failure

    async def stop(self, grace: float) -> None:
        """Wait at most `grace` seconds for the calls under way, then end those that are left."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        self.close()
        if self._running:
            await asyncio.wait(self._running)

    def close(self) -> None:
        """End the calls under way: they fail because the sidecar stops."""
        for task in self._running:
            task.cancel()

    def _run(self, call: Coroutine[Any, Any, None]) -> Callable[[], object]:
        task = asyncio.get_running_loop().create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task.cancel

    async def _answer(
        self, method: Method, request: Any, metadata: Metadata, answered: Answered
    ) -> None:
        started = self._instrumentation.ticks()
        named = dict(metadata)
        try:
            admission = self._admit(named)
            response = await self._service.unary[method](request, _caller(method, named))
            if admission is not None:
                admission.check()
            self._report(method, "OK", started)
            answered(response, None)
        except asyncio.CancelledError:
            self._report(method, "CANCELLED", started)
            answered(None, STOPPING)
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            failure = failure_of(error, method=method.name, hub=hub_of(named))
            self._report(method, failure.status, started)
            answered(None, failure)

    async def _send(
        self, method: Method, request: Any, metadata: Metadata, received: Received, ended: Ended
    ) -> None:
        started = self._instrumentation.ticks()
        named = dict(metadata)
        try:
            admission = self._admit(named)
            handle = self._service.in_batches[method]
            async with handle(request, _caller(method, named)) as batches:
                await _taken(received(()))
                async for batch in batches:
                    if admission is not None:
                        admission.check()
                    await _taken(received(batch))
        except asyncio.CancelledError:
            self._report(method, "CANCELLED", started)
            ended(STOPPING)
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            failure = failure_of(error, method=method.name, hub=hub_of(named))
            self._report(method, failure.status, started)
            ended(failure)
        else:
            self._report(method, "OK", started)
            ended(None)

    def _admit(self, metadata: dict[str, str | bytes]) -> Admission | None:
        return None if self._tokens is None else Admission(self._tokens, metadata)

    def _report(self, method: Method, status: str, started: float) -> None:
        self._instrumentation.rpc_finished(method.name, status, started)


async def _taken(waiting: Awaitable[None] | None) -> None:
    if waiting is not None:
        await waiting


def _caller(method: Method, metadata: dict[str, str | bytes]) -> Caller:
    """The caller; its dialect is known, since it speaks the protocol of this very project."""
    is_taskhub = dialects.TASKHUB in method.dialects
    return Caller.of(metadata, dialects.TASKHUB if is_taskhub else method.dialects[0])
