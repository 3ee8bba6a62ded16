"""Which dialect each caller is served in.

A worker says it by what it asks for work with, or shows it by its first answers. Clients
do not say it, and need not: what they send is read alike. Where the two vendors' rules for a
call differ, a task hub keeps to the rules of the worker that was recognized there last.

Knows nothing about the methods.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from durabletask.protocol import dialect_detection
from durabletask.protocol.dialects import DAPR, TASKHUB

if TYPE_CHECKING:
    from durabletask.protocol.dialects import Dialect

_NAMES: dict[str, Dialect | None] = {"auto": None, "taskhub": TASKHUB, "dapr": DAPR}


def named(name: str) -> Dialect | None:
    """What callers are taken for that do not say; `auto`: Microsoft's until they show Dapr's."""
    if name not in _NAMES:
        raise ValueError(f"the dialect is one of {', '.join(_NAMES)}, not {name!r}")
    return _NAMES[name]


# Task hubs that are remembered. There are as many as names, and those may be anything; one that
# is forgotten is recognized again by its next worker.
_HUBS_KEPT = 10_000


class Dialects:
    """The dialects of all task hubs."""

    def __init__(self, default: Dialect | None = None) -> None:
        self._default = default
        self._by_hub: OrderedDict[str, Dialect] = OrderedDict()

    def of_worker(self, raw: bytes) -> Dialect | None:
        """The dialect of a worker that asks for work; None when that does not show yet."""
        return dialect_detection.of_worker(raw) or self._default

    def note(self, hub: str, dialect: Dialect | None) -> None:
        """Take note of a worker that was recognized."""
        if dialect is not None:
            self._by_hub[hub] = dialect
            self._by_hub.move_to_end(hub)
            if len(self._by_hub) > _HUBS_KEPT:
                self._by_hub.popitem(last=False)

    def is_daprs(self, hub: str) -> bool:
        """Whether Dapr's rules hold in the task hub."""
        return self._by_hub.get(hub, self._default) is DAPR
