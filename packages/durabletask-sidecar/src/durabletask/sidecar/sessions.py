"""Remember which orchestrations a worker has warm, and how much of each it has seen.

A worker that keeps sessions need not be sent the history it took part in. It may have
dropped a session all the same, and asks for the history then.

Knows nothing about turns or bytes.
"""

from __future__ import annotations

from collections import OrderedDict

# What is forgotten costs the sending of a history, never correctness.
_MOST = 10_000


class Sessions:
    """The sessions of one worker, as far as the sidecar knows them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def note(self, instance_id: str, execution_id: str, history_length: int) -> None:
        """Take note that the worker has decided all of this history."""
        self._known[instance_id] = (execution_id, history_length)
        self._known.move_to_end(instance_id)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, instance_id: str) -> None:
        self._known.pop(instance_id, None)

    def knows(self, instance_id: str, execution_id: str, history_length: int) -> bool:
        """Whether the worker has this execution warm, and all of its history."""
        return self._known.get(instance_id) == (execution_id, history_length)
