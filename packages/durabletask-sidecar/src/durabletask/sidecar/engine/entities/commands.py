"""Commands to entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from durabletask.protocol import messages


@dataclass(frozen=True, slots=True)
class Caller:
    """The execution that waits for the answer."""

    instance_id: str
    execution_id: str


@dataclass(frozen=True, slots=True)
class SignalEntity:
    """Queue an operation without a caller: its result is dropped."""

    request_id: str
    operation: str
    input: str | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallEntity:
    """Queue an operation whose result is sent to the caller."""

    request_id: str
    operation: str
    caller: Caller
    input: str | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestLock:
    """Queue a request to lock the entity, and then the next one of the set."""

    critical_section_id: str
    lock_set: tuple[str, ...]
    position: int
    """Of this entity in the set."""
    caller: Caller


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """Release the entity, or withdraw the request to lock it; otherwise nothing happens."""

    holder_id: str
    critical_section_id: str


@dataclass(frozen=True, slots=True)
class DispatchedBatch:
    """What a worker was sent, as far as committing its response needs it."""

    execution_id: str
    numbers: tuple[int, ...]
    """The numbers of the messages, in the order of the operations."""


@dataclass(frozen=True, slots=True)
class CompleteBatch:
    """Commit what the operations did.

    There may be fewer results than operations: the others did not run. With a `failure`, all
    operations have failed and none has changed anything.
    """

    batch: DispatchedBatch
    results: Sequence[messages.OperationResult]
    actions: Sequence[messages.OperationAction]
    state: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class PurgeEntity:
    """Remove the entity, unless an orchestration has locked it or waits for it."""


@dataclass(frozen=True, slots=True)
class CleanEntity:
    """Remove the entity if it is empty: no state, no lock, no message."""


EntityCommand = (
    SignalEntity
    | CallEntity
    | RequestLock
    | ReleaseLock
    | CompleteBatch
    | PurgeEntity
    | CleanEntity
)
