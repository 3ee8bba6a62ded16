"""What an operation asks of the outside world; nothing happens unless the operation succeeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.entities.entity_instance_id import EntityInstanceId


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """Signal an entity, not before `signal_time`; `input` is text as it travels."""

    entity_id: EntityInstanceId
    operation: str
    input: str | None = None
    signal_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Start an orchestration; `input` is text as it travels."""

    orchestration_name: str
    instance_id: str
    input: str | None = None


EntityRequest: TypeAlias = SignalRequest | StartRequest
