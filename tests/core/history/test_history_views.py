"""What programs see of an instance's history."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from durabletask import history
from durabletask.failures import FailureDetails
from durabletask.history import wire
from durabletask.protocol import codec, events, messages, oneofs
from durabletask.protocol.wire import varint

AT = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
KINDS = sorted(oneofs.members_of(messages.HistoryEvent))
TRACE = messages.TraceContext(trace_parent="00-1-2-01", span_id="2", trace_state="a=b")
TOO_LATE = messages.TaskFailureDetails(error_type="ValueError", error_message="too late")


def empty(kind: str) -> messages.HistoryEvent:
    """An event of that kind in which nothing is set."""
    hint = typing.get_type_hints(messages.HistoryEvent)[kind]
    (content,) = {*typing.get_args(hint)} - {type(None)}
    return messages.HistoryEvent(event_id=-1, timestamp=AT, **{kind: content()})


def test_no_event_of_the_protocol_is_missing() -> None:
    assert set(wire.KINDS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_has_a_class_of_its_own_that_is_exported(kind: str) -> None:
    event = history.from_message(empty(kind))

    assert type(event) is wire.KINDS[kind]
    assert type(event).__name__ in history.__all__
    assert list(wire.KINDS.values()).count(type(event)) == 1
    assert (event.event_id, event.timestamp) == (-1, AT)


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_becomes_json_with_its_fields_for_keys(kind: str) -> None:
    event = history.from_message(empty(kind))

    fields = json.loads(json.dumps(event.to_dict()))

    assert list(fields) == [field.name for field in dataclasses.fields(event)]
    assert fields["timestamp"] == "2030-01-02T03:04:05.000678+00:00"
    assert history.to_dict(event) == event.to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_survives_the_way_to_another_process(kind: str) -> None:
    event = history.from_message(empty(kind))

    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize("name", history.__all__)
def test_every_public_name_has_the_official_path(name: str) -> None:
    public = getattr(history, name)

    assert public.__module__ == "durabletask.history"
    if inspect.isclass(public):
        assert typing.get_type_hints(public), "the hints must be found from that path"


EXAMPLES: list[tuple[messages.HistoryEvent, history.HistoryEvent]] = [
    (
        events.execution_started(
            "sum",
            "[1]",
            instance_id="child",
            execution_id="run-1",
            version="2",
            tags={"team": "blue"},
            parent=messages.ParentInstanceInfo(
                task_scheduled_id=3,
                name="settle",
                version="1",
                orchestration_instance=messages.OrchestrationInstance(
                    instance_id="parent", execution_id="run-0"
                ),
            ),
            scheduled_start=LATER,
            parent_trace_context=TRACE,
            orchestration_span_id="9",
            at=AT,
        ),
        history.ExecutionStartedEvent(
            -1,
            AT,
            "sum",
            "2",
            "[1]",
            history.OrchestrationInstance("child", "run-1"),
            history.ParentInstanceInfo(
                3, "settle", "1", history.OrchestrationInstance("parent", "run-0")
            ),
            LATER,
            history.TraceContext("00-1-2-01", "2", "a=b"),
            "9",
            {"team": "blue"},
        ),
    ),
    (
        events.execution_completed(
            messages.OrchestrationStatus.FAILED, None, TOO_LATE, at=AT, event_id=5
        ),
        history.ExecutionCompletedEvent(
            5, AT, 3, None, FailureDetails("too late", "ValueError", None)
        ),
    ),
    (
        events.execution_terminated('"stop"', recurse=True, at=AT),
        history.ExecutionTerminatedEvent(-1, AT, '"stop"', recurse=True),
    ),
    (
        events.task_scheduled(1, "charge", "5", version="1", tags={"a": "b"}, at=AT),
        history.TaskScheduledEvent(1, AT, "charge", "1", "5", None, {"a": "b"}),
    ),
    (
        events.task_completed(1, '"done"', at=AT),
        history.TaskCompletedEvent(-1, AT, 1, '"done"'),
    ),
    (
        events.timer_created(2, LATER, at=AT),
        history.TimerCreatedEvent(2, AT, LATER),
    ),
    (
        events.timer_fired(2, LATER, at=AT),
        history.TimerFiredEvent(-1, AT, LATER, 2),
    ),
    (
        events.event_sent(4, "other", "go", "1", at=AT),
        history.EventSentEvent(4, AT, "other", "go", "1"),
    ),
    (
        events.entity_operation_called(
            6,
            "@account@a",
            "withdraw",
            "5",
            request_id="r-1",
            parent=messages.OrchestrationInstance(instance_id="order-1", execution_id="run-1"),
            scheduled_time=LATER,
            at=AT,
        ),
        history.EntityOperationCalledEvent(
            6, AT, "r-1", "withdraw", LATER, "5", "order-1", "run-1", "@account@a"
        ),
    ),
    (
        events.entity_lock_requested(
            7, "section", ["@a@1", "@b@2"], position=1, parent_instance_id="order-1", at=AT
        ),
        history.EntityLockRequestedEvent(7, AT, "section", ["@a@1", "@b@2"], 1, "order-1"),
    ),
    (
        events.execution_rewound("why not", at=AT),
        history.ExecutionRewoundEvent(-1, AT, "why not"),
    ),
]


@pytest.mark.parametrize(("message", "event"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_event_holds_what_its_message_held(
    message: messages.HistoryEvent, event: history.HistoryEvent
) -> None:
    assert history.from_message(message) == event


def test_what_stands_inside_an_event_becomes_json_too() -> None:
    failed = history.from_message(events.task_failed(1, TOO_LATE, at=AT))

    assert failed.to_dict()["failure_details"] == {
        "message": "too late",
        "error_type": "ValueError",
        "stack_trace": None,
        "inner_failure": None,
        "properties": None,
    }


def test_a_state_has_the_json_form_of_the_protocol() -> None:
    state = messages.OrchestrationState(
        instance_id="order-1",
        orchestration_status=messages.OrchestrationStatus.FAILED,
        created_timestamp=AT,
        input="5",
    )

    event: Any = history.from_message(events.history_state(state, at=AT))

    # As the official SDK prints it.
    assert event.orchestration_state == {
        "instanceId": "order-1",
        "orchestrationStatus": "ORCHESTRATION_STATUS_FAILED",
        "createdTimestamp": "2030-01-02T03:04:05.000678Z",
        "input": "5",
    }


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    tokyo = timezone(timedelta(hours=9))

    event: Any = history.from_message(
        events.timer_fired(1, LATER.astimezone(tokyo), at=AT.astimezone(tokyo))
    )

    assert (event.timestamp, event.fire_at) == (AT, LATER)
    assert event.timestamp.tzinfo is event.fire_at.tzinfo is UTC


def test_a_time_that_is_missing_is_the_epoch() -> None:
    event: Any = history.from_message(messages.HistoryEvent(timer_fired=messages.TimerFiredEvent()))

    assert event.timestamp == event.fire_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_an_event_from_the_future_is_kept_as_a_generic_one() -> None:
    # Field 99, as a newer engine would send it, after the number 7 in field 1.
    raw = bytes([1 << 3, 7]) + varint(99 << 3 | 2) + bytes([0])

    event = history.from_message(codec.decode(messages.HistoryEvent, raw))

    assert event == history.GenericEvent(7, datetime(1970, 1, 1, tzinfo=UTC), None)


def test_a_status_from_the_future_stays_a_number() -> None:
    completed = messages.ExecutionCompletedEvent(
        orchestration_status=messages.OrchestrationStatus(99)
    )

    event: Any = history.from_message(messages.HistoryEvent(execution_completed=completed))

    assert type(event.orchestration_status) is int
    assert event.orchestration_status == 99
