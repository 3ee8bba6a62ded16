"""A store in memory that can say which task hubs it was used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.sidecar.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.sidecar.store import Change, EntityChange


class HubStore(MemoryStore):
    """Holds what `MemoryStore` holds, hub by hub."""

    def __init__(self) -> None:
        super().__init__()
        self._hubs: set[str] = set()

    def hubs(self) -> tuple[str, ...]:
        """Those that something was ever stored for."""
        return tuple(self._hubs)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        super().commit(changes)
        self._hubs.update(change.key.hub for change in changes)

    def wipe_all(self) -> None:
        """Forget everything."""
        for hub in self._hubs:
            self.wipe(hub)
