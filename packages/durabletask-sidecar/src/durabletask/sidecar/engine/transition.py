"""Transitions and replies: the engine's outputs.

A transition holds everything that a command changes, and all of it is committed at once or
not at all. That is what makes the engine crash-safe.
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
    """The command was carried out, or there was nothing to do."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such instance."""

    text: str


@dataclass(frozen=True, slots=True)
class AlreadyExists:
    """There is an instance of that id, and it must not be replaced."""

    text: str


@dataclass(frozen=True, slots=True)
class InvalidArgument:
    """The command is not valid, whatever the state of the instance."""

    text: str


@dataclass(frozen=True, slots=True)
class FailedPrecondition:
    """The instance is not in a state in which the command can be carried out."""

    text: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A limit is reached; the command may be carried out later."""

    text: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The completed work is no longer pending: it was completed, replaced or has ended."""

    text: str


@dataclass(frozen=True, slots=True)
class Purged:
    """How many instances were removed, this one and its descendants."""

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
    """A command for all children of an instance; the committer looks them up."""

    command: Command
    live_only: bool = True


class Transition(NamedTuple):
    """What a command changes of one instance.

    `origin` is set when an execution begins. Then the history, the inbox and all that was
    pending of the old execution are removed, except the inbox rows in `inbox_keep`.
    `progress` None means that the instance stays as it is, unless the transition `removes`
    it.
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
    """New locks, and those that are granted now."""
    locks_remove: tuple[str, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    for_children: ForChildren | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit for this instance."""
        return self.progress is not None or self.removes


NOTHING = Transition()


def refuse(reply: Refusal) -> Transition:
    return Transition(reply=reply)


def instance_not_found(instance_id: str) -> NotFound:
    # Dapr's clients look for the first four words.
    return NotFound(f"no such instance exists: {instance_id}")
