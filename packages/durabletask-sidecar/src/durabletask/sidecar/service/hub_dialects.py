"""Which dialect each caller is served in.

A worker shows its dialect by the request for work or by its first completions. Clients do
not show one; their requests are read alike. Where the two vendors' rules for a call differ,
a task hub follows the rules of the worker that was recognized there last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import dialect_detection
from durabletask.protocol.dialects import DAPR, TASKHUB
from durabletask.sidecar.lru import Lru

if TYPE_CHECKING:
    from durabletask.protocol.dialects import Dialect

_NAMES: dict[str, Dialect | None] = {"auto": None, "taskhub": TASKHUB, "dapr": DAPR}


def parse_dialect(name: str) -> Dialect | None:
    """The dialect of callers that show none; for `auto` Microsoft's until they show Dapr's."""
    if name not in _NAMES:
        raise ValueError(f"the dialect must be one of {', '.join(_NAMES)}, not {name!r}")
    return _NAMES[name]


# Callers make up the names of task hubs. One that is forgotten is recognized again by its
# next worker.
_MAX_HUBS = 10_000


class HubDialects:
    """The dialects of the peers of each task hub."""

    def __init__(self, default: Dialect | None = None) -> None:
        self._default = default
        self._by_hub: Lru[str, Dialect] = Lru(_MAX_HUBS)

    def of_worker(self, raw: bytes) -> Dialect | None:
        """The dialect of an encoded request for work; None when it does not show one yet."""
        return dialect_detection.of_worker(raw) or self._default

    def record(self, hub: str, dialect: Dialect | None) -> None:
        """Store the dialect of a worker that was recognized."""
        if dialect is not None:
            self._by_hub.put(hub, dialect)

    def is_dapr(self, hub: str) -> bool:
        """Whether Dapr's rules hold in the task hub."""
        return (self._by_hub.peek(hub) or self._default) is DAPR
