"""Deliver completions to the sidecar, and retry until it has responded to them.

A completion that is lost costs its work done twice or, as long as the stream holds, an
instance that waits forever. Therefore:

* What may have been lost on the way is sent again. That is safe: the sidecar ignores a
  completion that it already has.
* What can never be encoded, or is never accepted for its size, is replaced by a failure
  that says so.
* What cannot be delivered at all is handed back. For an engine to which nothing can be handed
  back the stream is aborted, upon which the engine sends again what is not completed.

An engine that takes calls in batches is sent the first attempt so, from whichever thread has
the completion; all that follows from an error is done in the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec
from durabletask.transport.errors import LeaseLostError

from ._log_errors import log_errors_ignored
from ._timing import Clock, sleep
from ._transport import status_of
from ._work_items import MessageTooLargeError

if TYPE_CHECKING:
    from durabletask.transport import AsyncTransport
    from durabletask.transport.batched_calls import BatchedCalls

    from ._options import Logger
    from ._work_items import Completion, WorkItem

Answered = Callable[[Any, "Exception | None"], None]

# A gRPC server rejects some of more than about 1,000 unary calls in flight, at random; a
# hundred keep it as busy as a thousand do.
MAX_IN_FLIGHT = 100
MAX_ATTEMPTS = 12
BACKOFF_BASE = 0.1
BACKOFF_CAP = 10.0
# Seconds until an attempt of `deliver` that is not answered counts as lost. For one of `send` that
# is up to the connection: over gRPC `DEFAULT_TIMEOUT`, and in process, where no answer is lost,
# the connection's end.
ATTEMPT_TIMEOUT = 30.0

# CANCELLED is also how an overloaded gRPC server rejects a call before it reads it.
# RESOURCE_EXHAUSTED, unless it is about size, is a sidecar that is overloaded. Errors without
# a status come from a transport that is being replaced, which may raise anything.
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
# How sidecars written in Go respond to a completion that comes twice or too late.
_STALE_TEXTS = ("channel closed", "unknown instance id/task id combo")
# gRPC says "Received message larger than max (5242890 vs. 4194304)", or "Sent message …".
_LARGER_THAN_MAX = re.compile(r"larger than.*?\((\d+) vs\.? (\d+)\)", re.IGNORECASE)
# RESOURCE_EXHAUSTED for a completion up to this many bytes is not about its size.
_NEVER_TOO_LARGE = 1024 * 1024


class CompletionDelivery:
    """Sends completions over the current transport: in batches, or `MAX_IN_FLIGHT` at a time.

    `batched_calls`, which is called on any thread, gives the calls in batches of an engine
    that takes them.
    """

    def __init__(
        self,
        transport: Callable[[], AsyncTransport],
        *,
        clock: Clock,
        draw: Callable[[], float],
        abort_stream: Callable[[str], None],
        log: Logger,
        batched_calls: Callable[[], BatchedCalls | None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._batched_calls = batched_calls
        self._abort_stream = abort_stream
        self._clock = clock
        self._draw = draw
        self._log = log
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    def send(self, completion: Completion, answered: Answered) -> bool:
        """Make the first attempt, from any thread; False if the engine takes no batches.

        `answered` is called once, on a thread of the connection's and perhaps before this
        returns: without an error when the sidecar has the completion, else with that which
        `deliver` needs. When the connection ends first, that is the error.
        """
        calls = self._batched_calls()
        if calls is None or not completion.item.engine.supports(completion.method):
            return False
        try:
            calls.call(completion.method, completion.request, answered)
        # Any error: the completion must survive a connection that has just ended.
        except Exception as error:  # noqa: BLE001
            answered(None, error)
        return True

    async def deliver(
        self,
        completion: Completion,
        abandon: Callable[[WorkItem], Completion],
        error: Exception | None = None,
    ) -> None:
        """Return when the sidecar has the completion, or will never accept it.

        `abandon` makes the completion that hands the work item back when this one and its
        fallback cannot be delivered. `error` is that of the first attempt, if it was made.
        """
        item = completion.item
        if not item.engine.supports(completion.method):
            self._abort(completion)
            return
        error = await self._send_until_accepted(completion, error)
        if error is None:
            return
        reason = self._permanent_error(completion, error)
        if reason is not None and completion.fallback is not None:
            self._log_error(
                "Instance '%s': a completion cannot be delivered and is replaced by a failure: %s",
                item,
                reason,
            )
            await self.deliver(completion.fallback(reason), abandon)
            return
        self._log_error(
            "Instance '%s': a completion could not be delivered; the work item is handed back "
            "and will be done again: %s",
            item,
            error,
        )
        handed_back = abandon(item)
        if item.engine.supports(handed_back.method):
            # Without a retry: where completions do not arrive, this hardly does either.
            await self._send(handed_back)
        else:
            self._abort(handed_back)

    def _abort(self, completion: Completion) -> None:
        item = completion.item
        self._abort_stream(
            f"instance '{item.instance_id}': {item.engine.name} sends a work item again only "
            "when the stream ends"
        )

    async def _send_until_accepted(
        self, completion: Completion, error: Exception | None
    ) -> Exception | None:
        """The error that ended the attempts, or None when the sidecar has the completion."""
        if error is None:
            error = await self._send(completion)
        for attempt in itertools.count():
            if error is None or _is_stale(error):
                return None
            if attempt == MAX_ATTEMPTS - 1 or not self._is_retried(completion, error):
                return error
            self._log_retry(completion, error, attempt + 1)
            await sleep(self._clock, self._draw() * min(BACKOFF_CAP, BACKOFF_BASE * 2.0**attempt))
            error = await self._send(completion)
        return error

    async def _send(self, completion: Completion) -> Exception | None:
        async with self._in_flight:
            try:
                await self._transport().unary(
                    completion.method, completion.request, timeout=ATTEMPT_TIMEOUT
                )
            # Any error: the completion must survive a transport that is being replaced.
            except Exception as error:  # noqa: BLE001
                return error
        return None

    def _is_retried(self, completion: Completion, error: Exception) -> bool:
        return status_of(error) in _RETRIED and self._permanent_error(completion, error) is None

    def _log_retry(self, completion: Completion, error: Exception, attempt: int) -> None:
        item, status = completion.item, status_of(error)
        # That the sidecar is away is logged with the connection. An error without a status
        # was not sent by a sidecar, may be a mistake of the program's, and is logged only here.
        is_news = attempt == 2 and status is None
        with log_errors_ignored():
            self._log.log(
                logging.WARNING if is_news else logging.DEBUG,
                "Instance '%s': attempt %d to deliver a completion failed; it is sent again: %r",
                item.instance_id,
                attempt,
                error,
                extra=item.log_fields | {"attempt": attempt, "status": status},
            )

    def _log_error(self, text: str, item: WorkItem, error: Exception) -> None:
        with log_errors_ignored():
            self._log.error(text, item.instance_id, error, extra=item.log_fields, stacklevel=2)

    def _permanent_error(self, completion: Completion, error: Exception) -> Exception | None:
        """What to fail with, if the completion can never be accepted as it is; else None."""
        if isinstance(error, codec.EncodeError):
            return error
        if status_of(error) != "RESOURCE_EXHAUSTED":
            return None
        if match := _LARGER_THAN_MAX.search(_details(error)):
            size, limit = (f"{int(number):,}" for number in match.groups())
            text = f"it takes {size} bytes, and the limit for a message to the sidecar is {limit}."
        elif (size_sent := self._size(completion)) > _NEVER_TOO_LARGE:
            text = f"it takes {size_sent:,} bytes and the sidecar says: {_details(error)}"
        else:
            return None
        return MessageTooLargeError(
            f"{text} Pass and return less at a time, or store the data elsewhere and pass a "
            "reference to it."
        )

    def _size(self, completion: Completion) -> int:
        return len(codec.encode(completion.request, completion.item.engine.dialect))


def _details(error: Exception) -> str:
    details: Any = getattr(error, "details", None)
    return str(details() if callable(details) else error)


def _is_stale(error: Exception) -> bool:
    """Whether the sidecar no longer waits for the completion: it has one, or needs none."""
    details = _details(error).lower()
    return isinstance(error, LeaseLostError) or any(text in details for text in _STALE_TEXTS)
