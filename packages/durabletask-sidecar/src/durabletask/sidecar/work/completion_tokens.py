"""Make completion tokens, and read what they stand for.

To workers a token is an opaque string. A turn's, and an entity's, means nothing without its
lease. An
activity's names the task itself, so that a result which arrives after the sidecar was
started anew still finds its place, and the work need not be done again.

Knows nothing about leases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine import ids

if TYPE_CHECKING:
    from durabletask.sidecar.commit.notifications import Work

# Hubs and ids are at most half as long; a key is an id and a number.
_LONGEST_PART = 2 * ids.MAX_LENGTH


@dataclass(frozen=True, slots=True)
class Task:
    """The activity that a token stands for."""

    hub: str
    instance_id: str
    key: str


def make(work: Work, nonce: str) -> str:
    """A token that no other lease has, given a nonce that no other has."""
    if work.kind is not Kind.ACTIVITY:
        return nonce
    return json.dumps([nonce, work.hub, work.instance_id, work.task_key])


def task_of(token: str) -> Task | None:
    """The activity it stands for; None when it is not a token of an activity."""
    try:
        parts = json.loads(token)
    except (ValueError, RecursionError):
        return None
    match parts:
        case [str(), str(hub), str(instance_id), str(key)]:
            if all(map(_may_be_ours, (hub, instance_id, key))):
                return Task(hub, instance_id, key)
    return None


def _may_be_ours(part: str) -> bool:
    # JSON can write half of a surrogate pair, which is no text and which no store takes.
    return len(part) <= _LONGEST_PART and not any("\ud800" <= char <= "\udfff" for char in part)
