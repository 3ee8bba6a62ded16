"""Refuse ids that no instance can have, before they become keys or parts of a text.

Knows nothing about which instances there are.
"""

from __future__ import annotations

from durabletask.sidecar.engine import instance_ids
from durabletask.sidecar.engine.entities import ids
from durabletask.sidecar.engine.transition import InvalidArgument

from .errors import RefusedError

INSTANCE_ID = "the instance id"


def check_new(instance_id: str) -> None:
    """Raise RefusedError unless an orchestration may be given this id."""
    complaint = instance_ids.complaint(instance_id)
    if complaint is not None:
        raise RefusedError(InvalidArgument(complaint))


def check_given(what: str, value: str) -> None:
    """Raise RefusedError when it is empty."""
    if not value:
        raise RefusedError(InvalidArgument(f"{what} is empty"))


def check_length(what: str, value: str) -> None:
    """Raise RefusedError when it is longer than anything that is kept under such a key."""
    if len(value) > instance_ids.LONGEST:
        text = f"{what} has {len(value)} characters; {instance_ids.LONGEST} are allowed"
        raise RefusedError(InvalidArgument(text))


def entity_id(value: str) -> str:
    """The id as the engine knows it; raise RefusedError when it is not that of an entity."""
    check_length("the entity id", value)
    normalized = ids.normalized(value)
    if normalized is None:
        raise RefusedError(InvalidArgument(f"{value!r} is not the id of an entity (@name@key)"))
    return normalized
