"""Remember which orchestrations a worker has warm, and how much of each it has seen.

A worker that keeps sessions need not be sent the history it took part in. It may have
dropped a session all the same, and asks for the history then.

Knows nothing about turns.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

# What is forgotten costs the sending of a history, never correctness.
_MOST = 10_000


class Known(NamedTuple):
    """The beginning of a history that a worker has: so many events, in so many bytes."""

    events: int = 0
    size: int = 0


NOTHING = Known()


class Sessions:
    """The sessions of one worker, as far as the sidecar knows them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, Known]] = OrderedDict()

    def note(self, instance_id: str, execution_id: str, known: Known) -> None:
        """Take note that the worker has this much of the history."""
        self._known[instance_id] = (execution_id, known)
        self._known.move_to_end(instance_id)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, instance_id: str | None) -> None:
        """Forget one instance; None: all of them."""
        if instance_id is None:
            self._known.clear()
        else:
            self._known.pop(instance_id, None)

    def known(self, instance_id: str, execution_id: str) -> Known:
        """How much of this execution's history the worker has."""
        noted = self._known.get(instance_id)
        return noted[1] if noted is not None and noted[0] == execution_id else NOTHING
