"""The store in memory keeps its orders, instead of sorting everything for each page."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.engine.commands import Purge, StartInstance
from durabletask.sidecar.engine.entities.commands import PurgeEntity, SignalEntity
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.queries import EndedQuery, EntityQuery
from tests.builders.engine import HUB, EngineDriver, end

if TYPE_CHECKING:
    from durabletask.sidecar.engine.state import Progress
    from durabletask.sidecar.store.queries import EntitySummary

MANY = 50


class CountingEndedQuery(EndedQuery):
    """Counts the instances that are looked at."""

    count = 0

    def accepts(self, progress: Progress) -> bool:
        object.__setattr__(self, "count", self.count + 1)
        return super().accepts(progress)


class CountingEntityQuery(EntityQuery):
    """Counts the entities that are looked at."""

    count = 0

    def accepts(self, entity: EntitySummary) -> bool:
        object.__setattr__(self, "count", self.count + 1)
        return super().accepts(entity)


@pytest.fixture
def hub() -> EngineDriver:
    """A hub with many instances that have ended, one after the other."""
    hub = EngineDriver(MemoryStore())
    for number in range(MANY):
        hub.start(f"{number:02}")
        hub.decide(end(), to=f"{number:02}")
    return hub


def test_a_page_of_what_has_ended_costs_no_look_at_the_rest(hub: EngineDriver) -> None:
    query = CountingEndedQuery()

    first = list(islice(hub.store.ended(HUB, query), 10))
    second = list(islice(hub.store.ended(HUB, query, after=first[-1]), 10))

    assert [id for _, id in (*first, *second)] == [f"{number:02}" for number in range(20)]
    assert query.count == 20


def test_what_ended_too_late_or_too_early_is_not_looked_at(hub: EngineDriver) -> None:
    times = [ended_at for ended_at, _ in hub.store.ended(HUB, EndedQuery())]
    query = CountingEndedQuery(completed_from=times[20], completed_to=times[23])

    found = [id for _, id in hub.store.ended(HUB, query)]

    assert found == ["20", "21", "22"]
    assert query.count == 3


def test_a_page_of_entities_costs_no_look_at_the_rest() -> None:
    hub = EngineDriver(MemoryStore())
    for number in reversed(range(MANY)):
        hub.do(SignalEntity("", "add"), f"@counter@{number:02}")
    query = CountingEntityQuery()

    first = list(islice(hub.store.entities(HUB, query), 10))
    second = list(islice(hub.store.entities(HUB, query, after=first[-1].entity_id), 10))

    found = [each.entity_id for each in (*first, *second)]
    assert found == [f"@counter@{number:02}" for number in range(20)]
    assert query.count == 20


def test_what_is_read_may_be_purged_meanwhile(hub: EngineDriver) -> None:
    found = []
    for _, instance_id in hub.store.ended(HUB, EndedQuery()):
        found.append(instance_id)
        hub.do(Purge(), instance_id)

    assert found == [f"{number:02}" for number in range(MANY)]
    assert list(hub.store.ended(HUB, EndedQuery())) == []


def test_what_begins_again_is_not_among_what_has_ended(hub: EngineDriver) -> None:
    hub.do(StartInstance("order", replaceable=frozenset(range(8))), "00")

    assert next(iter(hub.store.ended(HUB, EndedQuery())))[1] == "01"


def test_an_entity_that_was_purged_is_found_no_more() -> None:
    hub = EngineDriver(MemoryStore())
    for key in "ab":
        hub.do(SignalEntity("", "add"), f"@counter@{key}")

    hub.do(PurgeEntity(), "@counter@a")

    assert [each.entity_id for each in hub.store.entities(HUB, EntityQuery())] == ["@counter@b"]
