"""How payloads become text and values again.

`DataConverter` is the seam: worker and client are given the same one. `JsonDataConverter`
is what they use when given none.

    value --encoding--> JSON text --decoding--> plain values --coercion--> the asked type

`discovery` reads from a function's annotations which type to ask for.
"""

from __future__ import annotations

from durabletask.serialization.converter import DataConverter
from durabletask.serialization.json_converter import DEFAULT_DATA_CONVERTER, JsonDataConverter

__all__ = ["DEFAULT_DATA_CONVERTER", "DataConverter", "JsonDataConverter"]
