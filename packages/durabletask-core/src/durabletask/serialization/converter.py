"""The seam between payloads and values; knows no format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class DataConverter(ABC):
    """Turns values into text and text into values.

    Worker and client must be given the same one. The same value must always become the same
    text, or replay would see other payloads than history holds.

    The type to make is always the caller's wish; it is never read from the payload.
    """

    @abstractmethod
    def serialize(self, value: Any) -> str | None:
        """The value as text; None, the value of no payload, stays None."""

    @abstractmethod
    def deserialize(self, data: str | None, target_type: type | None = None) -> Any:
        """The value that `data` holds, as `target_type` if one is asked for.

        None and the empty string are no payload and give None. Whether text that does not
        fit the type raises or comes back untyped is the converter's choice.
        """

    @abstractmethod
    def coerce(self, value: Any, target_type: type | None = None) -> Any:
        """A value that was read without a type, as `target_type`."""

    def can_reconstruct(self, target_type: Any) -> bool:  # noqa: ARG002  # for subclasses
        """Whether an annotation may decide how a payload is read.

        Asked for the annotations of orchestrators and activities. Where the answer is False,
        as it is here for every type, the function gets the payload untyped.
        """
        return False
