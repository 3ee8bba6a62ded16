"""What can be asked of an entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from durabletask.protocol import messages


@dataclass(frozen=True, slots=True)
class Caller:
    """The execution of an orchestration that waits for an answer."""

    instance_id: str
    execution_id: str


@dataclass(frozen=True, slots=True)
class SignalEntity:
    """Queue an operation whose result nobody waits for."""

    request_id: str
    operation: str
    input: str | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallEntity:
    """Queue an operation, and tell the caller how it went."""

    request_id: str
    operation: str
    caller: Caller
    input: str | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestLock:
    """Lock the entity for an orchestration as soon as it is its turn, and then the next one."""

    critical_section_id: str
    lock_set: tuple[str, ...]
    position: int
    """Of this entity in the set."""
    caller: Caller


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """Give the entity free, or take back the request for it; harmless when there is neither."""

    holder_id: str
    critical_section_id: str


@dataclass(frozen=True, slots=True)
class BatchTaken:
    """What a worker was given, as far as committing its answer needs it."""

    execution_id: str
    numbers: tuple[int, ...]
    """Of the messages, in the order of the operations."""


@dataclass(frozen=True, slots=True)
class CompleteBatch:
    """Commit what the operations did.

    There may be fewer results than operations: the others were not run. With `failure`
    none had an effect, and all have failed.
    """

    batch: BatchTaken
    results: Sequence[messages.OperationResult]
    actions: Sequence[messages.OperationAction]
    state: str | None = None
    failure: messages.TaskFailureDetails | None = None


@dataclass(frozen=True, slots=True)
class PurgeEntity:
    """Forget the entity, unless an orchestration holds it or waits for it."""


@dataclass(frozen=True, slots=True)
class CleanEntity:
    """Forget the entity if it is empty: no state, no lock, no message."""


EntityCommand = (
    SignalEntity
    | CallEntity
    | RequestLock
    | ReleaseLock
    | CompleteBatch
    | PurgeEntity
    | CleanEntity
)
