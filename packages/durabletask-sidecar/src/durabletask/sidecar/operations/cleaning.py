"""Clear up after entities: those that hold nothing, and locks that nobody will release.

The engine releases what an orchestration holds when it ends, so there are such locks only
if something went wrong.

Knows nothing about what makes an entity empty: the engine does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.entities.commands import CleanEntity, ReleaseLock
from durabletask.sidecar.engine.transition import Purged
from durabletask.sidecar.store.queries import EntityQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durabletask.sidecar.engine.entities.commands import EntityCommand
    from durabletask.sidecar.engine.entities.state import Holder
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.host import Host

# So many are looked at by one call, which has its answer soon then.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    removed: int
    released: int
    last: str | None
    """The id behind which there are more to look at; None at the end."""


@dataclass(slots=True)
class _Seen:
    releases: dict[str, ReleaseLock] = field(default_factory=dict)
    cleanings: dict[str, CleanEntity] = field(default_factory=dict)
    last: str | None = None


async def clean(host: Host, hub: str, *, after: str, empty: bool, orphaned: bool) -> Outcome:
    """Look at the entities behind that id."""
    seen = _look(host, hub, after)
    # First, for an entity may be empty but for its lock.
    released = await _execute(host, hub, seen.releases) if orphaned else []
    cleaned = await _execute(host, hub, seen.cleanings) if empty else []
    removed = sum(reply.count for reply in cleaned if isinstance(reply, Purged))
    return Outcome(removed, len(released), seen.last)


def _look(host: Host, hub: str, after: str) -> _Seen:
    seen = _Seen()
    entities = iter(host.reader.entities(hub, EntityQuery(), after=after))
    for each in islice(entities, _AT_ONCE):
        holder = each.progress.holder
        if holder is not None and _is_gone(host, hub, holder):
            release = ReleaseLock(holder.instance_id, holder.critical_section_id)
            seen.releases[each.entity_id] = release
        if each.progress.state is None:
            seen.cleanings[each.entity_id] = CleanEntity()
        seen.last = each.entity_id
    if next(entities, None) is None:
        seen.last = None
    return seen


def _is_gone(host: Host, hub: str, holder: Holder) -> bool:
    """Whether the orchestration is over, or another one of its id, which asked for nothing."""
    instance = host.instance(hub, holder.instance_id)
    if instance is None or not instance.is_live:
        return True
    return holder.critical_section_id not in instance.locks


async def _execute(host: Host, hub: str, commands: Mapping[str, EntityCommand]) -> list[Reply]:
    return await asyncio.gather(
        *(host.execute(hub, entity_id, command) for entity_id, command in commands.items())
    )
