"""Make completion tokens, and read which activity they stand for.

To workers a token is an opaque string. The token of a turn or of a batch has no meaning
without its lease. The token of an activity names the task, so that a result that arrives
after a restart of the sidecar is stored and the work is not done again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine import ids

if TYPE_CHECKING:
    from durabletask.sidecar.commit.notifications import Work

# Names of task hubs and ids are at most half as long; a task key is an id and a number.
_MAX_PART = 2 * ids.MAX_LENGTH


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
    # As json.dumps writes the list of the four, in a quarter of the time.
    hub, instance_id, key = _quoted(work.hub), _quoted(work.instance_id), _quoted(work.task_key)
    return f"[{_quoted(nonce)}, {hub}, {instance_id}, {key}]"


def task_of(token: str) -> Task | None:
    """The activity it stands for; None when it is not a token of an activity."""
    try:
        parts = json.loads(token)
    except (ValueError, RecursionError):
        return None
    match parts:
        case [str(), str(hub), str(instance_id), str(key)]:
            if all(map(_is_valid, (hub, instance_id, key))):
                return Task(hub, instance_id, key)
    return None


def _is_valid(part: str) -> bool:
    # JSON can hold half of a surrogate pair, which no store takes.
    return len(part) <= _MAX_PART and not any("\ud800" <= char <= "\udfff" for char in part)
