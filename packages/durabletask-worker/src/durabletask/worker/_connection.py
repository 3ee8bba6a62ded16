"""Decide what the worker's connection does next.

                                             +-- settled --+
                                             |             v
    OFFLINE --dial--> DIALING --ready--> STREAMING <-------+
       ^                 |                   |
       +- lost, unheard -+                   |
       +----- lost, silent, goodbye ---------+

    OFFLINE, DIALING, STREAMING --stop--> DRAINING --drained--> OFFLINE

Every loss leads back to OFFLINE, and from there the only way is to dial again: no
status code, no silence and no bad message makes a worker deaf. Only `stop` ends it.

A pure table: no sockets, no clock, no sleeping, no randomness. The shell in `_loop.py`
performs the step and reports back what it saw.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Link(enum.Enum):
    """Where the connection stands."""

    OFFLINE = enum.auto()
    DIALING = enum.auto()
    STREAMING = enum.auto()
    DRAINING = enum.auto()


class Seen(enum.Enum):
    """What the shell reports."""

    DIAL = enum.auto()
    """The wait before dialing is over."""
    READY = enum.auto()
    """The stream of work items is established."""
    SETTLED = enum.auto()
    """The stream has shown that it lasts: it carried a message or stood for some seconds."""
    GOODBYE = enum.auto()
    """The server ended the stream in good order."""
    LOST = enum.auto()
    """Any error, whatever its status code."""
    UNHEARD = enum.auto()
    """Nobody answered the first call in time."""
    SILENT = enum.auto()
    """Nothing was heard for longer than the silence that is allowed."""
    STOP = enum.auto()
    """The program asked the worker to stop."""
    DRAINED = enum.auto()
    """The work in flight is answered, or was given up."""


# Reports that are not listed change nothing: they are late news of a link that is gone.
_NEXT: dict[tuple[Link, Seen], Link] = {
    (Link.OFFLINE, Seen.DIAL): Link.DIALING,
    (Link.OFFLINE, Seen.STOP): Link.DRAINING,
    (Link.DIALING, Seen.READY): Link.STREAMING,
    (Link.DIALING, Seen.LOST): Link.OFFLINE,
    (Link.DIALING, Seen.UNHEARD): Link.OFFLINE,
    (Link.DIALING, Seen.STOP): Link.DRAINING,
    (Link.STREAMING, Seen.SETTLED): Link.STREAMING,
    (Link.STREAMING, Seen.GOODBYE): Link.OFFLINE,
    (Link.STREAMING, Seen.LOST): Link.OFFLINE,
    (Link.STREAMING, Seen.SILENT): Link.OFFLINE,
    (Link.STREAMING, Seen.STOP): Link.DRAINING,
    (Link.DRAINING, Seen.DRAINED): Link.OFFLINE,
}


@dataclass(frozen=True, slots=True)
class Connection:
    """The link, and how often it failed since it last held.

    `is_channel_dead` says that it keeps still instead of failing: its peer vanished, or a
    firewall forgot it. It would keep still for minutes, so the next dial takes another.
    """

    link: Link = Link.OFFLINE
    failures: int = 0
    redial_at_once: bool = True
    is_channel_dead: bool = False

    def after(self, seen: Seen) -> Connection:
        """The connection after what the shell saw; unchanged by late news."""
        link = _NEXT.get((self.link, seen))
        if link is None:
            return self
        if seen is Seen.GOODBYE:
            # A server that restarts says goodbye and is back at once. One that says it to
            # every new stream is not, and must not be dialed in a tight loop.
            return Connection(link, self.failures + 1, redial_at_once=self.failures == 0)
        if seen in {Seen.LOST, Seen.UNHEARD, Seen.SILENT}:
            is_channel_dead = seen is not Seen.LOST
            return Connection(
                link, self.failures + 1, redial_at_once=False, is_channel_dead=is_channel_dead
            )
        if seen in {Seen.SETTLED, Seen.DRAINED}:
            return Connection(link)
        return replace(self, link=link)

    def delay(self, *, jitter: float, base: float, cap: float) -> float:
        """Seconds to wait before dialing; `jitter` is a draw from [0, 1)."""
        if self.redial_at_once:
            return 0.0
        # Full jitter: a thousand workers must not redial a restarted sidecar at once. The
        # exponent is bounded because a float overflows at 2**1024.
        return jitter * min(cap, base * 2.0 ** min(self.failures - 1, 64))
