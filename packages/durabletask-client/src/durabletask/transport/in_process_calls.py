"""Calls to a sidecar in the same process: values and callbacks in place of gRPC.

    transport --request--> engine found in the table of this process --answered--> any thread

`protocol.in_process` has the table. Each call is answered once: by the engine, or, when the
transport is closed, by it. `async_in_process.py` waits for the answers, and so does the file
generated from it, `sync_in_process.py`.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Final

from durabletask.protocol import codec, dialects, in_process
from durabletask.protocol.in_process import Failure
from durabletask.transport import address as addresses
from durabletask.transport import error_mapping
from durabletask.transport.call import instance_of
from durabletask.transport.errors import Refusal
from durabletask.transport.limits import DEFAULT_TIMEOUT
from durabletask.transport.retry import NOT_IN_PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.in_process import InProcessEngine
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.address import Address
    from durabletask.transport.errors import SidecarError

    Answered = Callable[[Any, Failure | None], None]
    Cancel = Callable[[], None]

VARIABLE: Final = "DURABLETASK_IN_PROCESS"

CLOSED: Final = Failure("CANCELLED", error_mapping.CLOSED_HERE)
NOBODY: Final = Failure("UNAVAILABLE", NOT_IN_PROCESS)
LATE: Final = Failure("DEADLINE_EXCEEDED", "the deadline has passed")


def address_in_process(
    host_address: str | None,
    *,
    secure: object,
    channel: object,
    interceptors: object,
    channel_options: object,
    dialect: Dialect | None,
    environment: Mapping[str, str] = os.environ,
) -> Address | None:
    """The address, if a sidecar of this process that has it may be called without gRPC.

    None where the program asks for what only gRPC has. Raises ValueError if the address leads
    nowhere but to such a sidecar.
    """
    if channel is not None:
        return None
    address = addresses.resolve(host_address, secure=secure)
    is_switched_off = environment.get(VARIABLE, "").strip() == "0"
    needs_grpc = interceptors or channel_options is not None or dialect is dialects.DAPR
    if not (address.secure or needs_grpc or is_switched_off):
        return address
    if not address.is_in_process:
        return None
    hindrance, remedy = (
        (f"but {VARIABLE} is 0", "unset it")
        if is_switched_off
        else (
            "which has no place for TLS, interceptors, channel_options or Dapr's dialect",
            "leave them out",
        )
    )
    raise ValueError(
        f"{address.target} can only be reached without gRPC, {hindrance}: {remedy}, or start the "
        "sidecar with a port and use that address."
    )


class InProcessCalls:
    """The calls of one transport that are under way. May be used from any thread."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._open: dict[int, _OpenCall] = {}
        self._keys = itertools.count()
        self._is_closed = False

    def check_open(self) -> None:
        """Raise RuntimeError once the transport is closed."""
        if self._is_closed:
            raise RuntimeError("The client is closed")

    def call(
        self,
        engine: InProcessEngine,
        method: Method,
        request: Any,
        metadata: Metadata,
        answered: Answered,
    ) -> Cancel:
        """Make a call; `answered` is called once, on any thread, and not after a cancellation.

        Raises EncodeError for a request that could not be sent over gRPC either.
        """
        self.check_open()
        call = _OpenCall(self._open, next(self._keys), answered)
        try:
            call.cancel_there = engine.call(method, request, self._with(metadata), call.settle)
        except BaseException:
            call.forget()
            raise
        return self._begun(call)

    def stream(  # noqa: PLR0917 - in the order of the engine's
        self,
        engine: InProcessEngine,
        method: Method,
        request: Any,
        metadata: Metadata,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Failure | None], None],
    ) -> Cancel:
        """Open a stream; as `InProcessEngine.stream`, and it ends when the transport is closed."""
        self.check_open()
        call = _OpenCall(self._open, next(self._keys), lambda _, failure: ended(failure))
        try:
            call.cancel_there = engine.stream(
                method, request, self._with(metadata), received, call.end
            )
        except BaseException:
            call.forget()
            raise
        return self._begun(call)

    def collect(
        self,
        engine: InProcessEngine,
        method: Method,
        request: Any,
        metadata: Metadata,
        answered: Answered,
    ) -> Cancel:
        """Open a stream; `answered` is given all of its responses."""
        responses: list[bytes] = []
        return self.stream(
            engine,
            method,
            request,
            metadata,
            responses.extend,
            lambda failure: answered(responses, failure),
        )

    def close(self) -> None:
        """End all calls and refuse new ones."""
        self._is_closed = True
        for call in list(self._open.values()):
            call.cancel()
            call.end(CLOSED)

    def _with(self, metadata: Metadata) -> Metadata:
        return (*self._metadata, *metadata) if metadata else self._metadata

    def _begun(self, call: _OpenCall) -> Cancel:
        if self._is_closed:
            # Another thread has closed the transport, perhaps before the call could be cancelled.
            call.cancel()
            call.end(CLOSED)
        if not call.is_open:
            call.cancel_there = None
        return call.give_up


class _OpenCall:
    """One call that is under way, until somebody answers it or gives it up."""

    __slots__ = ("_answered", "_key", "_open", "cancel_there")

    def __init__(self, open_calls: dict[int, _OpenCall], key: int, answered: Answered) -> None:
        self._open = open_calls
        self._key = key
        self._answered = answered
        # It refers to this call in turn. Only the garbage collector would free an answered call
        # that kept it, and there are thousands a second.
        self.cancel_there: Cancel | None = None
        open_calls[key] = self

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered the call or given it up."""
        return self._key in self._open

    def settle(self, response: Any, failure: Failure | None) -> None:
        """Answer the call, unless that was done already."""
        if self.forget():
            self._answered(response, failure)
            self.cancel_there = None

    def end(self, failure: Failure | None) -> None:
        self.settle(None, failure)

    def forget(self) -> bool:
        """Whether nobody has answered the call or given it up before."""
        # Removing it is what decides between threads.
        return self._open.pop(self._key, None) is not None

    def cancel(self) -> None:
        """Cancel the call at the engine."""
        # Another thread may answer the call meanwhile.
        cancel_there = self.cancel_there
        if cancel_there is not None:
            cancel_there()

    def give_up(self) -> None:
        """Cancel the call, and leave it unanswered."""
        if self.forget():
            self.cancel()


class InProcessBatchedCalls:
    """The calls as `durabletask.transport.batched_calls.BatchedCalls`, all to one engine.

    Its errors are those of `errors.py`, and not also gRPC's: no code that was written for gRPC
    uses these calls, and so they need no gRPC.
    """

    def __init__(self, calls: InProcessCalls, engine: InProcessEngine, address: str) -> None:
        self._calls = calls
        self._engine = engine
        self._address = address

    def call(
        self,
        method: Method,
        request: Any,
        answered: Callable[[Any, Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Cancel:
        def settle(response: Any, failure: Failure | None) -> None:
            answered(response, None if failure is None else self._error(method, request, failure))

        try:
            return self._calls.call(self._engine, method, request, metadata, settle)
        except (codec.EncodeError, RuntimeError) as error:
            answered(None, error)
            return _nothing

    def stream(
        self,
        method: Method,
        request: Any,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Cancel:
        def end(failure: Failure | None) -> None:
            ended(None if failure is None else self._error(method, request, failure))

        try:
            return self._calls.stream(self._engine, method, request, metadata, received, end)
        except (codec.EncodeError, RuntimeError) as error:
            ended(error)
            return _nothing

    def _error(self, method: Method, request: Any, failure: Failure) -> SidecarError:
        refusal = Refusal(
            address=self._address,
            method=method.name,
            status=failure.status,
            details=failure.details,
            instance_id=instance_of(request),
            timeout=DEFAULT_TIMEOUT,
        )
        kind = error_mapping.kind_of(refusal)
        return kind(error_mapping.text_of(refusal, kind), refusal)


def find(address: Address) -> InProcessEngine | None:
    """The engine of this process at the address, if there is one now."""
    return in_process.find(address.target)


def _nothing() -> None:
    """There is nothing to cancel."""
