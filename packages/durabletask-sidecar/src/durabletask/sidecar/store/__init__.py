"""What the sidecar remembers, and what every way of remembering promises.

A commit is all or nothing, and durable before it returns. Everything else is reading.
Task hubs are separate: every key begins with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.state import Instance, TaskRow
    from durabletask.sidecar.engine.transition import Transition


class StoreError(Exception):
    """The store cannot be opened, or a commit failed; the text says what to do."""


class StoreLockedError(StoreError):
    """Another sidecar uses the file."""


class ForeignFileError(StoreError):
    """The file is not one of ours, or of a newer version."""


class Key(NamedTuple):
    """Names an instance among all task hubs."""

    hub: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """All that one commit does to one instance, in order."""

    key: Key
    instance: Instance
    """As it is after the transitions."""
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class ReadyTurn:
    """An orchestration with something to do."""

    hub: str
    instance_id: str
    name: str
    version: str | None


class Store(Protocol):
    """The contract; `tests/contract` holds every implementation to it."""

    def load(self, key: Key) -> Instance | None:
        """The instance with its rows; None when there is none. The caller owns it."""
        ...

    def history(self, key: Key) -> bytes:
        """The events of the current execution, ready to be spliced into a request."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Make all changes durable in one transaction; StoreError means that none is."""
        ...

    def live_children(self, key: Key) -> list[str]:
        """Ids of the instances whose parent this is, of whatever execution, and that live."""
        ...

    def due(self, after: datetime | None, until: datetime) -> Iterable[ReadyTurn]:
        """Orchestrations that become due after the one time (None: ever) until the other."""
        ...

    def next_due(self, after: datetime) -> datetime | None:
        """When the next orchestration becomes due after that time."""
        ...

    def outstanding_tasks(self) -> Iterable[tuple[Key, TaskRow]]:
        """Every activity without an outcome; those of one instance oldest first."""
        ...

    def close(self) -> None:
        """Give everything back; harmless when done already."""
        ...
