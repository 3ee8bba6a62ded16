"""Let somebody count what happens: the seam between the engine room and its gauges.

Those who act call an `Observer` as they go; nobody listens unless the server is told to
publish metrics. An observer returns at once, raises nothing and changes nothing.

Knows nothing about what is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .commit.notifications import Kind
    from .engine.commands import CompleteActivity, CompleteTurn
    from .engine.entities.commands import CompleteBatch

    Completion = CompleteTurn | CompleteActivity | CompleteBatch


class Observer(Protocol):
    """Somebody who counts."""

    def ticks(self) -> float:
        """Seconds since whenever; the beginning of what is told afterwards with `since`."""
        ...

    def answered(self, method: str, status: str, since: float) -> None:
        """A call ended with this status."""
        ...

    def committed(self, submissions: int, since: float) -> None:
        """One transaction stored so many submissions."""
        ...

    def commit_failed(self) -> None:
        """A transaction was not stored."""
        ...

    def completed(self, kind: Kind, completion: Completion) -> None:
        """A worker's answer to its work is stored."""
        ...

    def abandoned(self, kind: Kind) -> None:
        """A worker gave work back."""
        ...

    def lost(self, kind: Kind) -> None:
        """A worker went away and left work undone."""
        ...


class Nobody:
    """Counts nothing."""

    def ticks(self) -> float:
        return 0.0

    def answered(self, method: str, status: str, since: float) -> None:
        pass

    def committed(self, submissions: int, since: float) -> None:
        pass

    def commit_failed(self) -> None:
        pass

    def completed(self, kind: Kind, completion: Completion) -> None:
        pass

    def abandoned(self, kind: Kind) -> None:
        pass

    def lost(self, kind: Kind) -> None:
        pass


NOBODY = Nobody()


@dataclass(frozen=True, slots=True)
class Census:
    """How much there is of everything right now."""

    waiting: Mapping[Kind, int]
    """Work that is ready, and that no worker has."""
    out: Mapping[Kind, int]
    """Work that a worker has."""
    streams: int
    """Workers that are connected."""
