"""The batch stream of a channel: when it is opened, opened again, and given up.

    none --first call--> opening --admitted--> open --broken--> none, for a moment
                            +--refused--> none, for a moment or for good

While there is no open stream, calls are made one by one, as with any other engine: the stream
only saves time. `async_batch_stream.py` and `sync_batch_stream.py` make the streams.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from durabletask.transport.error_mapping import CLOSED_HERE
from durabletask.transport.grpc_errors import failure_of
from durabletask.transport.limits import Openings
from durabletask.transport.multiplexer import CallFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    import grpc

    NoteEnd = Callable[[CallFailure, bool], None]

_log = logging.getLogger("durabletask.transport")

CLOSED: Final = CallFailure("CANCELLED", CLOSED_HERE)
ENDED: Final = CallFailure("UNAVAILABLE", "The sidecar ended the batch stream")
NOT_ADMITTED: Final = CallFailure("DEADLINE_EXCEEDED", "The sidecar did not open the batch stream")

OPENING_TIMEOUT: Final = 5.0
"""Seconds to wait for a sidecar, or a proxy before it, that does not answer the opening."""


class BatchStream(Protocol):
    """A batch stream, from the moment it is asked for."""

    is_open: bool
    """Whether the sidecar has admitted it, and it has not ended."""
    failure: CallFailure | None
    """Why it ended."""

    def close(self) -> None:
        """End the stream, and all calls on it."""

    def close_from_anywhere(self) -> None:
        """The same, on whatever thread objects are collected."""


S = TypeVar("S", bound=BatchStream)


class ChannelBatches(Generic[S]):
    """The batch stream of one channel, which ends with this object.

    For a program need not close its clients.
    """

    def __init__(self) -> None:
        self.make: Callable[[NoteEnd], S] | None = None
        """Makes a stream, which is to say when it has ended; None until one is offered."""
        self.under_way: set[object] = set()
        """The calls that threads wait for, for those who make it depend on their number."""
        self.is_closed = False
        """Whether the channel is being closed, or was."""
        self._openings = Openings()
        self._stream: S | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    def open_stream(self, now: Callable[[], float]) -> S | None:
        """The stream if it is open; otherwise begin to open it, unless that has just failed."""
        stream = self.stream_if_due(now)
        return stream if stream is not None and stream.is_open else None

    def stream_if_due(self, now: Callable[[], float]) -> S | None:
        """The stream, open or being opened; None if that has failed, just now or for good."""
        stream = self._stream
        if stream is not None and stream.failure is None:
            return stream
        return self.any_stream(now) if self._openings.is_due(now()) else None

    def any_stream(self, now: Callable[[], float]) -> S | None:
        """The stream, open or being opened; None if the sidecar has refused it for good.

        One that has failed is opened again at once, since a stream of work items lives long:
        one that began by itself would stay so. None once the channel is closed, too.
        """
        assert self.make is not None
        with self._lock:
            if self.is_closed:
                return None
            stream = self._stream
            if (stream is None or stream.failure is not None) and not self._openings.is_given_up:
                stream = self._stream = self.make(_note(self._openings, now))
        return None if self._openings.is_given_up else stream

    def close(self) -> None:
        """End the stream and all calls on it; none is opened any more."""
        with self._lock:
            self.is_closed = True
        if self._stream is not None:
            self._stream.close()

    def __del__(self) -> None:
        # In a forked process the stream is the parent's.
        if self._stream is not None and self._process == os.getpid():
            self._stream.close_from_anywhere()


def _note(openings: Openings, now: Callable[[], float]) -> NoteEnd:
    def note(failure: CallFailure, was_open: bool) -> None:  # noqa: FBT001 - a callback
        if failure is not CLOSED and openings.failed(failure.status, now(), was_open=was_open):
            _log.debug(
                "The sidecar opens no batch stream (%s: %s); calls are made one by one",
                failure.status,
                failure.details,
                extra={"status": failure.status},
            )

    return note


def failure_of_stream(error: grpc.RpcError) -> CallFailure:
    """Why the calls on a stream failed that ended with this error."""
    failure = failure_of(error)
    # gRPC says INTERNAL where a write failed before it knew that the connection is gone.
    status = "UNAVAILABLE" if failure.status == "INTERNAL" else failure.status
    return CallFailure(status, failure.details)


def failure_of_bug(error: Exception) -> CallFailure:
    """Why the calls on a stream failed that a fault of this program has ended; logs it."""
    _log.error("The batch stream broke", exc_info=error)
    return CallFailure("UNAVAILABLE", f"The batch stream broke: {error!r}")


def channel_batches() -> ChannelBatches[Any]:
    """Those of a new channel."""
    return ChannelBatches()
