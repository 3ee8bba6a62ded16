"""One constructor for each event of the protocol."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.protocol import codec, events, messages, oneofs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Values for the parameters that have no default.
ARGUMENTS: dict[str, Any] = {
    "critical_section_id": "section",
    "event_id": 7,
    "failure_details": messages.TaskFailureDetails(error_type="ValueError"),
    "fire_at": NOON,
    "instance_id": "order-1",
    "lock_set": ["@counter@a"],
    "name": "greet",
    "operation": "add",
    "reason": messages.StalledReason.PATCH_MISMATCH,
    "request_id": "request",
    "state": messages.OrchestrationState(instance_id="order-1"),
    "status": messages.OrchestrationStatus.COMPLETED,
    "target_instance_id": "@counter@a",
    "task_scheduled_id": 3,
    "timer_id": 3,
}


def made(name: str) -> messages.HistoryEvent:
    constructor = getattr(events, name)
    required = [
        parameter.name
        for parameter in inspect.signature(constructor).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    event: messages.HistoryEvent = constructor(
        **{parameter: ARGUMENTS[parameter] for parameter in required}, at=NOON
    )
    return event


@pytest.mark.parametrize("name", sorted(oneofs.members_of(messages.HistoryEvent)))
def test_every_event_has_a_constructor_of_its_name(name: str) -> None:
    event = made(name)

    assert oneofs.which(event) == name
    assert event.timestamp == NOON
    assert codec.decode(messages.HistoryEvent, codec.encode(event)) == event


def test_an_event_is_what_the_generated_constructor_makes() -> None:
    event = events.task_completed(3, '"done"', at=NOON)

    assert event == messages.HistoryEvent(
        event_id=-1,
        timestamp=NOON,
        task_completed=messages.TaskCompletedEvent(task_scheduled_id=3, result='"done"'),
    )


def test_an_event_that_records_an_action_has_its_number() -> None:
    assert events.timer_created(7, NOON).event_id == 7
    assert events.timer_fired(7, NOON).event_id == -1
