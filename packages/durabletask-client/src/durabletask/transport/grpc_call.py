"""What calls over gRPC share, from threads and from an event loop: bytes, detection, errors.

gRPC carries bytes; our codec encodes and decodes them, in the dialect of the engine at the other
end. Sends nothing: `async_calls.py` and the file generated from it, `sync_calls.py`, do. The
rules are in `call.py` and `engine_detection.py`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic

from durabletask.protocol import codec
from durabletask.transport import engine_detection, error_mapping
from durabletask.transport.call import SYSTEM_CLOCK, Clock, OutgoingCall, TransportBase, instance_of
from durabletask.transport.channel import C
from durabletask.transport.errors import (
    ProtocolError,
    Refusal,
    SidecarError,
    UnsupportedOperationError,
)
from durabletask.transport.grpc_errors import failure_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import ChannelSource, Connection
    from durabletask.transport.engine_detection import Detection, Engine
    from durabletask.transport.limits import ChannelHealth

_log = logging.getLogger("durabletask.transport")

_UNREACHABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class GrpcTransportBase(TransportBase, Generic[C]):
    """The settings of a gRPC transport, and what it knows of the engine."""

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
        super().__init__(
            source.label, metadata=metadata, patience=patience, health=health, clock=clock
        )
        self.source = source
        # Known where a dialect was named; else detected once for each channel.
        self.engine = None if dialect is None else engine_detection.engine_of(dialect)

    def failing(self) -> None:
        self.source.renew()

    def known_engine(self, connection: Connection[C]) -> Engine | None:
        """The engine at the other end, if it is known already."""
        return self.engine or connection.engine

    def remember(self, connection: Connection[C], engine: Engine) -> Engine:
        """Keep the engine that was detected, for as long as the channel lives."""
        connection.engine = engine
        self.health.answered()
        _log.debug(
            "Detected %s at %s (dialect %s)",
            engine.name,
            self.address,
            engine.dialect.name,
            extra={"address": self.address},
        )
        return engine


class GrpcCall(OutgoingCall):
    """One call over all its attempts, with its bytes and the detection of the engine."""

    def __init__(
        self,
        transport: GrpcTransportBase[Any],
        method: Method,
        request: Any,
        timeout: float | None,
    ) -> None:
        super().__init__(transport, method, request, timeout)
        # The question of engine detection that failed, if the call failed before its request.
        self._failed_question = ""
        self._dialect: Dialect | None = None
        self.answer_of_detection: bytes | None = None
        """The answer, if engine detection has just made the very same call."""

    def begin(self) -> float:
        """Begin an attempt; returns the seconds that it may take."""
        self._failed_question = ""
        self.answer_of_detection = None
        return super().begin()

    def detection_answered(
        self,
        detection: Detection,
        raw: bytes,
        metadata: Iterable[tuple[str, str | bytes]] | None,
    ) -> None:
        """Go on with the detection after an answer."""
        if detection.question.method is self.method:
            self.answer_of_detection = raw
        detection.answered(metadata)

    def detection_failed(self, detection: Detection, error: grpc.RpcError) -> None:
        """Go on with the detection after a refusal, or raise one that leaves it undecided."""
        question = detection.question.method.name
        failure = failure_of(error)
        if not detection.refused(failure.status, failure.details):
            self._failed_question = question
            raise error

    def payload(self, engine: Engine) -> bytes:
        """The request in the engine's dialect; raises if the engine lacks the method."""
        dialect = engine.dialect_of(self.method)
        if dialect is None:
            refusal = Refusal(
                address=self._transport.address,
                method=self.method.name,
                status="UNIMPLEMENTED",
                details=error_mapping.lacks_method(engine, self.method),
                instance_id=instance_of(self.request),
                sent=False,
            )
            raise self._transport.error(refusal, UnsupportedOperationError)
        self._dialect = dialect
        return codec.encode(self.request, dialect)

    def pause_after(self, cause: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises the error if there is none."""
        failure = replace(failure_of(cause), in_detection=bool(self._failed_question))
        pause = self.pause_before_next(failure)
        if pause is None:
            # Our error holds all that gRPC reported; gRPC's traceback would hide its text.
            raise self.error(cause) from None
        return pause

    def error(self, cause: grpc.RpcError) -> SidecarError:
        """The error of our tree that `cause` means."""
        refusal = refusal_of(
            cause,
            address=self._transport.address,
            method=self.method.name,
            instance_id=instance_of(self.request),
            timeout=self._timeout,
        )
        if failure_of(cause).is_deadline(self.left()):
            refusal = replace(refusal, status="DEADLINE_EXCEEDED")
        return self.error_of(self._named_by_question(refusal))

    def _named_by_question(self, refusal: Refusal) -> Refusal:
        # An engine that is away or slow fails the call just as it fails the question.
        if not self._failed_question or refusal.status in _UNREACHABLE:
            return refusal
        details = error_mapping.undecided(refusal.details)
        return replace(refusal, method=self._failed_question, details=details)

    def response(self, raw: bytes, dialect: Dialect | None = None) -> Any:
        """Decode the response, by default in the dialect in which the request was encoded."""
        self._transport.health.answered()
        dialect = dialect or self._dialect
        assert dialect is not None
        try:
            return codec.decode(self.method.response_class(), raw, dialect)
        except codec.DecodeError as error:
            refusal = Refusal(
                address=self._transport.address,
                method=self.method.name,
                status="INTERNAL",
                details=f"{len(raw)} bytes that cannot be decoded ({error})",
                instance_id=instance_of(self.request),
            )
            raise self._transport.error(refusal, ProtocolError) from error
