"""The state of one orchestration instance.

`Origin` is what its execution began with, `Progress` what every commit may change; both are
values. What is pending is held as rows: tasks, children, calls, locks, and the inbox, where
a timer is an event that becomes visible later. The history is not part of the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .inbox import Inbox, InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from durabletask.protocol import messages

    from .transition import Transition

__all__ = [
    "CallRow",
    "ChildRow",
    "InboxRow",
    "Instance",
    "LockRow",
    "Origin",
    "ParentLink",
    "Progress",
    "ScheduledTask",
    "TaskRow",
]

# Bytes that Python needs for a row besides its payload, measured roughly on CPython 3.11.
_ROW = 600

_K = TypeVar("_K")
_R = TypeVar("_R")

# COMPLETED, FAILED, CANCELED and TERMINATED.
TERMINAL_STATUSES = (1, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class ParentLink:
    """The parent that waits for this instance, and the id of its action."""

    instance_id: str
    execution_id: str
    task_id: int
    name: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What an execution was started with; it does not change while the execution lasts."""

    execution_id: str
    name: str
    created_at: datetime
    input: str | None = None
    version: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    scheduled_start: datetime | None = None
    parent: ParentLink | None = None
    parent_trace_context: messages.TraceContext | None = None


# A tuple, as are all values that are created for every event: creating a frozen dataclass
# takes three times as long.
class Progress(NamedTuple):
    """Status, output and counters of an instance: what every commit may change."""

    status: messages.OrchestrationStatus
    updated_at: datetime
    completed_at: datetime | None = None
    output: str | None = None
    custom_status: str | None = None
    failure: messages.TaskFailureDetails | None = None
    trace_context: messages.OrchestrationTraceContext | None = None
    history_length: int = 0
    """Events in the history of this execution."""
    turn_at: datetime | None = None
    """Time of the last turn. It is the orchestrator's clock, so the next turn is not earlier."""
    rows_made: int = 0
    """Counts inbox and task rows over all executions, so that no number is used twice."""
    suspended_at: datetime | None = None
    suspend_reason: str | None = None
    history_bytes: int = 0
    """Size of the history as it is stored."""

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None and not self.is_terminal


# Not frozen, because there is one for every activity; nobody changes it.
@dataclass(slots=True)
class ScheduledTask:
    """An activity that was scheduled and has no outcome yet, without its input."""

    number: int
    task_id: int
    """The id of the orchestrator's action; the official SDK uses one id for all retries."""
    execution_id: str
    name: str
    version: str | None

    @property
    def key(self) -> str:
        """Identifies this row among all rows ever; it is part of the completion token."""
        return f"{self.execution_id}:{self.number}"


@dataclass(slots=True)
class TaskRow(ScheduledTask):
    """The same with what a worker is sent."""

    request: bytes
    """The encoded ActivityRequest."""
    call_id: str | None = field(default=None, compare=False)
    """Its task_execution_id, if that was not only read from the store with the request."""


@dataclass(frozen=True, slots=True)
class ChildRow:
    """A sub-orchestration that was started and has not ended yet."""

    task_id: int
    child_id: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """The call of an entity that has no answer yet."""

    request_id: str
    entity_id: str


@dataclass(frozen=True, slots=True)
class LockRow:
    """A critical section that was requested and is not left yet."""

    critical_section_id: str
    lock_set: tuple[str, ...]
    """The entities, in the order in which they are locked."""
    is_granted: bool = False


@dataclass(slots=True)
class Instance:
    """An instance with its rows. Only `absorb` changes it; rules only read it."""

    instance_id: str
    origin: Origin
    progress: Progress
    inbox: Inbox = field(default_factory=Inbox)
    tasks: dict[int, TaskRow] = field(default_factory=dict)
    """By row number, since task ids are used again by retries."""
    children: dict[int, ChildRow] = field(default_factory=dict)
    """By the id of the action that started it."""
    calls: dict[str, CallRow] = field(default_factory=dict)
    """By request id."""
    locks: dict[str, LockRow] = field(default_factory=dict)
    """By the id of the critical section."""
    task_ids: set[int] = field(init=False)
    """Of the pending tasks; at most one attempt of each is pending."""
    task_size: int = field(init=False)
    """Bytes of the requests."""

    def __post_init__(self) -> None:
        self.task_ids = {row.task_id for row in self.tasks.values()}
        self.task_size = sum(len(row.request) for row in self.tasks.values())

    @property
    def is_live(self) -> bool:
        return not self.progress.is_terminal

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory, with a constant for each row."""
        # Computed after each commit of an instance; a generic loop takes three times as long.
        rows = 4 + len(self.inbox) + len(self.tasks) + len(self.children)
        rows += len(self.calls) + len(self.locks)
        held = len(self.origin.input or "") + len(self.progress.output or "")
        held += len(self.progress.custom_status or "")
        return held + self.inbox.size + self.task_size + rows * _ROW

    def task_with_key(self, key: str) -> TaskRow | None:
        """The pending task with this key."""
        number = key.rpartition(":")[2]
        # int() refuses numbers of thousands of digits, which are in no valid key.
        row = self.tasks.get(int(number)) if number.isdecimal() and len(number) < 20 else None
        return row if row is not None and row.key == key else None

    def due_at(self) -> datetime | None:
        """When the next turn is due; None while it is suspended, has ended, or nothing waits."""
        progress = self.progress
        if progress.is_terminal or progress.suspended_at is not None:
            return None
        if progress.history_length == 0:
            # Nothing is read before the start.
            return self.inbox.starts_at()
        return self.inbox.due_at()

    def dropped_tasks(self, transition: Transition) -> list[TaskRow]:
        """The tasks that the transition removes."""
        if transition.origin is not None or transition.removes:
            kept = {row.number for row in transition.tasks_add}
            return [row for row in self.tasks.values() if row.number not in kept]
        return [self.tasks[number] for number in transition.tasks_remove]

    def absorb(self, transition: Transition) -> None:
        """Apply the changes of the transition."""
        if transition.origin is not None:
            self.origin = transition.origin
            self.inbox = self.inbox.keeping(transition.inbox_keep)
            self.tasks = {}
            self.task_ids = set()
            self.task_size = 0
            self.children = {}
            self.calls = {}
            self.locks = {}
        if transition.progress is not None:
            self.progress = transition.progress
        if transition.parent is not None:
            self.origin = replace(self.origin, parent=transition.parent)
        for number in transition.inbox_remove:
            self.inbox.remove(number)
        for row in transition.inbox_add:
            self.inbox.add(row)
        self._absorb_pending(transition)

    def _absorb_pending(self, transition: Transition) -> None:
        for number in transition.tasks_remove:
            row = self.tasks.pop(number)
            self.task_ids.discard(row.task_id)
            self.task_size -= len(row.request)
        for task in transition.tasks_add:
            self.task_size += len(task.request)
            self.tasks[task.number] = task
            self.task_ids.add(task.task_id)
        if transition.children_remove or transition.children_add:
            _update(self.children, transition.children_remove, transition.children_add, _task_id)
        if transition.calls_remove or transition.calls_add:
            _update(self.calls, transition.calls_remove, transition.calls_add, _request_id)
        if transition.locks_remove or transition.locks_set:
            _update(self.locks, transition.locks_remove, transition.locks_set, _section)


def _update(
    rows: dict[_K, _R], remove: Iterable[_K], add: Iterable[_R], key: Callable[[_R], _K]
) -> None:
    for gone in remove:
        del rows[gone]
    for row in add:
        rows[key(row)] = row


_task_id = attrgetter("task_id")
_request_id = attrgetter("request_id")
_section = attrgetter("critical_section_id")


def blank(instance_id: str, beginning: Transition) -> Instance:
    """The instance that the transition creates, before its rows are absorbed."""
    assert beginning.origin is not None
    assert beginning.progress is not None
    return Instance(instance_id, beginning.origin, beginning.progress)
