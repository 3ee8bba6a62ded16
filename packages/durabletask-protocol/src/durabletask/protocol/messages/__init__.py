"""The protocol's messages, loaded when the first of them is used.

Making all dataclasses costs as much as importing gRPC, and a program that only
imports the client needs none of them yet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._batch_stream import *  # noqa: F403
    from ._generated import *  # noqa: F403

# Those of the contract, and those of the stream that only this project has.
_MODULES = ("._generated", "._batch_stream")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in _MODULES:
        value = getattr(import_module(module, __name__), name, None)
        if value is not None:
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
