"""An entity's state, held as the text that is stored.

Reading makes a new value each time, and writing makes the text at once: what an operation
does to a value it has read changes nothing until it is set, and what cannot be written fails
where it is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.serialization.sendable import serialized

if TYPE_CHECKING:
    from durabletask.serialization import DataConverter


class EntityState:
    """The state during one operation; `text` is None while there is none."""

    __slots__ = ("_converter", "text")

    def __init__(self, text: str | None, converter: DataConverter) -> None:
        self.text = text
        self._converter = converter

    def get(self, intended_type: Any = None, default: Any = None) -> Any:
        """The state as that type; TypeError if it cannot be had as that class.

        `default` if there is none. Hints that are no class, such as `list[int]`, are read as
        best they can be.
        """
        if self.text is None:
            return default
        value = self._converter.deserialize(self.text, intended_type)
        if isinstance(intended_type, type) and not isinstance(value, intended_type):
            raise TypeError(
                f"Could not convert state of type '{type(value).__name__}' to "
                f"'{intended_type.__name__}'"
            )
        return value

    def set(self, state: Any) -> None:
        """Hold that state from now on; None for none."""
        self.text = serialized(state, self._converter)
