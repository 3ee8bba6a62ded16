"""The table of what asks and what answers covers the whole protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import events, messages
from durabletask.protocol.correlation import (
    ANSWERED_BY,
    NEITHER,
    REQUESTED_BY,
    REQUESTS,
    UNRECORDED_ACTIONS,
)
from durabletask.protocol.oneofs import members_of, which

if TYPE_CHECKING:
    from durabletask.protocol.messages import HistoryEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILURE = messages.TaskFailureDetails(error_type="ValueError")

Requested = tuple[object, "HistoryEvent"]

ACTIVITY: Requested = (3, events.task_scheduled(3, "greet"))
CHILD: Requested = (
    4,
    events.sub_orchestration_instance_created(4, "child", instance_id="order:4"),
)
TIMER: Requested = (5, events.timer_created(5, NOON))
CALL: Requested = ("r", events.entity_operation_called(6, "@counter@a", "add", request_id="r"))
LOCK: Requested = ("s", events.entity_lock_requested(7, "s", ["@counter@a"]))

ANSWERS: list[tuple[Requested, HistoryEvent]] = [
    (ACTIVITY, events.task_completed(3)),
    (ACTIVITY, events.task_failed(3, FAILURE)),
    (CHILD, events.sub_orchestration_instance_completed(4)),
    (CHILD, events.sub_orchestration_instance_failed(4, FAILURE)),
    (TIMER, events.timer_fired(5, NOON)),
    (CALL, events.entity_operation_completed("r")),
    (CALL, events.entity_operation_failed("r", FAILURE)),
    (LOCK, events.entity_lock_granted("s")),
]


def kind_of(value: Requested | HistoryEvent) -> str:
    return which(value[1] if isinstance(value, tuple) else value)


def test_every_kind_of_event_asks_or_answers_or_does_neither_on_purpose() -> None:
    kinds = [*REQUESTED_BY, *ANSWERED_BY, *NEITHER]

    assert len(kinds) == len(set(kinds))
    assert set(kinds) == members_of(messages.HistoryEvent)


def test_every_action_is_recorded_as_a_request_or_not_on_purpose() -> None:
    recorded = {request.action for request in REQUESTS}

    assert recorded | UNRECORDED_ACTIONS == members_of(messages.OrchestratorAction)
    assert not recorded & UNRECORDED_ACTIONS


def test_every_message_to_an_entity_is_recorded_as_a_request_of_its_name() -> None:
    sent = {request.event for request in REQUESTS if request.action == "send_entity_message"}

    assert sent == members_of(messages.SendEntityMessageAction)


@pytest.mark.parametrize(("requested", "answer"), ANSWERS, ids=kind_of)
def test_an_answer_refers_to_its_request(requested: Requested, answer: HistoryEvent) -> None:
    id, event = requested
    kind = which(answer)

    request = ANSWERED_BY[kind]

    assert request is REQUESTED_BY[which(event)]
    assert request.id_in(answer, kind) == request.id_of(event) == id


def test_every_kind_of_answer_is_claimed_above() -> None:
    assert {which(answer) for _, answer in ANSWERS} == set(ANSWERED_BY)
