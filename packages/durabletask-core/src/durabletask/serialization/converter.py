"""Data converters: values to text and text to values.

`DataConverter` is the interface; `JsonDataConverter` is the default: plain JSON, read best effort.
"""

from __future__ import annotations

import logging
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

from durabletask.serialization import json_text
from durabletask.serialization.coercion import coerce

_logger = logging.getLogger("durabletask")


class DataConverter(ABC):
    """Turns values into text and text into values.

    Worker and client must be given the same one. The same value must always become the same
    text, or replay would see other payloads than history holds.

    The type to return is given by the caller; it is never read from the payload.
    """

    @abstractmethod
    def serialize(self, value: Any) -> str | None:
        """The value as text; None means no payload and stays None."""

    @abstractmethod
    def deserialize(self, data: str | None, target_type: type | None = None) -> Any:
        """The value that `data` holds, as `target_type` if one is given.

        None and the empty string mean no payload and give None. A converter may raise for
        text that does not fit the type, or return plain values.
        """

    @abstractmethod
    def coerce(self, value: Any, target_type: type | None = None) -> Any:
        """A value that was deserialized without a type, as `target_type`."""

    def can_reconstruct(self, target_type: Any) -> bool:  # noqa: ARG002  # for subclasses
        """Whether an annotation may decide how a payload is read.

        Called with the annotations of orchestrators and activities. If it returns False, as it
        does here for every type, the function gets plain values.
        """
        return False


class JsonDataConverter(DataConverter):
    """Plain JSON, with hooks for types of your own.

    An object is serialized by its type's `to_json(obj)`, else as its enum value, its dataclass
    fields or its SimpleNamespace attributes. It is deserialized by `from_json(value)` or
    `from_json(value, converter)` of the wanted type, else as a dataclass, enum, container or
    by calling the type.

    Deserializing is best effort: what does not fit the wanted type is returned as plain values.

    Example:
        @dataclass
        class Order:
            id: int

        text = DEFAULT_DATA_CONVERTER.serialize(Order(7))
        order = DEFAULT_DATA_CONVERTER.deserialize(text, Order)
    """

    def serialize(self, value: Any) -> str | None:
        """The value as JSON text; TypeError if JSON cannot hold it."""
        return None if value is None else json_text.encode(value)

    def deserialize(self, data: str | None, target_type: type | None = None) -> Any:
        """The value that the JSON text holds; ValueError if it is not JSON."""
        if not data:
            return None
        if target_type is None:
            return json_text.decode(data)
        plain = json_text.decode_plain(data)
        try:
            return coerce(plain, target_type, self)
        except Exception as misfit:  # noqa: BLE001  # hooks and constructors are user code
            _log_misfit(target_type, misfit)
            return json_text.decode(data)

    def coerce(self, value: Any, target_type: type | None = None) -> Any:
        """The plain value as `target_type`, or unchanged if it does not fit."""
        if target_type is None:
            return value
        try:
            return coerce(value, target_type, self)
        except Exception as misfit:  # noqa: BLE001  # hooks and constructors are user code
            _log_misfit(target_type, misfit)
            return value

    def can_reconstruct(self, target_type: Any) -> bool:
        """True for dataclasses, types with `from_json`, and Optional or lists of them."""
        origin = typing.get_origin(target_type)
        if origin in (typing.Union, types.UnionType, list, Sequence):
            return any(map(self.can_reconstruct, typing.get_args(target_type)))
        if origin is not None or not isinstance(target_type, type):
            return False
        return is_dataclass(target_type) or callable(getattr(target_type, "from_json", None))


DEFAULT_DATA_CONVERTER: DataConverter = JsonDataConverter()


def _log_misfit(target_type: Any, misfit: Exception) -> None:
    _logger.debug(
        "A payload could not be read as '%s' (%s) and is returned untyped",
        getattr(target_type, "__name__", target_type),
        misfit,
    )
