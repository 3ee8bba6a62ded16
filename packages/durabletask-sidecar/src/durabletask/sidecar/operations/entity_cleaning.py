"""Remove empty entities, and release locks whose orchestration no longer holds them.

The engine releases the locks of an orchestration when it ends, so orphaned locks exist only
after a defect or in a damaged file. The engine decides whether an entity is empty.
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

# How many entities one call looks at, so that it returns soon.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class CleaningOutcome:
    """How much was done, and where to go on."""

    removed: int
    released: int
    last: str | None
    """The id after which to go on; None when all entities were looked at."""


@dataclass(slots=True)
class _Page:
    releases: dict[str, ReleaseLock] = field(default_factory=dict)
    cleanings: dict[str, CleanEntity] = field(default_factory=dict)
    last: str | None = None


async def clean(
    host: Host, hub: str, *, after: str, empty: bool, orphaned: bool
) -> CleaningOutcome:
    """Clean one page of the entities whose ids come after `after`."""
    page = _read(host, hub, after)
    # Locks come first: an entity may be empty except for its lock.
    released = await _execute(host, hub, page.releases) if orphaned else []
    cleaned = await _execute(host, hub, page.cleanings) if empty else []
    removed = sum(reply.count for reply in cleaned if isinstance(reply, Purged))
    return CleaningOutcome(removed, len(released), page.last)


def _read(host: Host, hub: str, after: str) -> _Page:
    page = _Page()
    entities = iter(host.reader.entities(hub, EntityQuery(), after=after))
    for each in islice(entities, _PAGE):
        holder = each.progress.holder
        if holder is not None and _is_orphaned(host, hub, holder):
            release = ReleaseLock(holder.instance_id, holder.critical_section_id)
            page.releases[each.entity_id] = release
        if each.progress.state is None:
            page.cleanings[each.entity_id] = CleanEntity()
        page.last = each.entity_id
    if next(entities, None) is None:
        page.last = None
    return page


def _is_orphaned(host: Host, hub: str, holder: Holder) -> bool:
    """Whether the holder has ended, or is a later orchestration without this lock."""
    instance = host.instance(hub, holder.instance_id)
    if instance is None or not instance.is_live:
        return True
    return holder.critical_section_id not in instance.locks


async def _execute(host: Host, hub: str, commands: Mapping[str, EntityCommand]) -> list[Reply]:
    return await asyncio.gather(
        *(host.execute(hub, entity_id, command) for entity_id, command in commands.items())
    )
