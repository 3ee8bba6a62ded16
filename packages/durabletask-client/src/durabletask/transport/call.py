"""What calls from threads and calls from an event loop share: bytes, repetitions, errors.

gRPC carries bytes; our codec encodes and decodes them, in the dialect of the engine at the other
end. Sends nothing: `async_calls.py` and the file generated from it, `sync_calls.py`, do. The
rules are in `retry.py`, `limits.py`, `engine_detection.py` and `error_mapping.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from durabletask.protocol import codec
from durabletask.transport import DEFAULT_TIMEOUT, engine_detection, error_mapping
from durabletask.transport.channel import C
from durabletask.transport.errors import (
    ProtocolError,
    Refusal,
    SidecarError,
    UnsupportedOperationError,
)
from durabletask.transport.grpc_errors import error_for, failure_of, refusal_of
from durabletask.transport.retry import Retries, Safety, safety_of

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


class Clock:
    """The transport's clock: one object to replace where time or chance must not decide."""

    def now(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()  # noqa: TID251 - this is the clock

    def jitter(self) -> float:
        """A draw from [0, 1), so that many clients do not return all at once."""
        return random.random()  # noqa: TID251, S311 - this is the clock; no secret

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: TID251 - between two attempts there is no event to wait for

    async def pause_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = Clock()


class GrpcTransportBase(Generic[C]):
    """The settings of a gRPC transport, and what it knows of the engine."""

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
        # Known where a dialect was named; else detected once for each channel.
        self.engine = None if dialect is None else engine_detection.engine_of(dialect)
        self.patience = patience
        self.health = health
        self.clock = clock

    @property
    def address(self) -> str:
        """The sidecar's address, for logs and errors."""
        return self.source.label

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`; also an `error_base`."""
        return error_for(refusal, self.error_base, kind)

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


class OutgoingCall:
    """The state of one call over all its attempts: its bytes, its deadline and its errors."""

    def __init__(
        self,
        transport: GrpcTransportBase[Any],
        method: Method,
        request: Any,
        timeout: float | None,
    ) -> None:
        self._transport = transport
        self._method = method
        self._request = request
        # The question of engine detection that failed, if the call failed before its request.
        self._failed_question = ""
        self._instance_id = _instance_of(request)
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._safety = safety_of(method.name)
        deadline = transport.clock.now() + self._timeout
        self._retries = Retries(
            self._safety, deadline, transport.patience, transport.health.has_answered
        )
        self._dialect: Dialect | None = None
        self.answer_of_detection: bytes | None = None
        """The answer, if engine detection has just made the very same call."""

    def begin(self) -> None:
        """Begin an attempt."""
        self._failed_question = ""
        self.answer_of_detection = None
        self._retries.begin(self._transport.clock.now())

    def left(self) -> float:
        """The seconds that the attempt, with engine detection, may still take."""
        return self._retries.left(self._transport.clock.now())

    def begin_stream(self, timeout: float | None) -> None:
        """Begin a stream; without a timeout it has no deadline, only its detection had one."""
        if timeout is None:
            self._retries.deadline = math.inf

    def detection_answered(
        self,
        detection: Detection,
        raw: bytes,
        metadata: Iterable[tuple[str, str | bytes]] | None,
    ) -> None:
        """Go on with the detection after an answer."""
        if detection.question.method is self._method:
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
        dialect = engine.dialect_of(self._method)
        if dialect is None:
            refusal = Refusal(
                address=self._transport.address,
                method=self._method.name,
                status="UNIMPLEMENTED",
                details=error_mapping.lacks_method(engine, self._method),
                instance_id=self._instance_id,
                sent=False,
            )
            raise self._transport.error(refusal, UnsupportedOperationError)
        self._dialect = dialect
        return codec.encode(self._request, dialect)

    def pause_after(self, cause: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises the error if there is none."""
        clock = self._transport.clock
        failure = replace(failure_of(cause), in_detection=bool(self._failed_question))
        pause = self._retries.pause_after(failure, now=clock.now(), jitter=clock.jitter())
        if pause is None:
            # Our error holds all that gRPC reported; gRPC's traceback would hide its text.
            raise self.error(cause) from None
        return pause

    def error(self, cause: grpc.RpcError) -> SidecarError:
        """The error of our tree that `cause` means."""
        refusal = refusal_of(
            cause,
            address=self._transport.address,
            method=self._method.name,
            instance_id=self._instance_id,
            timeout=self._timeout,
        )
        if failure_of(cause).is_deadline(self.left()):
            refusal = replace(refusal, status="DEADLINE_EXCEEDED")
        self._record(refusal.status)
        return self._transport.error(self._named_by_question(refusal))

    def _record(self, status: str) -> None:
        if self._safety is Safety.WAIT and status == "DEADLINE_EXCEEDED":
            return  # What was waited for did not happen; the channel works.
        if self._transport.health.is_renewal_due(status, self._transport.clock.now()):
            self._transport.source.renew()

    def _named_by_question(self, refusal: Refusal) -> Refusal:
        # An engine that is away or slow fails the call just as it fails the question.
        if not self._failed_question or refusal.status in _UNREACHABLE:
            return refusal
        details = error_mapping.undecided(refusal.details)
        return replace(refusal, method=self._failed_question, details=details)

    def response(self, raw: bytes) -> Any:
        """Decode the response."""
        self._transport.health.answered()
        assert self._dialect is not None
        try:
            return codec.decode(self._method.response_class(), raw, self._dialect)
        except codec.DecodeError as error:
            refusal = Refusal(
                address=self._transport.address,
                method=self._method.name,
                status="INTERNAL",
                details=f"{len(raw)} bytes that cannot be decoded ({error})",
                instance_id=self._instance_id,
            )
            raise self._transport.error(refusal, ProtocolError) from error


def _instance_of(request: Any) -> str:
    # None where it is part of a oneof and the request is about many instances.
    names = ("instance_id", "source_instance_id")
    return next((found for name in names if (found := getattr(request, name, None))), "")
