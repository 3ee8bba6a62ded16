"""The id of an entity: the name under which it is registered, and a key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering

from durabletask.serialization import checks

_MARK = "@"


@total_ordering
@dataclass(frozen=True, slots=True)
class EntityInstanceId:
    """The id of one entity; `str()` gives `@name@key`, `parse` reads that.

    Names are case-insensitive and kept in lower case; keys are case-sensitive. TypeError if
    either is not text, ValueError if it is empty or contains '@'. A member of a `(str, Enum)` is
    its value.

    Ids are ordered like their texts, which is the order in which locks are taken.

    Example:
        account = EntityInstanceId("Account", "savings")
        assert str(account) == "@account@savings"
        assert EntityInstanceId.parse("@account@savings") == account
    """

    entity: str
    key: str

    def __post_init__(self) -> None:
        self.validate_entity_name(self.entity)
        self.validate_key(self.key)
        # A member of an Enum that is a str is written with its class by f"{key}".
        object.__setattr__(self, "entity", str.__str__(self.entity).lower())
        object.__setattr__(self, "key", str.__str__(self.key))

    @staticmethod
    def parse(entity_id: str) -> EntityInstanceId:
        """The id that the text holds; ValueError if it is not a valid id."""
        checks.text(entity_id, "entity_id")
        if not entity_id.startswith(_MARK):
            raise ValueError(f"Entity ID must start with '@'. It is '{entity_id}'.")
        name, mark, key = entity_id[1:].partition(_MARK)
        if not mark:
            raise ValueError(f"Invalid entity ID format: {entity_id}. It has to be '@name@key'.")
        return EntityInstanceId(name, key)

    @staticmethod
    def validate_entity_name(name: str) -> None:
        """ValueError if no entity can have that name."""
        _validate(name, "name")

    @staticmethod
    def validate_key(key: str) -> None:
        """ValueError if no entity can have that key."""
        _validate(key, "key")

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, EntityInstanceId):
            return NotImplemented
        return str(self) < str(other)

    def __str__(self) -> str:
        return f"{_MARK}{self.entity}{_MARK}{self.key}"


def _validate(value: str, part: str) -> None:
    if value in (None, ""):
        raise ValueError(f"Entity {part} cannot be empty.")
    if _MARK in checks.text(value, f"entity {part}"):
        raise ValueError(f"Entity {part} cannot contain '@' symbol.")
