"""Refuse ids that no instance can have, before they become keys or parts of a text.

Knows nothing about which instances there are.
"""

from __future__ import annotations

from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.transition import InvalidArgument

from .errors import RefusedError

INSTANCE_ID = "the instance id"


def check_new(instance_id: str) -> None:
    """Raise RefusedError unless an orchestration may be given this id."""
    error = ids.instance_id_error(instance_id)
    if error is not None:
        raise RefusedError(InvalidArgument(error))


def check_given(what: str, value: str) -> None:
    """Raise RefusedError when it is empty."""
    if not value:
        raise RefusedError(InvalidArgument(f"{what} is empty"))


def check_length(what: str, value: str) -> None:
    """Raise RefusedError when it is longer than anything that is kept under such a key."""
    if len(value) > ids.MAX_LENGTH:
        text = f"{what} has {len(value)} characters; {ids.MAX_LENGTH} are allowed"
        raise RefusedError(InvalidArgument(text))


def entity_id(value: str) -> str:
    """The id as the engine knows it; raise RefusedError when it is not that of an entity."""
    check_length("the entity id", value)
    normalized = ids.normalized_entity_id(value)
    if normalized is None:
        raise RefusedError(InvalidArgument(f"{value!r} is not the id of an entity (@name@key)"))
    return normalized
