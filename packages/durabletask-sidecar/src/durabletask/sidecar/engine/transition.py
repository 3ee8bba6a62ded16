"""What a command does to an instance: the engine's outputs.

A transition is a delta. It holds everything that one step must commit, so that crash
safety is a property of one line in the committer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .commands import Command
    from .state import ChildRow, InboxRow, Origin, Progress, TaskRow


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
class Stale:
    """The work that was completed is no longer wanted: redelivered, replaced or ended."""

    text: str


Refusal = NotFound | AlreadyExists | InvalidArgument | Stale
Reply = Accepted | Refusal

ACCEPTED = Accepted()


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A command to another instance that belongs to the same commit."""

    instance_id: str
    command: Command


@dataclass(frozen=True, slots=True)
class Transition:
    """The delta of one instance.

    `origin` is set when an execution begins; then history, inbox, tasks and children of
    the old one go, except inbox rows in `inbox_keep`. `progress` None means that the
    instance stays as it is.
    """

    reply: Reply = ACCEPTED
    origin: Origin | None = None
    progress: Progress | None = None
    events: tuple[bytes, ...] = ()
    inbox_add: tuple[InboxRow, ...] = ()
    inbox_remove: tuple[int, ...] = ()
    inbox_keep: tuple[int, ...] = ()
    tasks_add: tuple[TaskRow, ...] = ()
    tasks_remove: tuple[int, ...] = ()
    children_add: tuple[ChildRow, ...] = ()
    children_remove: tuple[int, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    for_children: Command | None = None
    """A command for every live child; the committer looks them up by their parent."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit for this instance."""
        return self.progress is not None


def refuse(reply: Refusal) -> Transition:
    return Transition(reply=reply)


NOTHING = Transition()
