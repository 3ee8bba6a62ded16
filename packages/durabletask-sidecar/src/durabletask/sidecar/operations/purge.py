"""Forget many instances, a batch at a time.

The commands of a batch share one commit; between two batches everybody else has a turn.

Knows nothing about when an instance may be forgotten: the engine does.
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

# One commit of so many takes some ten milliseconds.
_BATCH = 100
# How many are looked up at a time; their keys are all that is kept of them.
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    count: int
    """Of all that was forgotten, sub-orchestrations too."""
    is_complete: bool
    """False when the time was up before the end."""


async def named(
    host: Host, hub: str, names: Iterable[str], *, recursive: bool, even_live: bool = False
) -> Outcome:
    """Forget those of these ids, orchestrations' or entities', that may be forgotten."""
    command = Purge(recursive=recursive, even_live=even_live)
    return await _purge(host, hub, iter(names), command)


async def found(
    host: Host, hub: str, query: InstanceQuery, *, recursive: bool, within: timedelta | None
) -> Outcome:
    """Forget what the query finds, as far as it has ended.

    Goes on for as long as `within`, which is looked at between batches: the first is purged
    in any case, so that a caller who repeats the request gets to the end.
    """
    statuses = query.statuses.intersection(TERMINAL_STATUSES)
    if query.statuses and not statuses:
        return Outcome(0, is_complete=True)
    query = replace(query, statuses=statuses or frozenset(TERMINAL_STATUSES))
    names = _names(host, hub, query)
    return await _purge(host, hub, names, Purge(recursive=recursive), within=within)


def _names(host: Host, hub: str, query: InstanceQuery) -> Iterator[str]:
    """Ids of what is found, read as they are needed."""
    after = None
    while keys := [
        each.key for each in islice(host.reader.instances(hub, query, after=after), _PAGE)
    ]:
        for after in keys:
            yield after[1]


async def _purge(
    host: Host, hub: str, names: Iterator[str], command: Purge, *, within: timedelta | None = None
) -> Outcome:
    began = host.clock.now()
    count, is_first = 0, True
    while batch := list(islice(names, _BATCH)):
        # The sum of the two times might be beyond the year 9999.
        if within is not None and not is_first and host.clock.now() - began >= within:
            return Outcome(count, is_complete=False)
        count += await _purge_batch(host, hub, batch, command)
        is_first = False
    return Outcome(count, is_complete=True)


async def _purge_batch(host: Host, hub: str, names: Sequence[str], command: Purge) -> int:
    submitted = (_submit(host, hub, name, command) for name in names)
    replies = await asyncio.gather(*submitted)
    return sum(reply.count for reply in replies if isinstance(reply, Purged))


async def _submit(host: Host, hub: str, name: str, command: Purge) -> Reply:
    entity_id = ids.normalized_entity_id(name)
    if entity_id is not None:
        return await host.execute(hub, entity_id, PurgeEntity())
    return await host.execute(hub, name, command)
