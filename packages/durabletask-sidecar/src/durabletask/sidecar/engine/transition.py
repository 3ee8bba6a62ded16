"""What a command does to an instance: the engine's outputs.

A transition is a delta. It holds everything that one step must commit, so that crash
safety is a property of one line in the committer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .commands import Command
    from .state import (
        CallRow,
        ChildRow,
        InboxRow,
        LockRow,
        Origin,
        ParentLink,
        Progress,
        TaskRow,
    )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command was carried out, or had nothing to do."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such instance."""

    text: str


@dataclass(frozen=True, slots=True)
class AlreadyExists:
    """There is an instance of that id, and it does not give way."""

    text: str


@dataclass(frozen=True, slots=True)
class InvalidArgument:
    """The command makes no sense whatever the state."""

    text: str


@dataclass(frozen=True, slots=True)
class FailedPrecondition:
    """The instance is not in a state in which that can be done."""

    text: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """There is no room for it now; there may be later."""

    text: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The work that was completed is no longer wanted: redelivered, replaced or ended."""

    text: str


@dataclass(frozen=True, slots=True)
class Purged:
    """So many instances were forgotten, this one and others with it."""

    count: int


Refusal = NotFound | AlreadyExists | InvalidArgument | FailedPrecondition | Exhausted | Stale
Reply = Accepted | Purged | Refusal

ACCEPTED = Accepted()


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A command to another instance that belongs to the same commit."""

    instance_id: str
    command: Command


@dataclass(frozen=True, slots=True)
class ForChildren:
    """A command for the children of an instance; the committer looks them up."""

    command: Command
    live_only: bool = True


class Transition(NamedTuple):
    """The delta of one instance.

    `origin` is set when an execution begins; then history, inbox and all that was
    outstanding of the old one go, except inbox rows in `inbox_keep`. `progress` None
    means that the instance stays as it is, unless the transition `removes` it.
    """

    reply: Reply = ACCEPTED
    removes: bool = False
    origin: Origin | None = None
    progress: Progress | None = None
    parent: ParentLink | None = None
    """Set when the instance reports to another execution of its parent from now on."""
    events: tuple[bytes, ...] = ()
    inbox_add: tuple[InboxRow, ...] = ()
    inbox_remove: tuple[int, ...] = ()
    inbox_keep: tuple[int, ...] = ()
    tasks_add: tuple[TaskRow, ...] = ()
    tasks_remove: tuple[int, ...] = ()
    children_add: tuple[ChildRow, ...] = ()
    children_remove: tuple[int, ...] = ()
    calls_add: tuple[CallRow, ...] = ()
    calls_remove: tuple[str, ...] = ()
    locks_set: tuple[LockRow, ...] = ()
    """New ones, and those that are granted now."""
    locks_remove: tuple[str, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    for_children: ForChildren | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit for this instance."""
        return self.progress is not None or self.removes


REMOVED = Transition(removes=True)


def refuse(reply: Refusal) -> Transition:
    return Transition(reply=reply)


NOTHING = Transition()
