"""The API for authors of entities: small objects with a name, a key and a state.

An entity is a function `(ctx, input)` or a class that inherits from `DurableEntity`. It
performs one operation at a time, and each takes effect as a whole or not at all. Names,
signatures and module paths are those of the official SDK. New here: ids can be hashed, and a
context can be made in a test without an engine.

Values and interfaces only; `durabletask.core` runs entities.
"""

from __future__ import annotations

from durabletask.entities.durable_entity import DurableEntity
from durabletask.entities.entity_context import (
    EntityContext,
    EntityRequest,
    EntityState,
    SignalRequest,
    StartRequest,
)
from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.entities.entity_lock import EntityLock
from durabletask.entities.entity_metadata import EntityMetadata
from durabletask.entities.entity_operation_failed_exception import EntityOperationFailedException

__all__ = [
    "DurableEntity",
    "EntityContext",
    "EntityInstanceId",
    "EntityLock",
    "EntityMetadata",
    "EntityOperationFailedException",
    "EntityRequest",
    "EntityState",
    "SignalRequest",
    "StartRequest",
]
