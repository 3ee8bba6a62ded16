"""Resource limits: how large messages, payloads, histories and queues may become.

Code that enforces a limit takes the limits as an argument. Its error always says which limit
is exceeded, by how much, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .ids import MAX_LENGTH

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one sidecar; None means no limit.

    The defaults protect the sidecar from programs that run wild. A history of the greatest
    size and one more payload fit into one message, so that work within the limits can always
    be sent.

    Raises ValueError for a number below 1, and for an `id_length` above 1000.
    """

    message_bytes: int | None = 64 * _MIB
    """Size of one request, as gRPC counts it."""
    payload_bytes: int | None = 16 * _MIB
    """Size of one input, output, event, custom status or state, in UTF-8."""
    id_length: int | None = MAX_LENGTH
    """Characters in the id of a new orchestration."""
    history_events: int | None = 200_000
    """Events in the history of one execution; continue-as-new begins another."""
    history_bytes: int | None = 48 * _MIB
    """Bytes of the history of one execution."""
    waiting: int | None = 100_000
    """Events, timers and results that wait for one orchestration, or messages that wait for one
    entity, when a client adds to them. What other instances send is always accepted."""
    instances: int | None = 1_000_000
    """Orchestrations of one task hub that have not ended."""
    streams: int | None = 10_000
    """Streams of work items that are open at once."""

    def __post_init__(self) -> None:
        for name in names():
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None for no limit; it is {value}")
        if self.id_length is not None and self.id_length > MAX_LENGTH:
            raise ValueError(f"id_length must be at most {MAX_LENGTH}; it is {self.id_length}")

    def exceeded(self, name: str, value: int) -> int | None:
        """The limit of this name if the value exceeds it; None when it does not."""
        limit: int | None = getattr(self, name)
        return limit if limit is not None and value > limit else None


def names() -> list[str]:
    """The names of all limits, in the order in which the help lists them."""
    return [field.name for field in fields(Limits)]


def flag(name: str) -> str:
    """The command-line option that sets the limit."""
    return f"--max-{name.replace('_', '-')}"


DEFAULT = Limits()


def error_text(found: str, limit: int, name: str, advice: str) -> str:
    """The text of a limit's error: `found` is the fact, `advice` what to do."""
    return f"{found}; the limit is {limit} ({name}, {flag(name)}). {advice}"
