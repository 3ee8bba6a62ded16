"""Decide what the worker's connection does next.

                                                      +-- stream stable --+
                                                      |                   |
                                                      |                   v
    DISCONNECTED --connect--> CONNECTING --stream opened--> STREAMING <---+
         ^                        |                             |
         +-- failed, hello timed out                            |
         +--------------- failed, stream idle, stream ended ----+

    DISCONNECTED, CONNECTING, STREAMING --stop--> DRAINING --drained--> DISCONNECTED

Whatever ends a connection leads back to DISCONNECTED, and from there the only way is to
connect again: no status code, no silence and no malformed message makes a worker stop
listening. Only `stop` does.

A pure table: no sockets, no clock, no sleeping, no randomness. `_stream.py` performs the
step and reports what happened.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class ConnectionState(enum.Enum):
    """Where the connection stands."""

    DISCONNECTED = enum.auto()
    CONNECTING = enum.auto()
    STREAMING = enum.auto()
    DRAINING = enum.auto()


class ConnectionEvent(enum.Enum):
    """What happened to the connection."""

    CONNECT = enum.auto()
    """The delay before connecting is over."""
    STREAM_OPENED = enum.auto()
    """The stream of work items is open."""
    STREAM_STABLE = enum.auto()
    """The stream has carried a message, or stayed open for some seconds."""
    STREAM_ENDED = enum.auto()
    """The server ended the stream in good order."""
    FAILED = enum.auto()
    """Any error, whatever its status code."""
    HELLO_TIMED_OUT = enum.auto()
    """The first call was not answered in time."""
    STREAM_IDLE = enum.auto()
    """The stream carried nothing for longer than allowed."""
    STOP = enum.auto()
    """The program asked the worker to stop."""
    DRAINED = enum.auto()
    """The work in flight is completed, or was given up."""


# An event that is not listed changes nothing: it is late news of an earlier state.
_NEXT: dict[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (ConnectionState.DISCONNECTED, ConnectionEvent.CONNECT): ConnectionState.CONNECTING,
    (ConnectionState.DISCONNECTED, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.CONNECTING, ConnectionEvent.STREAM_OPENED): ConnectionState.STREAMING,
    (ConnectionState.CONNECTING, ConnectionEvent.FAILED): ConnectionState.DISCONNECTED,
    (ConnectionState.CONNECTING, ConnectionEvent.HELLO_TIMED_OUT): ConnectionState.DISCONNECTED,
    (ConnectionState.CONNECTING, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.STREAMING, ConnectionEvent.STREAM_STABLE): ConnectionState.STREAMING,
    (ConnectionState.STREAMING, ConnectionEvent.STREAM_ENDED): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.FAILED): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.STREAM_IDLE): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.DRAINING, ConnectionEvent.DRAINED): ConnectionState.DISCONNECTED,
}

_FAILURES = {
    ConnectionEvent.FAILED,
    ConnectionEvent.HELLO_TIMED_OUT,
    ConnectionEvent.STREAM_IDLE,
}


@dataclass(frozen=True, slots=True)
class Connection:
    """The state of the connection, and how often it has failed since it was last stable.

    `is_channel_dead` says that the channel went silent instead of failing: its peer vanished,
    or a firewall dropped it. It would stay silent for minutes, so the next attempt needs a
    new channel.
    """

    state: ConnectionState = ConnectionState.DISCONNECTED
    failures: int = 0
    reconnect_at_once: bool = True
    is_channel_dead: bool = False

    def after(self, event: ConnectionEvent) -> Connection:
        """The connection after that event; unchanged by late news."""
        state = _NEXT.get((self.state, event))
        if state is None:
            return self
        if event is ConnectionEvent.STREAM_ENDED:
            # A server that restarts ends its streams and is back at once. One that ends every
            # new stream is not, and must not be called in a tight loop.
            return Connection(state, self.failures + 1, reconnect_at_once=self.failures == 0)
        if event in _FAILURES:
            is_channel_dead = event is not ConnectionEvent.FAILED
            return Connection(
                state, self.failures + 1, reconnect_at_once=False, is_channel_dead=is_channel_dead
            )
        if event in {ConnectionEvent.STREAM_STABLE, ConnectionEvent.DRAINED}:
            return Connection(state)
        return replace(self, state=state)

    def delay(self, *, jitter: float, base: float, cap: float) -> float:
        """Seconds to wait before connecting; `jitter` is a draw from [0, 1)."""
        if self.reconnect_at_once:
            return 0.0
        # Full jitter: a thousand workers must not call a restarted sidecar at once. The
        # exponent is bounded because a float overflows at 2**1024.
        return jitter * min(cap, base * 2.0 ** min(self.failures, 64))
