"""Purge many instances, a batch at a time.

The commands of a batch share one commit; other requests are served between two batches. The
engine decides whether an instance may be purged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.commands import Purge
from durabletask.sidecar.engine.entities.commands import PurgeEntity
from durabletask.sidecar.engine.state import TERMINAL_STATUSES
from durabletask.sidecar.engine.transition import Purged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta

    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.store.queries import InstanceQuery

# How many purges share a commit, which takes about ten milliseconds.
_BATCH = 100
# How many ids are read at a time.
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class PurgeOutcome:
    """How much was purged, and whether that was all."""

    count: int
    """Purged instances and entities, sub-orchestrations included."""
    is_complete: bool
    """False when the time was over before all were purged."""


async def purge_ids(
    host: Host, hub: str, instance_ids: Iterable[str], *, recursive: bool, even_live: bool = False
) -> PurgeOutcome:
    """Purge the instances and entities of these ids that may be purged."""
    command = Purge(recursive=recursive, even_live=even_live)
    return await _purge(host, hub, iter(instance_ids), command)


async def purge_matching(
    host: Host, hub: str, query: InstanceQuery, *, recursive: bool, within: timedelta | None
) -> PurgeOutcome:
    """Purge the instances that match the query and have ended.

    Stops once the time `within` has passed, which is checked between batches: the first batch
    is always purged, so a caller who repeats the request gets to the end.
    """
    statuses = query.statuses.intersection(TERMINAL_STATUSES)
    if query.statuses and not statuses:
        return PurgeOutcome(0, is_complete=True)
    query = replace(query, statuses=statuses or frozenset(TERMINAL_STATUSES))
    names = _names(host, hub, query)
    return await _purge(host, hub, names, Purge(recursive=recursive), within=within)


def _names(host: Host, hub: str, query: InstanceQuery) -> Iterator[str]:
    """Ids of the matching instances, read as they are needed."""
    after = None
    while keys := [
        each.key for each in islice(host.reader.instances(hub, query, after=after), _PAGE)
    ]:
        for after in keys:
            yield after[1]


async def _purge(
    host: Host, hub: str, names: Iterator[str], command: Purge, *, within: timedelta | None = None
) -> PurgeOutcome:
    began = host.clock.now()
    count, is_first = 0, True
    while batch := list(islice(names, _BATCH)):
        # `began + within` could lie beyond the year 9999.
        if within is not None and not is_first and host.clock.now() - began >= within:
            return PurgeOutcome(count, is_complete=False)
        count += await _purge_batch(host, hub, batch, command)
        is_first = False
    return PurgeOutcome(count, is_complete=True)


async def _purge_batch(host: Host, hub: str, names: Sequence[str], command: Purge) -> int:
    submitted = (_submit(host, hub, name, command) for name in names)
    replies = await asyncio.gather(*submitted)
    return sum(reply.count for reply in replies if isinstance(reply, Purged))


async def _submit(host: Host, hub: str, name: str, command: Purge) -> Reply:
    entity_id = ids.normalized_entity_id(name)
    if entity_id is not None:
        return await host.execute(hub, entity_id, PurgeEntity())
    return await host.execute(hub, name, command)
