"""Events that are repeated, unknown or out of place do no harm."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core import completions, confirmations
from durabletask.protocol import events, messages
from durabletask.protocol.correlation import ANSWERED_BY, DETACHED_ORCHESTRATION, REQUESTED_BY
from durabletask.protocol.oneofs import members_of
from tests.builders.core import ID, START, Event, beginning, failure, kinds, machine_for

if TYPE_CHECKING:
    from durabletask.task import OrchestrationContext


async def works(ctx: OrchestrationContext) -> Any:
    first = await ctx.call_activity("one")
    return [first, await ctx.call_activity("two")]


ANSWERS = {
    "activity": events.task_completed(1, "1"),
    "failed activity": events.task_failed(1, failure()),
    "timer": events.timer_fired(1, START),
    "child": events.sub_orchestration_instance_completed(1, "1"),
    "failed child": events.sub_orchestration_instance_failed(1, failure()),
}


@pytest.mark.parametrize("again", ANSWERS)
def test_an_answer_that_no_task_waits_for_is_logged_and_ignored(again: str) -> None:
    machine = machine_for(works)
    machine.turn(beginning("works"))
    machine.replay([events.task_scheduled(1, "one")])

    decision = machine.turn([events.task_completed(1, "1"), ANSWERS[again]])

    assert kinds(decision) == ["schedule_task"]
    (entry,) = decision.log_entries
    assert entry.level == logging.DEBUG
    assert ID in entry.text
    assert "#1" in entry.text


def test_what_is_ignored_is_not_logged_again_during_replay() -> None:
    machine = machine_for(works)
    machine.replay([*beginning("works"), events.task_completed(9), messages.HistoryEvent()])

    assert machine.turn([events.orchestrator_started(START)]).log_entries == ()


@pytest.mark.parametrize(
    "event",
    [
        events.orchestrator_completed(),
        events.execution_completed(messages.OrchestrationStatus.COMPLETED),
        events.execution_rewound(),
        events.generic_event(),
        events.continue_as_new("1"),
        events.history_state(messages.OrchestrationState(instance_id=ID)),
    ],
)
def test_records_for_readers_of_history_are_passed_over(event: Event) -> None:
    machine = machine_for(works)

    decision = machine.turn([*beginning("works"), event])

    assert kinds(decision) == ["schedule_task"]
    assert decision.log_entries == ()


def test_an_unknown_event_is_logged_and_ignored() -> None:
    decision = machine_for(works).turn([*beginning("works"), messages.HistoryEvent()])

    assert kinds(decision) == ["schedule_task"]
    (entry,) = decision.log_entries
    assert entry.level == logging.WARNING
    assert "does not know" in entry.text


@pytest.mark.parametrize("kind", sorted(members_of(messages.HistoryEvent)))
def test_every_kind_of_event_is_handled_or_ignored_on_purpose(kind: str) -> None:
    decision = machine_for(works).turn([*beginning("works"), empty_event(kind)])

    assert not [entry for entry in decision.log_entries if "does not know" in entry.text]


@pytest.mark.parametrize("kind", sorted(members_of(messages.HistoryEvent)))
def test_no_kind_of_event_breaks_a_machine_that_has_not_started(kind: str) -> None:
    decision = machine_for(works).turn([empty_event(kind)])

    assert "schedule_task" not in kinds(decision)


def test_every_request_is_confirmed_and_every_answer_completes_a_task() -> None:
    # The SDK never asks for a detached orchestration.
    asked = REQUESTED_BY.keys() - {DETACHED_ORCHESTRATION.event}

    assert asked == confirmations.EVENT_KINDS
    assert ANSWERED_BY.keys() == completions.EVENT_KINDS


def empty_event(kind: str) -> Event:
    (field,) = (it for it in dataclasses.fields(messages.HistoryEvent) if it.name == kind)
    body = str(field.type).split()[0].strip("\"'")
    return messages.HistoryEvent(**{kind: getattr(messages, body)()})


def test_a_log_entry_has_the_instance_and_the_orchestrator_as_fields() -> None:
    decision = machine_for(works).turn([*beginning("works"), messages.HistoryEvent()])

    (entry,) = decision.log_entries
    assert entry.extra == {"instance_id": ID, "task_name": "works"}


def test_a_second_start_is_left_out() -> None:
    machine = machine_for(works)

    decision = machine.turn([*beginning("works"), *beginning("works")])

    assert kinds(decision) == ["schedule_task"]
    assert "second start" in decision.log_entries[0].text


def test_a_turn_of_nothing_asks_again_for_what_is_outstanding() -> None:
    machine = machine_for(works)
    first = machine.turn(beginning("works"))

    assert machine.turn([]).actions == first.actions


def test_a_machine_counts_what_it_has_taken() -> None:
    machine = machine_for(works)

    machine.replay(beginning("works"))
    assert machine.applied == 2
    machine.turn([events.execution_suspended(), events.event_raised("go")])

    assert machine.applied == 4
    assert machine.instance_id == ID


def test_the_execution_is_named_by_its_start() -> None:
    machine = machine_for(works)

    machine.turn([events.execution_started("works", instance_id=ID, execution_id="x1")])

    assert machine.execution_id == "x1"


def test_without_a_turns_start_the_clock_is_the_executions() -> None:
    def tells(ctx: OrchestrationContext) -> str:
        return str(ctx.current_utc_datetime)

    decision = machine_for(tells).turn(beginning("tells")[1:])

    assert decision.actions[0].complete_orchestration is not None
    assert decision.actions[0].complete_orchestration.result == '"2026-01-01 00:00:00"'
