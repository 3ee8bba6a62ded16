"""A machine that is kept need not be sent what history recorded of its last decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.entities import EntityInstanceId
from durabletask.protocol import events
from durabletask.task import when_all
from tests.builders.core import ID, START, beginning, kinds, machine_for

if TYPE_CHECKING:
    from collections.abc import Generator

    from durabletask.core.machine import OrchestrationMachine


def everything(ctx: Any) -> Generator[Any, Any, str]:
    """Ask for one thing of each kind."""
    ctx.send_event("another", "hello")
    ctx.signal_entity(EntityInstanceId("counter", "one"), "add")
    tasks = [
        ctx.call_activity("step"),
        ctx.call_sub_orchestrator("child"),
        ctx.create_timer(START),
    ]
    yield when_all(tasks)
    yield ctx.call_activity("step")
    return "done"


RECORDED = [
    events.event_sent(1, "another", "hello"),
    events.entity_operation_signaled(2, "@counter@one", "add", request_id="any"),
    events.task_scheduled(3, "step"),
    events.sub_orchestration_instance_created(4, "child", instance_id=f"{ID}:0004"),
    events.timer_created(5, START),
]

ANSWERS = [
    events.orchestrator_started(START),
    events.task_completed(3, None),
    events.sub_orchestration_instance_completed(4, None),
    events.timer_fired(5, START),
]


def begun() -> OrchestrationMachine:
    machine = machine_for(everything)
    machine.turn(beginning("everything"))
    return machine


def test_confirming_all_is_taking_the_events_that_record_it() -> None:
    sent, unsent = begun(), begun()

    sent.replay(RECORDED)
    unsent.confirm_all()

    assert unsent.applied == sent.applied
    assert unsent.turn(ANSWERS) == sent.turn(ANSWERS)
    assert unsent.applied == sent.applied


def test_a_machine_expects_an_event_for_each_action_until_it_is_recorded() -> None:
    machine = begun()
    expected = machine.expected

    machine.replay(RECORDED)

    assert expected == 2 + len(RECORDED)
    assert machine.applied == machine.expected == expected


def test_what_is_confirmed_is_not_asked_for_again() -> None:
    machine = begun()
    machine.confirm_all()

    assert kinds(machine.turn(ANSWERS)) == ["schedule_task"]
