"""What every store promises about entities, and about looking for more than one of anything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.engine.commands import Purge, StartInstance
from durabletask.sidecar.engine.entities.commands import Caller, PurgeEntity, SignalEntity
from durabletask.sidecar.engine.entities.queue import MessageKind, MessageQueue, MessageRow
from durabletask.sidecar.engine.entities.state import (
    Entity,
    EntityProgress,
    EntityTransition,
    Holder,
)
from durabletask.sidecar.engine.state import CallRow, LockRow, ParentLink
from durabletask.sidecar.engine.transition import Transition
from durabletask.sidecar.store import Change, Due, EntityChange, Key
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.queries import EndedQuery, EntityQuery, InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import EPOCH, HUB, EngineDriver, child, end, schedule
from tests.builders.engine_entities import call, lock, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from durabletask.sidecar.store import Store

KEY = Key(HUB, "@counter@a")
SECOND = timedelta(seconds=1)


class Reopened(SqliteStore):
    """Forgets everything but its file after each commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="normal")
        self._path = path

    def commit(self, changes: Any) -> None:
        super().commit(changes)
        self.close()
        self.__init__(self._path)  # type: ignore[misc]


@pytest.fixture(params=["memory", "sqlite", "sqlite-reopened"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "tasks.db"
    opened: Store
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = SqliteStore(path, synchronous="normal")
    else:
        opened = Reopened(path)
    yield opened
    opened.close()


def message(number: int, **fields: Any) -> MessageRow:
    fields.setdefault("kind", MessageKind.SIGNAL)
    fields.setdefault("visible_at", EPOCH)
    fields.setdefault("caller", None)
    return MessageRow(
        number, fields["kind"], fields["visible_at"], f"r{number}", b"event", fields["caller"]
    )


def change(progress: EntityProgress, *rows: MessageRow, key: Key = KEY) -> EntityChange:
    transition = EntityTransition(progress=progress, messages_add=rows)
    entity = Entity(key.instance_id, progress, MessageQueue(rows))
    return EntityChange(key, entity, (transition,))


PROGRESS = EntityProgress("run-1", EPOCH, '"state"', Holder("holder", "section"), 7)


def test_every_field_of_an_entity_comes_back_as_it_was(store: Store) -> None:
    rows = (
        message(1),
        message(2, kind=MessageKind.CALL, caller=Caller("a", "run-2"), visible_at=EPOCH + SECOND),
        message(3, kind=MessageKind.LOCK, caller=Caller("b", "run-3")),
    )

    store.commit([change(PROGRESS, *rows)])

    stored = store.load_entity(KEY)
    assert stored is not None
    assert stored.progress == PROGRESS
    assert sorted(stored.queue, key=lambda row: row.number) == list(rows)


def test_an_entity_that_was_never_stored_is_none(store: Store) -> None:
    assert store.load_entity(KEY) is None


def test_a_removed_entity_leaves_nothing_behind(store: Store) -> None:
    store.commit([change(PROGRESS, message(1))])

    store.commit([EntityChange(KEY, None, (EntityTransition(removes=True),))])

    assert store.load_entity(KEY) is None
    assert list(store.entities(HUB, EntityQuery())) == []
    assert list(store.due(None, EPOCH)) == []


def test_an_entity_may_be_removed_and_made_in_one_commit(store: Store) -> None:
    store.commit([change(PROGRESS, message(1))])
    fresh = EntityProgress("run-2", EPOCH)
    beginning = EntityTransition(progress=fresh, messages_add=(message(1),))

    entity = Entity(KEY.instance_id, fresh, MessageQueue((message(1),)))
    store.commit([EntityChange(KEY, entity, (EntityTransition(removes=True), beginning))])

    stored = store.load_entity(KEY)
    assert stored is not None
    assert stored.progress == fresh
    assert len(stored.queue) == 1


def test_turns_and_batches_become_due_in_one_order(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start("late", scheduled_start=EPOCH + 3 * SECOND)
    hub.do(SignalEntity("r1", "add", scheduled_at=EPOCH + 2 * SECOND), "@counter@b")
    hub.start("soon", scheduled_start=EPOCH + SECOND)

    due = list(store.due(EPOCH, EPOCH + 10 * SECOND))

    assert due == [
        Due(Key(HUB, "soon"), "order"),
        Due(Key(HUB, "@counter@b")),
        Due(Key(HUB, "late"), "order"),
    ]
    assert store.next_due(EPOCH) == EPOCH + SECOND
    assert store.next_due(EPOCH + SECOND) == EPOCH + 2 * SECOND
    assert store.next_due(EPOCH + 3 * SECOND) is None


def test_a_locked_entity_is_due_when_its_holder_has_asked_for_something(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(lock(1, "s", "@counter@a"))
    hub.do(SignalEntity("r1", "add"), "@counter@a")
    assert Due(KEY) not in list(store.due(None, hub.now))

    hub.decide(call(2, "r2", "@counter@a"))

    assert Due(KEY) in list(store.due(None, hub.now))


def test_calls_and_locks_of_an_orchestration_come_back(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()

    hub.decide(call(1, "r1", "@counter@a"), lock(2, "s", "@counter@b", "@counter@a"))

    stored = store.load(Key(HUB, "a"))
    assert stored is not None
    assert stored.calls == {"r1": CallRow("r1", "@counter@a")}
    assert stored.locks == {"s": LockRow("s", ("@counter@a", "@counter@b"), is_granted=False)}
    run(hub)
    stored = store.load(Key(HUB, "a"))
    assert stored is not None
    assert stored.calls == {}
    assert stored.locks["s"].is_granted


def test_a_child_may_be_linked_to_another_execution_of_its_parent(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(child(1, "kid"))
    kid = hub.state("kid")
    link = ParentLink("a", "another", 1, "order")

    transition = Transition(progress=kid.progress, parent=link)
    kid.absorb(transition)
    store.commit([Change(Key(HUB, "kid"), kid, (transition,))])

    stored = store.load(Key(HUB, "kid"))
    assert stored is not None
    assert stored.origin.parent == link
    assert store.children(Key(HUB, "a")) == ["kid"]


def test_a_purged_instance_leaves_nothing_behind(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1), child(2, "kid"), call(3, "r1"), end(result="1"))

    hub.do(Purge(recursive=True))

    assert store.load(Key(HUB, "a")) is None
    assert store.history(Key(HUB, "a")) == b""
    assert list(store.outstanding_tasks()) == []
    assert store.children(Key(HUB, "a")) == []
    assert list(store.instances(HUB, InstanceQuery())) == []


def test_an_instance_may_be_purged_and_made_in_one_commit(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(end(result="1"))

    hub.commit(("a", Purge()), ("a", StartInstance("again")), ("a", Purge()))

    stored = store.load(Key(HUB, "a"))
    assert stored is not None
    assert stored.origin.name == "again"
    assert store.history(Key(HUB, "a")) == b""
    assert len(stored.inbox) == 1


def test_a_wiped_hub_is_empty_and_others_are_as_they_were(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.do(SignalEntity("r1", "add"), "@counter@a")
    store.commit([change(PROGRESS, message(1), key=Key("other", "@counter@a"))])

    store.wipe(HUB)

    assert store.load(Key(HUB, "a")) is None
    assert store.load_entity(Key(HUB, "@counter@a")) is None
    assert list(store.instances(HUB, InstanceQuery())) == []
    assert list(store.due(None, hub.now)) == []
    assert store.load_entity(Key("other", "@counter@a")) is not None


def fleet(store: Store) -> EngineDriver:
    """Instances a to e, one a second, of which b and d have ended."""
    hub = EngineDriver(store)
    for instance_id in "abcde":
        hub.pass_time(SECOND - timedelta(milliseconds=1))
        hub.start(instance_id)
    for instance_id in ("d", "b"):
        hub.pass_time(SECOND)
        hub.decide(end(result="1"), to=instance_id)
    return hub


def ids(found: Any) -> list[str]:
    return [each.instance_id for each in found]


def test_instances_are_found_in_the_order_of_their_creation(store: Store) -> None:
    fleet(store)

    assert ids(store.instances(HUB, InstanceQuery())) == list("abcde")
    assert ids(store.instances("other", InstanceQuery())) == []


def test_a_page_begins_after_the_last_one_whatever_was_added_and_removed(store: Store) -> None:
    hub = fleet(store)
    first = list(store.instances(HUB, InstanceQuery()))[1]
    hub.do(Purge(), "b")
    hub.start("f")

    assert ids(store.instances(HUB, InstanceQuery(), after=first.key)) == list("cdef")


def test_instances_are_filtered_by_status_time_and_prefix(store: Store) -> None:
    fleet(store)

    def found(**query: Any) -> list[str]:
        return ids(store.instances(HUB, InstanceQuery(**query)))

    assert found(statuses=frozenset({1})) == ["b", "d"]
    assert found(created_from=EPOCH + 2 * SECOND, created_to=EPOCH + 4 * SECOND) == ["b", "c"]
    assert found(prefix="c") == ["c"]


@pytest.mark.parametrize("prefix", ["50%", "a_b", "*", "[a]", "größe", "'", "\U0001f600"])
def test_a_prefix_means_what_it_says(store: Store, prefix: str) -> None:
    hub = EngineDriver(store)
    hub.start(f"{prefix}-1")
    hub.start("500")
    hub.start("axb")
    hub.start(prefix[:-1] + "~" if len(prefix) > 1 else "~")

    assert ids(store.instances(HUB, InstanceQuery(prefix=prefix))) == [f"{prefix}-1"]


def test_what_has_ended_is_listed_by_when_it_did(store: Store) -> None:
    fleet(store)

    found = list(store.ended(HUB, EndedQuery()))

    assert [instance_id for _, instance_id in found] == ["d", "b"]
    assert [each for _, each in store.ended(HUB, EndedQuery(), after=found[0])] == ["b"]
    assert [each for _, each in store.ended(HUB, EndedQuery(completed_to=found[1][0]))] == ["d"]
    assert list(store.ended(HUB, EndedQuery(statuses=frozenset({3})))) == []


def test_entities_are_found_by_id_with_their_backlog(store: Store) -> None:
    hub = EngineDriver(store)
    for entity_id in ("@counter@b", "@counter@a", "@other@a"):
        hub.do(SignalEntity("r1", "add"), entity_id)
    run(hub, "@counter@b", state="1")

    found = list(store.entities(HUB, EntityQuery()))

    assert [each.entity_id for each in found] == ["@counter@a", "@counter@b", "@other@a"]
    assert [each.backlog for each in found] == [1, 0, 1]
    counters = store.entities(HUB, EntityQuery(prefix="@counter@"))
    assert [each.entity_id for each in counters] == ["@counter@a", "@counter@b"]
    with_state = store.entities(HUB, EntityQuery(transient=False))
    assert [each.entity_id for each in with_state] == ["@counter@b"]
    behind = store.entities(HUB, EntityQuery(), after="@counter@a")
    assert [each.entity_id for each in behind] == ["@counter@b", "@other@a"]


def test_a_purged_entity_is_not_found(store: Store) -> None:
    hub = EngineDriver(store)
    hub.do(SignalEntity("r1", "add"), "@counter@a")

    hub.do(PurgeEntity(), "@counter@a")

    assert list(store.entities(HUB, EntityQuery())) == []
