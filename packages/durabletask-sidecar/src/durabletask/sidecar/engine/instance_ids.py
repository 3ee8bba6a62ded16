"""Which ids an orchestration may have, and which one it is given."""

from __future__ import annotations

import unicodedata

# Ids are keys, and travel in headers and error texts.
LONGEST = 1000


def of_child(parent_id: str, number: int) -> str:
    """The id of what the action of that number starts, when it names none (engine.md 2.3)."""
    return f"{parent_id}:{number:04x}"


def complaint(instance_id: str) -> str | None:
    """What is wrong with the id; None when it will do."""
    if len(instance_id) > LONGEST:
        return f"the instance id has {len(instance_id)} characters; {LONGEST} are allowed"
    if any(unicodedata.category(character) == "Cc" for character in instance_id):
        return f"the instance id {instance_id!r} contains control characters"
    if instance_id.startswith("@") and "@" in instance_id[1:]:
        return f"the instance id {instance_id!r} is that of an entity (@name@key)"
    return None
