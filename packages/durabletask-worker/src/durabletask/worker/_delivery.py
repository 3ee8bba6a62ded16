"""Bring answers to the sidecar, again and again until it has said something about them.

An answer that is lost costs its work done twice or, as long as the stream holds, an
instance that waits for ever. So: what may have been lost on the way is sent again,
which is safe because the sidecar ignores an answer that it already has; what can never be
sent, or is never accepted for its size, is replaced by a failure that says so; and what
cannot be delivered at all is handed back. To engines that take nothing back the stream is
given up, for then they send again what is unanswered.

Knows nothing about orchestrations or activities.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec
from durabletask.transport.errors import LeaseLostError

from ._clock import Clock, pause
from ._status import status_of
from ._work import MessageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.transport import AsyncTransport

    from ._work import Answer, WorkItem

# A gRPC server rejects a part of more than some 1,000 unary calls in flight at random;
# a hundred keep it as busy as a thousand do.
IN_FLIGHT = 100
ATTEMPTS = 12
BACKOFF_BASE = 0.1
BACKOFF_CAP = 10.0
# Seconds until an attempt whose answer went missing is taken for lost.
ATTEMPT_TIMEOUT = 30.0

# CANCELLED is also how an overloaded gRPC server rejects a call before it saw it.
# RESOURCE_EXHAUSTED is a sidecar that is short of something, where it is not about size; and
# no status is a transport that is being replaced, which raises what it likes.
_RETRIED = frozenset(
    {
        "UNAVAILABLE",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "UNKNOWN",
        "INTERNAL",
        "ABORTED",
        "RESOURCE_EXHAUSTED",
        None,
    }
)
# What sidecars written in Go say to an answer that comes twice or too late.
_STALE_TEXTS = ("channel closed", "unknown instance id/task id combo")
# gRPC says "Received message larger than max (5242890 vs. 4194304)", or "Sent message …".
_LARGER_THAN_MAX = re.compile(r"larger than.*?\((\d+) vs\.? (\d+)\)", re.IGNORECASE)
# RESOURCE_EXHAUSTED on an answer up to this size is a sidecar that is short of something.
_MODEST = 1024 * 1024


class Delivery:
    """Sends answers over whatever transport is current, some of them at a time."""

    def __init__(
        self,
        transport: Callable[[], AsyncTransport],
        *,
        clock: Clock,
        draw: Callable[[], float],
        break_off: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        self._transport = transport
        self._break_off = break_off
        self._clock = clock
        self._draw = draw
        self._log = log
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    async def deliver(self, answer: Answer, abandon: Callable[[WorkItem], Answer]) -> None:
        """Return when the sidecar has the answer, or will never take it.

        `abandon` makes the answer that hands the work item back where no other arrives.
        """
        if not answer.item.peer.serves(answer.method):
            self._hand_back(answer)
            return
        error = await self._send_until_taken(answer)
        if error is None:
            return
        why = self._why_never(answer, error)
        if why is not None and answer.or_else is not None:
            self._log.error(
                "Instance '%s': an answer was refused: %s", answer.item.instance_id, why
            )
            await self.deliver(answer.or_else(why), abandon)
            return
        self._log.error(
            "Instance '%s': an answer could not be delivered, its work will be done again: %s",
            answer.item.instance_id,
            error,
        )
        back = abandon(answer.item)
        if back.item.peer.serves(back.method):
            # Once: where answers do not arrive, this hardly does either.
            await self._send(back)
        else:
            self._hand_back(back)

    def _hand_back(self, answer: Answer) -> None:
        self._break_off(
            f"instance '{answer.item.instance_id}': {answer.item.peer.name} sends a work item "
            "again only when the stream ends"
        )

    async def _send_until_taken(self, answer: Answer) -> Exception | None:
        """The error that ends the attempts, or None when the sidecar has the answer."""
        error: Exception | None = None
        for attempt in range(ATTEMPTS):
            error = await self._send(answer)
            if error is None or _is_stale(error):
                return None
            if not self._worth_repeating(answer, error):
                return error
            # The sidecar being away is told by the connection. Nobody else tells of an error
            # that no sidecar has sent, and that may be a mistake of this program's.
            is_news = attempt == 1 and status_of(error) is None
            self._log.log(
                logging.WARNING if is_news else logging.DEBUG,
                "Instance '%s': an answer was not taken and is sent again: %r",
                answer.item.instance_id,
                error,
            )
            await pause(self._clock, self._draw() * min(BACKOFF_CAP, BACKOFF_BASE * 2.0**attempt))
        return error

    async def _send(self, answer: Answer) -> Exception | None:
        async with self._in_flight:
            try:
                await self._transport().unary(
                    answer.method, answer.request, timeout=ATTEMPT_TIMEOUT
                )
            # Not only RpcError: the answer must outlive a transport that is being replaced.
            except Exception as error:  # noqa: BLE001
                return error
        return None

    def _worth_repeating(self, answer: Answer, error: Exception) -> bool:
        return status_of(error) in _RETRIED and self._why_never(answer, error) is None

    def _why_never(self, answer: Answer, error: Exception) -> Exception | None:
        """The error to fail with, if the answer can never be taken as it is."""
        if isinstance(error, codec.EncodeError):
            return error
        if status_of(error) != "RESOURCE_EXHAUSTED":
            return None
        if match := _LARGER_THAN_MAX.search(_details(error)):
            size, limit = (f"{int(number):,}" for number in match.groups())
            text = f"it takes {size} bytes, and the limit for a message to the sidecar is {limit}."
        elif (size_sent := self._size(answer)) > _MODEST:
            text = f"it takes {size_sent:,} bytes and the sidecar says: {_details(error)}"
        else:
            return None
        return MessageTooLargeError(
            f"{text} Pass and return less at a time, or keep the data elsewhere and pass a "
            "reference to it."
        )

    def _size(self, answer: Answer) -> int:
        return len(codec.encode(answer.request, answer.item.peer.dialect))


def _details(error: Exception) -> str:
    details: Any = getattr(error, "details", None)
    return str(details() if callable(details) else error)


def _is_stale(error: Exception) -> bool:
    """Whether the sidecar no longer waits for the answer: it has one, or needs none."""
    said = _details(error).lower()
    return isinstance(error, LeaseLostError) or any(text in said for text in _STALE_TEXTS)
