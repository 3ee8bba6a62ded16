"""Ids of entities: `@name@key`, the name in lower case; the key may be anything."""

from __future__ import annotations

import unicodedata

from durabletask.sidecar.engine.instance_ids import LONGEST


def normalized(entity_id: str) -> str | None:
    """The id as the engine knows it; None when it is not that of an entity."""
    name, found, key = entity_id.removeprefix("@").partition("@")
    if not entity_id.startswith("@") or not found or not name or not key:
        return None
    if len(entity_id) > LONGEST or any(unicodedata.category(char) == "Cc" for char in entity_id):
        return None
    return f"@{name.lower()}@{key}"


def normalized_prefix(prefix: str) -> str:
    """The beginning of an id as the engine knows it."""
    name, found, key = prefix.removeprefix("@").partition("@")
    at = "@" if prefix.startswith("@") else ""
    return f"{at}{name.lower()}{found}{key}"


def name_of(entity_id: str) -> str:
    """The name in the id of an entity."""
    return entity_id[1:].partition("@")[0]
