"""One call, whatever carries it: its bytes, its repetitions and its texts.

`calls.py` makes calls from threads and `async_calls.py` from an event loop; what they have in
common is here. gRPC carries bytes; our codec encodes and decodes, in the dialect of the engine
at the other end.

Sends nothing, and decides little: it does what `dialect.py`, `retry.py`, `health.py` and
`refusals.py` say.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from durabletask.protocol import codec
from durabletask.transport import DEFAULT_TIMEOUT, unsupported
from durabletask.transport import dialect as dialects
from durabletask.transport.channel import C
from durabletask.transport.clock import SYSTEM_CLOCK
from durabletask.transport.errors import (
    ProtocolError,
    Refusal,
    SidecarError,
    UnsupportedOperationError,
)
from durabletask.transport.grpc_errors import error_for, failure_of, refusal_of
from durabletask.transport.refusals import undecided
from durabletask.transport.retry import Retries, Safety, safety_of

if TYPE_CHECKING:
    import grpc

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import ChannelSource, Connection
    from durabletask.transport.clock import Clock
    from durabletask.transport.dialect import Engine
    from durabletask.transport.health import ChannelHealth
    from durabletask.transport.inquiry import Inquiry

_log = logging.getLogger("durabletask.transport")

_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class Calls(Generic[C]):
    """What calls from threads and calls from an event loop have in common."""

    error_base: ClassVar[type[grpc.RpcError]]

    def __init__(
        self,
        source: ChannelSource[C],
        *,
        metadata: Metadata,
        dialect: Dialect | None,
        patience: float,
        health: ChannelHealth,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.source = source
        self.metadata = metadata
        # Who is there if somebody said so; else each channel finds out, and remembers it.
        self.engine = None if dialect is None else dialects.forced(dialect)
        self.patience = patience
        self.health = health
        self.clock = clock

    @property
    def address(self) -> str:
        """The sidecar's address, for people to read."""
        return self.source.label

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`, as callers expect it here."""
        return error_for(refusal, self.error_base, kind)

    def known(self, connection: Connection[C]) -> Engine | None:
        """Who is at the other end, if that is known already."""
        return self.engine or connection.engine

    def remember(self, connection: Connection[C], engine: Engine) -> Engine:
        """Keep what was found out, for as long as the channel lives."""
        connection.engine = engine
        self.health.answered()
        _log.debug("%s is %s, spoken to in %s.", self.address, engine.name, engine.dialect.name)
        return engine


class Call:
    """One call: its bytes, its repetitions and its texts; everything but the call itself."""

    def __init__(
        self, calls: Calls[Any], method: Method, request: Any, timeout: float | None
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        # The question that left undecided who is there, if that is what failed.
        self._undecided_by = ""
        self._instance_id = _instance_of(request)
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._safety = safety_of(method.name)
        deadline = calls.clock.now() + self._timeout
        self._retries = Retries(self._safety, deadline, calls.patience, calls.health.has_answered)
        self._dialect: Dialect | None = None

    def begin(self) -> None:
        """Begin an attempt."""
        self._undecided_by = ""
        self._retries.begin(self._calls.clock.now())

    def left(self) -> float:
        """The seconds that the attempt, and what comes before it, may still take."""
        return self._retries.left(self._calls.clock.now())

    def begin_stream(self, timeout: float | None) -> None:
        """Begin what may last for ever, unless there is a timeout: only the question may not."""
        if timeout is None:
            self._retries.deadline = math.inf

    def ask(self, inquiry: Inquiry, error: grpc.RpcError) -> None:
        """Go on with the inquiry after a refusal, or raise what leaves it undecided."""
        self._undecided_by = inquiry.question.method.name
        inquiry.failed(error)
        self._undecided_by = ""

    def payload(self, engine: Engine) -> bytes:
        """The request as this engine reads it, unless it cannot do what is asked."""
        dialect = engine.dialect_of(self._method)
        if dialect is None:
            refusal = Refusal(
                address=self._calls.address,
                method=self._method.name,
                status="UNIMPLEMENTED",
                details=unsupported.method(self._method, engine),
                instance_id=self._instance_id,
                sent=False,
            )
            raise self._calls.error(refusal, UnsupportedOperationError)
        self._dialect = dialect
        return codec.encode(self._request, dialect)

    def pause_after(self, cause: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises if there shall be none."""
        clock = self._calls.clock
        failure = replace(failure_of(cause), of_question=bool(self._undecided_by))
        pause = self._retries.pause_after(failure, now=clock.now(), jitter=clock.jitter())
        if pause is None:
            # What gRPC said is all in our error; its traceback would hide the text.
            raise self.error(cause) from None
        return pause

    def error(self, cause: grpc.RpcError) -> SidecarError:
        """The error of our tree that `cause` means."""
        refusal = refusal_of(
            cause,
            address=self._calls.address,
            method=self._method.name,
            instance_id=self._instance_id,
            timeout=self._timeout,
        )
        if failure_of(cause).is_end_of_time(self.left()):
            refusal = replace(refusal, status="DEADLINE_EXCEEDED")
        self._note(refusal.status)
        return self._calls.error(self._of_question(refusal))

    def _note(self, status: str) -> None:
        if self._safety is Safety.WAIT and status == "DEADLINE_EXCEEDED":
            return  # What was waited for did not happen: that is an answer.
        if self._calls.health.is_renewal_due(status, self._calls.clock.now()):
            self._calls.source.renew()

    def _of_question(self, refusal: Refusal) -> Refusal:
        # Who is away, or slow, fails the call just as the question before it.
        if not self._undecided_by or refusal.status in _AWAY:
            return refusal
        return replace(refusal, method=self._undecided_by, details=undecided(refusal.details))

    def response(self, raw: bytes) -> Any:
        """Decode the response."""
        self._calls.health.answered()
        assert self._dialect is not None
        try:
            return codec.decode(self._method.response_class(), raw, self._dialect)
        except codec.DecodeError as error:
            refusal = Refusal(
                address=self._calls.address,
                method=self._method.name,
                status="INTERNAL",
                details=f"{len(raw)} bytes that cannot be read ({error})",
                instance_id=self._instance_id,
            )
            raise self._calls.error(refusal, ProtocolError) from error


def _instance_of(request: Any) -> str:
    # Of a oneof, and so None, where a request is about many instances.
    names = ("instance_id", "source_instance_id")
    return next((found for name in names if (found := getattr(request, name, None))), "")
