"""How payloads become text, and text values again.

Worker and client are given the same `DataConverter`; by default both use `JsonDataConverter`.

    value --json_text--> JSON text --json_text--> plain values --coercion--> the wanted type

`type_discovery` reads the wanted type from a function's annotations.
"""

from __future__ import annotations

from durabletask.serialization.converter import (
    DEFAULT_DATA_CONVERTER,
    DataConverter,
    JsonDataConverter,
)

__all__ = ["DEFAULT_DATA_CONVERTER", "DataConverter", "JsonDataConverter"]
