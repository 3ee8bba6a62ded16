"""Instances and entities beside their histories: right ones, and each that cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.audit import entities, instances
from durabletask.sidecar.audit.instances import Record
from durabletask.sidecar.engine.commands import RaiseEvent, Rewind, Suspend, Terminate
from durabletask.sidecar.engine.entities.state import Holder
from durabletask.sidecar.engine.inbox import Inbox, InboxRow, RowKind
from durabletask.sidecar.engine.state import ChildRow
from durabletask.sidecar.store import Key
from tests.builders.engine import (
    EPOCH,
    HUB,
    EngineDriver,
    Status,
    again,
    child,
    end,
    events_in,
    schedule,
    timer,
)
from tests.builders.engine_entities import COUNTER, call, entity, lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.engine.state import Instance

DAY = timedelta(days=1)


def stored(hub: EngineDriver, instance_id: str = "a") -> Instance:
    """The instance as the store has it, for the test to spoil."""
    instance = hub.store.load(Key(HUB, instance_id))
    assert instance is not None
    return instance


def record(
    hub: EngineDriver, spoil: Callable[[Instance], None] = lambda _: None, **fields: Any
) -> Record:
    instance = stored(hub)
    events = events_in(hub.store.history(Key(HUB, "a")))
    due_at = instance.due_at()
    spoil(instance)
    return replace(Record(instance, due_at, events), **fields)


def rules(record: Record) -> set[str]:
    return {finding.rule for finding in instances.findings(record)}


def progress(**changes: Any) -> Callable[[Instance], None]:
    def spoil(instance: Instance) -> None:
        instance.progress = instance.progress._replace(**changes)

    return spoil


def origin(**changes: Any) -> Callable[[Instance], None]:
    def spoil(instance: Instance) -> None:
        instance.origin = replace(instance.origin, **changes)

    return spoil


def inbox(*kinds: RowKind, **changes: Any) -> Callable[[Instance], None]:
    """Change the rows of these kinds."""

    def spoil(instance: Instance) -> None:
        instance.inbox = Inbox(
            row._replace(**changes) if row.kind in kinds else row for row in instance.inbox
        )

    return spoil


def emptied(rows: str) -> Callable[[Instance], None]:
    def spoil(instance: Instance) -> None:
        setattr(instance, rows, type(getattr(instance, rows))())

    return spoil


def waiting() -> EngineDriver:
    """One that waits for one of everything."""
    hub = EngineDriver()
    hub.start()
    hub.decide(
        *(schedule(1), timer(2, EPOCH + DAY), child(3, "kid")),
        *(call(4, "r", "@counter@b"), lock(5, "s", COUNTER)),
    )
    return hub


def begun() -> EngineDriver:
    hub = EngineDriver()
    hub.start()
    hub.decide()
    return hub


def over(*actions: Any) -> EngineDriver:
    hub = EngineDriver()
    hub.start()
    hub.decide(*actions, end(result='"done"'))
    return hub


def pending() -> EngineDriver:
    hub = EngineDriver()
    hub.start()
    hub.do(RaiseEvent("go"))
    return hub


def with_an_answer() -> EngineDriver:
    hub = waiting()
    hub.finish_next()
    return hub


def suspended() -> EngineDriver:
    hub = with_an_answer()
    hub.do(Suspend(None))
    return hub


def renewed() -> EngineDriver:
    hub = begun()
    hub.do(RaiseEvent("go"))
    hub.decide(schedule(1), again())
    return hub


def terminated() -> EngineDriver:
    hub = waiting()
    hub.do(Terminate("enough"))
    return hub


def rewinding() -> EngineDriver:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), child(2, "kid"), end(status=Status.FAILED))
    hub.do(Rewind())
    return hub


def kept_promise() -> EngineDriver:
    return over(schedule(1))


RIGHT = [
    *(pending, begun, waiting, with_an_answer, suspended, renewed),
    *(over, kept_promise, terminated, rewinding),
]


@pytest.mark.parametrize("make", RIGHT)
def test_what_the_engine_makes_is_right(make: Callable[[], EngineDriver]) -> None:
    assert list(instances.findings(record(make()))) == []


WRONG: dict[str, tuple[str, Callable[[], Record]]] = {
    "an event too few": ("length", lambda: record(begun(), events=[])),
    "another orchestrator's history": ("identity", lambda: record(begun(), origin(name="ship"))),
    "another execution's history": ("identity", lambda: record(begun(), origin(execution_id="x"))),
    "never woken": ("wakes", lambda: record(with_an_answer(), due_at=None)),
    "woken for nothing": ("wakes", lambda: record(begun(), due_at=EPOCH)),
    "woken while it is suspended": ("wakes", lambda: record(suspended(), due_at=EPOCH)),
    "a number that comes again": ("numbers", lambda: record(waiting(), progress(rows_made=1))),
    "an event that is cut off": (
        "decodes",
        lambda: record(pending(), inbox(RowKind.EVENT, event=b"\x08")),
    ),
    "an answer to something else": (
        "inbox",
        lambda: record(with_an_answer(), inbox(RowKind.RESULT, answers="task:1")),
    ),
    "it will never begin": ("begins", lambda: record(pending(), emptied("inbox"))),
    "it will begin twice": (
        "begins",
        lambda: record(with_an_answer(), inbox(RowKind.RESULT, kind=RowKind.START, answers=None)),
    ),
    "over, and its history goes on": (
        "ending",
        lambda: record(begun(), progress(status=Status.COMPLETED, completed_at=EPOCH)),
    ),
    "over in its history only": (
        "ending",
        lambda: record(over(), progress(status=Status.RUNNING, completed_at=None)),
    ),
    "it goes on, and has an end": ("ending", lambda: record(begun(), progress(completed_at=EPOCH))),
    "over, and nobody knows when": ("ending", lambda: record(over(), progress(completed_at=None))),
    "another end": ("ending", lambda: record(over(), progress(status=Status.FAILED))),
    "another output": ("ending", lambda: record(over(), progress(output='"other"'))),
    "an activity that nobody will run": ("waits", lambda: record(waiting(), emptied("tasks"))),
    "a timer that will not fire": ("waits", lambda: record(waiting(), emptied("inbox"))),
    "a child that will not report": ("waits", lambda: record(waiting(), emptied("children"))),
    "a call that will not be answered": ("waits", lambda: record(waiting(), emptied("calls"))),
    "over, and it waits": ("let-go", lambda: record(over(), waits_on)),
    "over, and it waits for a child": ("let-go", lambda: record(over(), waits_for_a_child)),
    "an activity that was taken back": (
        "let-go",
        lambda: record(kept_promise(), progress(status=Status.TERMINATED)),
    ),
}


def waits_on(instance: Instance) -> None:
    instance.inbox.add(InboxRow(1, RowKind.WAKE_UP, EPOCH, b""))


def waits_for_a_child(instance: Instance) -> None:
    instance.children[3] = ChildRow(3, "kid")


@pytest.mark.parametrize(("rule", "make"), WRONG.values(), ids=WRONG)
def test_what_contradicts_its_history_is_found_out(rule: str, make: Callable[[], Record]) -> None:
    assert rule in rules(make())


def test_a_result_that_waits_in_two_places_is_found_out() -> None:
    hub = waiting()
    row = next(iter(stored(hub).tasks.values()))

    def spoil(instance: Instance) -> None:
        instance.tasks[row.number] = row

    hub.finish_next()

    texts = [finding.text for finding in instances.findings(record(hub, spoil))]
    assert "task:1 is pending, and has 2 rows instead of one" in texts


def test_an_activity_of_a_retry_that_waits_for_nobody_is_found_out() -> None:
    hub = waiting()
    row = next(iter(stored(hub).tasks.values()))

    def spoil(instance: Instance) -> None:
        instance.tasks[row.number] = replace(row, task_id=7)

    texts = [finding.text for finding in instances.findings(record(hub, spoil))]
    assert "task:7 has a row, but is not pending" in texts


def test_a_lock_that_history_does_not_know_of_is_found_out() -> None:
    hub = waiting()
    hub.decide()

    assert rules(record(hub)) == set()
    assert "locks" in rules(record(hub, emptied("locks")))


def linked(
    hub: EngineDriver,
    spoil: Callable[[Instance], None] = lambda _: None,
    *,
    others: dict[str, Any] | None = None,
) -> list[str]:
    """What the instance waits for in vain, where some others are not what they were."""
    instance, replaced = stored(hub), others or {}
    spoil(instance)

    def find(name: str) -> Instance | None:
        return replaced[name] if name in replaced else hub.store.load(Key(HUB, name))

    def find_entity(name: str) -> Any:
        return replaced[name] if name in replaced else hub.store.load_entity(Key(HUB, name))

    return [finding.rule for finding in instances.link_findings(instance, find, find_entity)]


@pytest.mark.parametrize("make", RIGHT)
def test_all_that_the_engine_waits_for_knows_of_it(make: Callable[[], EngineDriver]) -> None:
    assert linked(make()) == []


def test_a_child_that_is_gone_is_missed() -> None:
    assert linked(waiting(), others={"kid": None}) == ["children"]


def test_a_child_of_somebody_else_is_found_out() -> None:
    hub = waiting()
    kid = stored(hub, "kid")
    kid.origin = replace(kid.origin, parent=None)

    assert linked(hub, others={"kid": kid}) == ["children"]


def test_a_child_that_has_ended_without_a_word_is_found_out() -> None:
    hub = waiting()
    kid = stored(hub, "kid")
    kid.progress = kid.progress._replace(status=Status.COMPLETED)

    assert linked(hub, others={"kid": kid}) == ["children"]


def test_an_entity_that_forgot_a_call_is_found_out() -> None:
    hub = waiting()
    assert linked(hub, others={"@counter@b": None}) == ["answers"]
    assert linked(hub, others={"@counter@b": entity(hub, COUNTER)}) == ["answers"]


def test_a_call_of_another_execution_is_found_out() -> None:
    assert "answers" in linked(waiting(), origin(execution_id="other"))


def test_an_entity_that_is_not_locked_for_whom_it_should_be_is_found_out() -> None:
    assert linked(waiting(), others={COUNTER: None}) == ["locks"]


def test_a_request_for_a_lock_that_no_entity_knows_of_is_found_out() -> None:
    hub = waiting()
    hub.start("b")
    hub.decide(lock(1, "t", COUNTER), to="b")
    request = stored(hub, "b")

    found = instances.link_findings(request, lambda _: None, lambda _: entity(hub))
    assert list(found) == []
    found = instances.link_findings(request, lambda _: None, lambda _: None)
    assert [finding.rule for finding in found] == ["locks"]


def counter() -> tuple[EngineDriver, Any]:
    """An entity that has a message, and is locked."""
    hub = waiting()
    hub.start("b")
    hub.decide(lock(1, "t", COUNTER), to="b")
    found = hub.store.load_entity(Key(HUB, COUNTER))
    assert found is not None
    assert found.holder_id == "a"
    return hub, found


def of_entity(found: Any, **due_at: Any) -> list[str]:
    due = due_at.get("due_at", found.due_at())
    return [finding.rule for finding in entities.findings(found, due)]


def test_what_the_engine_makes_of_an_entity_is_right() -> None:
    hub, found = counter()

    assert of_entity(found) == []
    assert list(entities.link_findings(found, lambda name: hub.store.load(Key(HUB, name)))) == []


def test_an_entity_that_is_woken_for_nothing_is_found_out() -> None:
    assert of_entity(counter()[1], due_at=EPOCH) == ["wakes"]


def test_a_message_whose_number_comes_again_is_found_out() -> None:
    _, found = counter()
    found.progress = replace(found.progress, rows_made=0)

    assert of_entity(found) == ["numbers"]


@pytest.mark.parametrize(("event", "rule"), [(b"\x08", "decodes"), (b"", "known")])
def test_a_message_that_cannot_be_read_is_found_out(event: bytes, rule: str) -> None:
    _, found = counter()
    (row,) = found.queue
    found.queue.remove(row.number)
    found.queue.add(replace(row, event=event))

    assert of_entity(found) == [rule]


@pytest.mark.parametrize("holder", [Holder("nobody", "s"), Holder("a", "other")])
def test_an_entity_that_nobody_will_unlock_is_found_out(holder: Holder) -> None:
    hub, found = counter()
    found.progress = replace(found.progress, holder=holder)

    findings = entities.link_findings(found, lambda name: hub.store.load(Key(HUB, name)))
    assert [finding.rule for finding in findings] == ["unlocks"]
