"""What can be asked of an instance: the engine's inputs.

A command is a value. Some come from callers, others from instances to one another
(`StartChild`, `ChildFinished`, `DeliverEvent`), and all take the same way through
`engine.apply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from durabletask.protocol import messages

    from .entities.commands import EntityCommand
    from .state import ParentLink


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Create the instance. `scheduled_start` in the past, or None, means now."""

    name: str
    input: str | None = None
    version: str | None = None
    execution_id: str | None = None
    scheduled_start: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    parent_trace_context: messages.TraceContext | None = None
    replaceable: frozenset[int] = frozenset()
    """Statuses in which an instance of this id gives way to the new one."""
    router: messages.TaskRouter | None = None
    """Which of Dapr's apps asks which one; told to the orchestrator."""


@dataclass(frozen=True, slots=True)
class StartChild:
    """Create the instance as a sub-orchestration; a live one of that id is a failed call."""

    start: StartInstance
    parent: ParentLink


@dataclass(frozen=True, slots=True)
class StartDetached:
    """Create the instance for somebody who waits for nothing: a taken id is no error."""

    start: StartInstance


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin an instance that has ended again, with the same input.

    Under another id when one is given; the old instance stays then.
    """

    new_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class StartFrom:
    """Create the instance with the history of another one, which has ended, up to an event."""

    source_id: str
    history: Sequence[messages.HistoryEvent]
    """All of it; its events are not changed."""
    event_id: int
    """What was asked for under this number is done again, and all that came after."""
    input: str | None = None
    overwrites_input: bool = False
    """Whether `input` takes the place of what was given then, even when it is None."""
    child_id: str | None = None
    """What a sub-orchestration that is done again is called; None: made of the new id."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Let an instance that has failed try again what failed."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RewindChild:
    """The same from the parent that rewinds, which waits for the child anew.

    `start` makes a child again that was purged.
    """

    start: StartInstance
    parent: ParentLink
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Purge:
    """Forget an instance that has ended, and with `recursive` its children and theirs."""

    recursive: bool = False
    even_live: bool = False
    """Ends it first; for the children of one that is purged."""
    ended_before: datetime | None = None
    """Spares one that ended since, or has not ended; None spares none for its age."""


@dataclass(frozen=True, slots=True)
class RaiseEvent:
    """Queue an external event; dropped when the instance has ended."""

    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class DeliverEvent:
    """The same from another orchestration: a missing target is no error."""

    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Suspend:
    """Hold the instance; a second one changes nothing."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a suspended instance go on; nothing happens to one that is not suspended."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Terminate:
    """End the instance, and with `recursive` its children and theirs."""

    output: str | None = None
    recursive: bool = False
    must_exist: bool = True
    """False when it comes from another orchestration: a missing target is no error."""
    must_be_live: bool = False
    """True for callers who want to know whether there was anything to end."""


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """What a worker was given, as far as committing its answer needs it."""

    execution_id: str
    at: datetime
    """What the orchestrator was told that the time is."""
    history_length: int
    """Events in history when the turn was prepared; any other number now makes it stale."""
    consumed: tuple[int, ...]
    """Inbox rows that went into the turn."""
    new_events: tuple[bytes, ...]
    rewinds: bool = False
    """It asks for a new history, and for nothing else."""
    history_bytes: int = 0
    """Of the history, as it was stored when the turn was prepared."""


@dataclass(frozen=True, slots=True)
class CompleteTurn:
    """Commit what the orchestrator decided in one turn."""

    turn: TurnTaken
    actions: Sequence[messages.OrchestratorAction]
    custom_status: str | None = None
    trace_context: messages.OrchestrationTraceContext | None = None
    version: messages.OrchestrationVersion | None = None
    """The code that took the turn, for the next one to be told."""
    keeps_status: bool = False
    """Whether no custom status means the one there was, as Dapr's workers mean it."""


@dataclass(frozen=True, slots=True)
class CompleteActivity:
    """Record the outcome of an activity; ignored when its task is not pending."""

    task_key: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class ChildFinished:
    """Tell a parent how its child ended; `failure` None means that it completed."""

    parent_execution_id: str
    task_id: int
    child_id: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class EntityAnswered:
    """Tell a caller how an operation went; `failure` None means that it returned."""

    caller_execution_id: str
    request_id: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class EntityLocked:
    """Tell an orchestration that it has one entity of a critical section for itself."""

    critical_section_id: str
    execution_id: str
    lock_set: tuple[str, ...]
    position: int
    """Of the entity in the set."""


OrchestrationCommand = (
    StartInstance
    | StartChild
    | StartDetached
    | StartFrom
    | Restart
    | Rewind
    | RewindChild
    | Purge
    | RaiseEvent
    | DeliverEvent
    | Suspend
    | Resume
    | Terminate
    | CompleteTurn
    | CompleteActivity
    | ChildFinished
    | EntityAnswered
    | EntityLocked
)

if TYPE_CHECKING:
    Command = OrchestrationCommand | EntityCommand
