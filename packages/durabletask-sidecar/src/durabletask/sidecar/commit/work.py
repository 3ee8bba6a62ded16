"""Name the work that waits for a worker: a turn, an activity, or operations of an entity.

Only what deciding *who* gets it needs; the bytes are made when it is handed out.

Knows nothing about streams, leases or the store.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a worker counts its free slots by."""

    TURN = "orchestration"
    ACTIVITY = "activity"
    ENTITY = "entity"


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to hand to one worker."""

    kind: Kind
    hub: str
    instance_id: str
    name: str
    version: str | None = None
    task_key: str | None = None
    task_id: int | None = None

    @property
    def key(self) -> WorkKey:
        """The same for the same work, however often it is offered."""
        return (self.kind, self.hub, self.instance_id, self.task_key)

    @property
    def lane(self) -> LaneKey:
        """All that filters look at: work with the same answer is accepted by the same workers."""
        return (self.kind, self.hub, self.name, self.version or "")


WorkKey = tuple[Kind, str, str, str | None]
LaneKey = tuple[Kind, str, str, str]
