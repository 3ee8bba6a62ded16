"""Code that changed under a running instance is found out and explained, never guessed at."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.failures import FailureDetails, from_message
from durabletask.protocol import events
from durabletask.task import OrchestrationContext, RetryPolicy, Task
from tests.builders.core import START, Event, beginning, failure, kinds, machine_for

if TYPE_CHECKING:
    from durabletask.core.decision import Decision

Steps = Generator[Task[Any], Any, Any]
GO = events.event_raised("go", at=START)


def asks_for_activity(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_activity("step")


def asks_for_timer(ctx: OrchestrationContext) -> Steps:
    yield ctx.create_timer(timedelta(1))


def asks_for_child(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_sub_orchestrator("child")


def sends_an_event(ctx: OrchestrationContext) -> Steps:
    ctx.send_event("other", "ping")
    yield ctx.wait_for_external_event("go")


def asks_for_nothing(ctx: OrchestrationContext) -> Steps:
    yield ctx.wait_for_external_event("go")


def ends(_ctx: OrchestrationContext) -> str:
    return "done"


def restarts(ctx: OrchestrationContext) -> None:
    ctx.continue_as_new(1)


def fails(_ctx: OrchestrationContext) -> None:
    raise ValueError("new bug")


def asks_and_fails(ctx: OrchestrationContext) -> None:
    ctx.call_activity("another")
    raise ValueError("new bug")


def replayed(function: Callable[..., Any], *history: Event) -> Decision:
    machine = machine_for(function)
    machine.replay([*beginning(function.__name__), *history])
    return machine.turn([events.orchestrator_started(START), GO])


def failure_of(decision: Decision) -> FailureDetails:
    (action,) = decision.actions
    assert action.complete_orchestration is not None
    assert action.complete_orchestration.failure_details is not None
    return from_message(action.complete_orchestration.failure_details)


RECORDED = {
    "call_activity": events.task_scheduled(1, "step"),
    "create_timer": events.timer_created(1, START),
    "call_sub_orchestrator": events.sub_orchestration_instance_created(
        1, "child", instance_id="an-instance:0001"
    ),
    "send_event": events.event_sent(1, "other", "ping"),
}
ASKING = {
    "call_activity": asks_for_activity,
    "create_timer": asks_for_timer,
    "call_sub_orchestrator": asks_for_child,
    "send_event": sends_an_event,
}


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("asked", ASKING)
def test_every_kind_is_told_from_every_other(recorded: str, asked: str) -> None:
    decision = replayed(ASKING[asked], RECORDED[recorded])

    if recorded == asked:
        assert "complete_orchestration" not in kinds(decision) or asked == "send_event"
        return
    told = failure_of(decision)
    assert told.error_type == "durabletask.task.NonDeterminismError"
    assert recorded in told.message
    assert asked in told.message
    assert "ID=1" in told.message


@pytest.mark.parametrize(
    ("code", "history", "names"),
    [
        (asks_for_activity, events.task_scheduled(1, "stop"), ["'step'", "'stop'"]),
        (
            asks_for_child,
            events.sub_orchestration_instance_created(1, "kid", instance_id="x"),
            ["'child'", "'kid'"],
        ),
        (sends_an_event, events.event_sent(1, "other", "pong"), ["'ping'", "'pong'"]),
        (sends_an_event, events.event_sent(1, "Other", "ping"), ["'other'", "'Other'"]),
    ],
)
def test_names_and_targets_are_compared(code: Any, history: Event, names: list[str]) -> None:
    message = failure_of(replayed(code, history)).message

    assert all(name in message for name in names)


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize(
    ("code", "instead"),
    [
        (asks_for_nothing, "asked for nothing with ID=1"),
        (ends, "had already returned"),
        (restarts, "had already continued as new"),
        (fails, "had already failed with builtins.ValueError: new bug"),
    ],
)
def test_code_that_asks_for_less_is_found_out_even_if_it_has_ended(
    code: Callable[..., Any], instead: str, recorded: str
) -> None:
    told = failure_of(replayed(code, RECORDED[recorded]))

    assert told.error_type == "durabletask.task.NonDeterminismError"
    assert recorded in told.message
    assert instead in told.message


@pytest.mark.parametrize("code", [fails, asks_and_fails])
def test_what_the_code_failed_with_is_the_inner_failure(code: Callable[..., Any]) -> None:
    told = failure_of(replayed(code, RECORDED["call_activity"])).inner_failure

    assert told is not None
    assert (told.error_type, told.message) == ("builtins.ValueError", "new bug")
    assert "in " + code.__name__ in (told.stack_trace or "")


def test_a_mismatch_is_logged_though_it_is_found_during_replay() -> None:
    text = replayed(fails, RECORDED["call_activity"]).log_entries[-1].text

    assert "NonDeterminismError" in text
    assert "new bug" in text


def test_a_mismatch_of_code_that_did_not_fail_has_no_inner_failure() -> None:
    assert failure_of(replayed(ends, RECORDED["call_activity"])).inner_failure is None


def test_a_mismatch_stops_the_code_and_withdraws_what_it_asked_for() -> None:
    steps: list[str] = []

    def goes_on(ctx: OrchestrationContext) -> Steps:
        ctx.call_activity("step")
        yield ctx.wait_for_external_event("go")
        steps.append("went on")

    decision = replayed(goes_on, events.task_scheduled(1, "another"))

    assert decision.ended
    assert kinds(decision) == ["complete_orchestration"]
    assert steps == []


def test_the_first_mismatch_is_reported() -> None:
    history = [events.task_scheduled(1, "first"), events.task_scheduled(2, "second")]

    message = failure_of(replayed(asks_for_activity, *history)).message

    assert "'first'" in message
    assert "'second'" not in message


def test_inputs_and_times_may_change() -> None:
    decision = replayed(asks_for_activity, events.task_scheduled(1, "step", "{}"))

    assert decision.actions == ()


def test_a_mismatch_is_noticed_in_a_warm_machine_too() -> None:
    machine = machine_for(asks_for_activity)
    machine.turn(beginning("asks_for_activity"))

    machine.replay([events.task_scheduled(1, "another")])

    assert failure_of(machine.turn([GO])).error_type == "durabletask.task.NonDeterminismError"


def test_a_history_with_one_number_for_all_attempts_is_replayed() -> None:
    """As the official SDK writes it: see engine, section 2.2."""

    def retries(ctx: OrchestrationContext) -> Steps:
        policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)
        return (yield ctx.call_activity("flaky", retry_policy=policy))

    machine = machine_for(retries)
    machine.replay(
        [
            *beginning("retries"),
            events.task_scheduled(1, "flaky"),
            events.task_failed(1, failure()),
            events.timer_created(2, START),
            events.timer_fired(2, START),
            events.task_scheduled(1, "flaky"),
            events.task_failed(1, failure()),
            events.timer_created(3, START),
            events.timer_fired(3, START),
            events.task_scheduled(1, "flaky"),
        ]
    )
    decision = machine.turn([events.task_completed(1, '"at last"')])

    (action,) = decision.actions
    assert (action.id, action.complete_orchestration and action.complete_orchestration.result) == (
        4,
        '"at last"',
    )
