"""How much there may be of everything.

Whoever carries out commands is handed the limits; nobody looks for them. What breaks one is
told which, how far, and what to do, in one form of words.

Knows nothing about what the limits are kept for, nor how options are read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .instance_ids import LONGEST

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sidecar takes on; None is no limit.

    The defaults are there for programs that run wild. A history that is full and one more
    payload fit into one message, so that what is within the limits can be handed out.

    Raises ValueError for a number below 1, and for ids longer than keys can be.
    """

    message_bytes: int | None = 64 * _MIB
    """Of one request, as gRPC counts."""
    payload_bytes: int | None = 16 * _MIB
    """Of one input, output, event, custom status or state, in UTF-8."""
    id_length: int | None = LONGEST
    """Characters of the id of a new orchestration."""
    history_events: int | None = 200_000
    """Of one execution; continue-as-new begins another."""
    history_bytes: int | None = 48 * _MIB
    """The same in bytes."""
    waiting: int | None = 100_000
    """Events, timers and results that wait for one orchestration, or messages for one entity,
    when a client adds to them. What other instances send is always taken."""
    instances: int | None = 1_000_000
    """Orchestrations of one task hub that have not ended."""
    streams: int | None = 10_000
    """Streams of work items that are open at once."""

    def __post_init__(self) -> None:
        for name in names():
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is a number from 1 on, or None; not {value}")
        if self.id_length is not None and self.id_length > LONGEST:
            raise ValueError(f"id_length is {LONGEST} at most; not {self.id_length}")

    def exceeded(self, name: str, value: int) -> int | None:
        """The limit of this name, if the value is beyond it."""
        limit: int | None = getattr(self, name)
        return limit if limit is not None and value > limit else None


def names() -> list[str]:
    """The names of all limits, in the order in which they are told."""
    return [field.name for field in fields(Limits)]


def flag(name: str) -> str:
    """The option of the command that sets the limit."""
    return f"--max-{name.replace('_', '-')}"


DEFAULT = Limits()


def complaint(found: str, limit: int, name: str, advice: str) -> str:
    """What to tell whoever has broken a limit: `found` says how."""
    return f"{found}; the limit is {limit} ({name}, {flag(name)}). {advice}"
