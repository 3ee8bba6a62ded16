"""Ids of orchestrations and entities: which are valid, and which the engine makes.

An entity's id is `@name@key`, with the name in lower case; the key may be anything.
"""

from __future__ import annotations

import unicodedata

# Ids are keys in the store, and are sent in headers and error texts.
MAX_LENGTH = 1000


def child_id(parent_id: str, number: int) -> str:
    """The id of what the action of that number starts when it names none."""
    return f"{parent_id}:{number:04x}"


def instance_id_error(instance_id: str) -> str | None:
    """Why the id is not valid for an orchestration; None when it is."""
    if len(instance_id) > MAX_LENGTH:
        return f"the instance id has {len(instance_id)} characters; {MAX_LENGTH} are allowed"
    if _has_control_characters(instance_id):
        return f"the instance id {instance_id!r} contains control characters"
    if instance_id.startswith("@") and "@" in instance_id[1:]:
        return f"the instance id {instance_id!r} is that of an entity (@name@key)"
    return None


def normalized_entity_id(entity_id: str) -> str | None:
    """The id with its name in lower case; None when it is not that of an entity."""
    name, found, key = entity_id.removeprefix("@").partition("@")
    if not entity_id.startswith("@") or not found or not name or not key:
        return None
    if len(entity_id) > MAX_LENGTH or _has_control_characters(entity_id):
        return None
    return f"@{name.lower()}@{key}"


def normalized_entity_id_prefix(prefix: str) -> str:
    """The beginning of an entity's id, with the name in lower case."""
    name, found, key = prefix.removeprefix("@").partition("@")
    at = "@" if prefix.startswith("@") else ""
    return f"{at}{name.lower()}{found}{key}"


def entity_name(entity_id: str) -> str:
    """The name in the id of an entity."""
    return entity_id[1:].partition("@")[0]


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)
