"""What all transports share: settings, and the attempts and errors of one call.

Sends nothing and knows no bytes: `grpc_call.py` has what concerns gRPC. The rules are in
`retry.py`, `limits.py` and `error_mapping.py`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from durabletask.transport.errors import Refusal, SidecarError
from durabletask.transport.grpc_errors import error_for
from durabletask.transport.limits import DEFAULT_TIMEOUT
from durabletask.transport.retry import Retries, Safety, safety_of

if TYPE_CHECKING:
    import grpc

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.limits import ChannelHealth
    from durabletask.transport.retry import Failure


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


class TransportBase(ABC):
    """The settings of a transport, and the errors that its callers catch."""

    def __init__(
        self,
        address: str,
        *,
        metadata: Metadata,
        patience: float,
        health: ChannelHealth,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._address = address
        self.metadata = metadata
        self.patience = patience
        self.health = health
        self.clock = clock

    @property
    def address(self) -> str:
        """The sidecar's address, for logs and errors."""
        return self._address

    @property
    @abstractmethod
    def error_base(self) -> type[grpc.RpcError]:
        """The class of gRPC's errors that callers may catch instead of ours."""

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`; also an `error_base`."""
        return error_for(refusal, self.error_base, kind)

    def failing(self) -> None:  # noqa: B027 - not every transport can do anything about it
        """Be told that calls have failed several times in a row."""


class OutgoingCall:
    """The state of one call over all its attempts: its deadline, repetitions and errors."""

    def __init__(
        self,
        transport: TransportBase,
        method: Method,
        request: Any,
        timeout: float | None,
    ) -> None:
        self._transport = transport
        self.method = method
        self.request = request
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._safety = safety_of(method.name)
        self._has_begun = False
        deadline = transport.clock.now() + self._timeout
        self._retries = Retries(
            self._safety, deadline, transport.patience, transport.health.has_answered
        )

    def begin(self) -> float:
        """Begin an attempt; returns the seconds that it may take."""
        self._has_begun = True
        return self._retries.begin(self._transport.clock.now())

    def left(self) -> float:
        """The seconds that the attempt, with engine detection, may still take."""
        return self._retries.left(self._transport.clock.now())

    def timeout_elsewhere(self) -> float:
        """The timeout for the rest of the call where another transport makes it.

        It is the caller's until the first attempt: the other one's error names it.
        """
        return self.left() if self._has_begun else self._timeout

    def begin_stream(self, timeout: float | None) -> None:
        """Begin a stream; without a timeout it has no deadline, only its detection had one."""
        if timeout is None:
            self._retries.deadline = math.inf

    def left_of_stream(self) -> float | None:
        """The seconds until the stream's deadline; None if it has none."""
        left = self.left()
        return None if left == math.inf else left

    def refusal(self, failure: Failure) -> Refusal:
        """The failure together with what is known of the call."""
        return Refusal(
            address=self._transport.address,
            method=self.method.name,
            status=failure.status,
            details=failure.details,
            instance_id=instance_of(self.request),
            timeout=self._timeout,
        )

    def pause_before_next(self, failure: Failure) -> float | None:
        """Seconds to wait before the next attempt; None if there is none."""
        clock = self._transport.clock
        return self._retries.pause_after(failure, now=clock.now(), jitter=clock.jitter())

    def error_of(self, refusal: Refusal) -> SidecarError:
        """The error that ends the call."""
        self._record(refusal.status)
        return self._transport.error(refusal)

    def _record(self, status: str) -> None:
        if self._safety is Safety.WAIT and status == "DEADLINE_EXCEEDED":
            return  # What was waited for did not happen; the channel works.
        if self._transport.health.is_renewal_due(status, self._transport.clock.now()):
            self._transport.failing()


def instance_of(request: Any) -> str:
    """The id of the instance that the request is about, or an empty string."""
    # None where it is part of a oneof and the request is about many instances.
    names = ("instance_id", "source_instance_id")
    return next((found for name in names if (found := getattr(request, name, None))), "")
