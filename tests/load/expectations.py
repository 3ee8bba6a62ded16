"""What clients asked for and what they were told, from which follows what must be found.

answer    what the client knows                           what must be found afterwards
--------  ----------------------------------------------  -----------------------------
TOLD      the sidecar acknowledged it                     exactly one
UNKNOWN   the call failed; it may have been carried out   none or one
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Answer(Enum):
    """How a call ended for the client that made it."""

    TOLD = "acknowledged"
    UNKNOWN = "failed, which leaves open whether it was carried out"


@dataclass(frozen=True, slots=True)
class Start:
    """An orchestration was to be started."""

    kind: str
    effects: int
    """How many effects it returns, when it has completed."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class Event:
    """An event was to be raised; its id is its payload."""

    instance_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Move:
    """An entity was to change by so much."""

    amount: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ending:
    """A client was told that an orchestration is over."""

    status: str
    output: str | None


@dataclass(slots=True)
class Expectations:
    """All that clients asked for, by the ids that they gave it."""

    starts: dict[str, Start] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    moves: dict[tuple[str, str], Move] = field(default_factory=dict)
    """By the mover's id and the entity's."""
    endings: dict[str, Ending] = field(default_factory=dict)
