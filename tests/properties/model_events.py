"""Translate the sidecar's events into the model's, and the model's actions into the sidecar's."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, events, messages, oneofs
from tests.builders import engine, engine_entities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tests.properties.model import Event


def history(encoded: bytes) -> list[Event]:
    """A history as a store holds it."""
    return [event for each in engine.events_in(encoded) if (event := of_event(each)) is not None]


@lru_cache(maxsize=4096)
def stored_event(encoded: bytes) -> Event | None:
    """An event as it waits in an inbox or a queue."""
    return of_event(codec.decode(messages.HistoryEvent, encoded))


def of_event(event: Any) -> Event | None:
    kind = oneofs.which(event)
    return _EVENTS[kind](event, getattr(event, kind))


_EVENTS: dict[str, Callable[[Any, Any], Event]] = {
    "orchestrator_started": lambda _, it: ("turn",),
    "execution_started": lambda _, it: ("started", it.input),
    "execution_suspended": lambda _, it: ("suspended",),
    "execution_resumed": lambda _, it: ("resumed",),
    "execution_terminated": lambda _, it: ("terminated", it.input),
    "execution_completed": lambda _, it: ("ended", it.orchestration_status.name, it.result),
    "event_raised": lambda _, it: ("raised", it.name, it.input),
    "event_sent": lambda event, it: ("sent", event.event_id, it.instance_id, it.input),
    "task_scheduled": lambda event, it: ("task", event.event_id),
    "task_completed": lambda _, it: ("task done", it.task_scheduled_id, it.result),
    "task_failed": lambda _, it: ("task done", it.task_scheduled_id, None),
    "timer_created": lambda event, it: ("timer", event.event_id, it.fire_at),
    "timer_fired": lambda _, it: ("fired", it.timer_id, it.fire_at),
    "sub_orchestration_instance_created": lambda event, it: (
        "child",
        event.event_id,
        it.instance_id,
    ),
    "sub_orchestration_instance_completed": lambda _, it: (
        "child done",
        it.task_scheduled_id,
        it.result,
    ),
    "sub_orchestration_instance_failed": lambda _, it: ("child done", it.task_scheduled_id, None),
    "entity_operation_called": lambda event, it: (
        ("called", event.event_id, it.request_id, it.target_instance_id)
        if event.event_id >= 0
        else ("call", it.request_id)
    ),
    "entity_operation_signaled": lambda event, it: (
        ("signaled", event.event_id, it.request_id, it.target_instance_id)
        if event.event_id >= 0
        else ("signal", it.request_id if it.request_id.startswith("r") else None)
    ),
    "entity_operation_completed": lambda _, it: ("answered", it.request_id, it.output),
    "entity_operation_failed": lambda _, it: ("answered", it.request_id, None),
    "entity_lock_requested": lambda event, it: (
        ("lock", event.event_id, it.critical_section_id)
        if event.event_id >= 0
        else ("lock", it.critical_section_id, tuple(it.lock_set), it.position)
    ),
    "entity_lock_granted": lambda _, it: ("locked", it.critical_section_id),
    "entity_unlock_sent": lambda event, it: (
        "unlocked",
        event.event_id,
        it.critical_section_id,
        it.target_instance_id,
    ),
}


def actions(asked: Iterable[Event], now: datetime) -> list[Any]:
    """What an orchestrator asks for, as its worker says it."""
    return [_ACTIONS[kind](now, *rest) for kind, *rest in asked]


def _again(now: datetime, input: str, carried: Iterable[str]) -> Any:
    carry = tuple(events.event_raised("carried", each, at=now) for each in carried)
    return engine.again(input, carry=carry)


_ACTIONS: dict[str, Callable[..., Any]] = {
    "task": lambda _, id: engine.schedule(id),
    "timer": lambda _, id, at: engine.timer(id, at),
    "child": lambda _, id, child, input: engine.child(id, child, input=input),
    "send": lambda _, id, to, input: engine.send(id, to, "sent", input),
    "kill": lambda _, id, to, recurse: engine.kill(id, to, reason="killed", recurse=recurse),
    "signal": lambda _, id, request, entity: engine_entities.signal(id, request, entity),
    "call": lambda _, id, request, entity: engine_entities.call(id, request, entity),
    "lock": lambda _, id, section, entities: engine_entities.lock(id, section, *entities),
    "unlock": lambda _, id, section, entity: engine_entities.unlock(id, section, entity),
    "complete": lambda _, output: engine.end(result=output),
    "fail": lambda _: engine.fail(),
    "again": _again,
}
