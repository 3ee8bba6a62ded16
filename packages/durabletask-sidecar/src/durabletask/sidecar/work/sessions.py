"""Remember how much of each orchestration's history a worker has cached.

A worker that keeps sessions need not be sent the history that it took part in. It may have
dropped a session all the same, and asks for the history then.
"""

from __future__ import annotations

from typing import NamedTuple

from durabletask.sidecar.lru import Lru

# Forgetting a session costs sending a history once more, never correctness.
_MAX_SESSIONS = 10_000


class KnownHistory(NamedTuple):
    """The beginning of a history that a worker has: its number of events and of bytes."""

    events: int = 0
    size: int = 0


NOTHING_KNOWN = KnownHistory()


class Sessions:
    """The sessions of one worker."""

    def __init__(self) -> None:
        self._known: Lru[str, tuple[str, KnownHistory]] = Lru(_MAX_SESSIONS)

    def record(self, instance_id: str, execution_id: str, known: KnownHistory) -> None:
        """Store how much of the execution's history the worker has."""
        self._known.put(instance_id, (execution_id, known))

    def forget(self, instance_id: str | None) -> None:
        """Forget one instance; None for all of them."""
        if instance_id is None:
            self._known.clear()
        else:
            self._known.pop(instance_id)

    def known(self, instance_id: str, execution_id: str) -> KnownHistory:
        """How much of this execution's history the worker has."""
        session = self._known.peek(instance_id)
        if session is None or session[0] != execution_id:
            return NOTHING_KNOWN
        return session[1]
