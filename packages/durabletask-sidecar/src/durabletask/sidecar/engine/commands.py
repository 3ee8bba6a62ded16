"""Commands to orchestrations: the engine's inputs.

Some come from clients and workers, others from one instance to another (`StartChild`,
`ChildCompleted`, `DeliverEvent`). All of them are carried out by `engine.apply`. Nobody changes
a command; those of every activity and turn are not frozen, because that takes time.
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
    """Create the instance. It starts at once if `scheduled_start` is None or in the past."""

    name: str
    input: str | None = None
    version: str | None = None
    execution_id: str | None = None
    scheduled_start: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    parent_trace_context: messages.TraceContext | None = None
    replaceable: frozenset[int] = frozenset()
    """Statuses in which an instance of this id is replaced by the new one."""
    router: messages.TaskRouter | None = None
    """Which of Dapr's apps calls which one; the orchestrator reads it in its start event."""


@dataclass(frozen=True, slots=True)
class StartChild:
    """Create the instance as a sub-orchestration; the call fails if a live one has that id."""

    start: StartInstance
    parent: ParentLink


@dataclass(frozen=True, slots=True)
class StartDetached:
    """Create a fire-and-forget instance: it is no error if its id is in use."""

    start: StartInstance


@dataclass(frozen=True, slots=True)
class Restart:
    """Start an instance that has ended again, with the same input.

    With a new id, another instance is created, and the old one stays.
    """

    new_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """Create the instance from the history of another one, which has ended, up to an event."""

    source_id: str
    history: Sequence[messages.HistoryEvent]
    """The whole history of the source; its events are not changed."""
    event_id: int
    """The activity, timer or child with this id runs again, and all that came after it."""
    input: str | None = None
    overwrites_input: bool = False
    """Whether `input` replaces the input of that event, also when it is None."""
    child_id: str | None = None
    """The id of the sub-orchestration that runs again; None derives it from the new id."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Let an instance that has failed retry what failed."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RewindChild:
    """Rewind a child for its parent, which is being rewound and waits for the child again.

    `start` creates the child anew if it was purged.
    """

    start: StartInstance
    parent: ParentLink
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove an instance that has ended, and with `recursive` all its descendants."""

    recursive: bool = False
    even_live: bool = False
    """Removes it although it has not ended; for the descendants of a purged instance."""
    ended_before: datetime | None = None
    """Removes it only if it ended before this time; None means whenever it ended."""


@dataclass(frozen=True, slots=True)
class RaiseEvent:
    """Queue an external event; it is dropped if the instance has ended."""

    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class DeliverEvent:
    """Queue an event of another orchestration; it is dropped if there is no such instance."""

    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Suspend:
    """Suspend the instance; nothing happens if it is suspended."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume a suspended or stalled instance; nothing happens to others."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Terminate:
    """End the instance, and with `recursive` all its descendants."""

    output: str | None = None
    recursive: bool = False
    must_exist: bool = True
    """Whether a missing instance is an error; it is not when an orchestration terminates it."""
    must_be_live: bool = False
    """Whether an instance that has ended is an error."""


@dataclass(slots=True)
class DispatchedTurn:
    """What a worker was sent, as far as committing its response needs it."""

    execution_id: str
    at: datetime
    """The time that the orchestrator was given as the current one."""
    history_length: int
    """Events in the history when the turn was prepared; the turn is stale if it has changed."""
    consumed: tuple[int, ...]
    """The inbox rows that went into the turn, by number."""
    new_events: tuple[bytes, ...]
    rewinds: bool = False
    """Whether the turn asks for a rewound history, and for nothing else."""


@dataclass(slots=True)
class CompleteTurn:
    """Commit what the orchestrator decided in one turn."""

    turn: DispatchedTurn
    actions: Sequence[messages.OrchestratorAction]
    custom_status: str | None = None
    trace_context: messages.OrchestrationTraceContext | None = None
    version: messages.OrchestrationVersion | None = None
    """The version of the code that ran the turn, which later turns are given."""
    keeps_status: bool = False
    """Whether no custom status means an unchanged one, as with Dapr's workers."""


@dataclass(slots=True)
class CompleteActivity:
    """Record the outcome of an activity; ignored when its task is not pending."""

    task_key: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class ChildCompleted:
    """Tell a parent how its child ended; without a `failure` it completed."""

    parent_execution_id: str
    task_id: int
    child_id: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class EntityCallCompleted:
    """Give a caller the result of its operation; without a `failure` it succeeded."""

    caller_execution_id: str
    request_id: str
    result: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class EntityLocked:
    """Tell an orchestration that one entity of a critical section is locked for it."""

    critical_section_id: str
    execution_id: str
    lock_set: tuple[str, ...]
    position: int
    """Of the locked entity in the set."""


OrchestrationCommand = (
    StartInstance
    | StartChild
    | StartDetached
    | Rerun
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
    | ChildCompleted
    | EntityCallCompleted
    | EntityLocked
)

if TYPE_CHECKING:
    Command = OrchestrationCommand | EntityCommand
