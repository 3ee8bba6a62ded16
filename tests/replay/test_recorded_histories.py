"""Can today's code finish the instances that another SDK, or an older one of ours, began?

The recordings hold every turn of an instance: what the worker was sent and what it answered
(`tests/replay/record_official.py`). Whoever wrote the history, our decisions have to be the same,
or an upgrade would break what is running.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.core.orchestration import decide, open_machine
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import messages, oneofs
from tests.replay import orchestrators, own_orchestrators, recordings
from tests.replay.recordings import Recording, meaning

if TYPE_CHECKING:
    from durabletask.core.decision import Decision

FILES = [file for recorder in ("official", "own") for file in recordings.files(recorder)]


def registry(**changed: Callable[..., Any]) -> Registry:
    """The orchestrators that were recorded, some of them with another body since then."""
    known = Registry()
    recorded = [*orchestrators.ORCHESTRATORS, *own_orchestrators.ORCHESTRATORS]
    bodies = {body.__name__: body for body in recorded} | changed
    for name, body in bodies.items():
        known.add_orchestrator(body, name=name)
    return known


def settings(recording: Recording) -> Settings:
    return Settings(maximum_timer_interval=recording.maximum_timer_interval)


@pytest.fixture(params=FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def recording(request: pytest.FixtureRequest) -> Recording:
    return recordings.load(request.param)


def test_every_recorded_turn_is_decided_the_same_from_nothing(recording: Recording) -> None:
    for turn in recording.turns:
        decision = decide(turn.request, registry(), settings(recording))

        assert meaning(decision.actions) == meaning(turn.response.actions)
        assert decision.custom_status == turn.response.custom_status


def test_a_machine_that_lives_on_decides_every_recorded_turn_the_same(
    recording: Recording,
) -> None:
    machine = None
    for turn in recording.turns:
        if machine is None:
            machine = open_machine(turn.request, registry(), settings(recording))
        machine.replay(turn.request.past_events[machine.applied :])
        decision = machine.turn(turn.request.new_events)

        assert meaning(decision.actions) == meaning(turn.response.actions)
        assert decision.custom_status == turn.response.custom_status
        if decision.ended:
            machine = None


def test_the_recordings_hold_every_kind_of_action_and_event_an_orchestrator_meets() -> None:
    turns = [turn for file in FILES for turn in recordings.load(file).turns]

    actions = {kind for turn in turns for kind in _kinds(turn.response.actions)}
    events = {kind for turn in turns for kind in _kinds(turn.request.new_events)}

    assert actions >= {
        "schedule_task",
        "create_sub_orchestration",
        "create_timer",
        "send_event",
        "send_entity_message",
        "complete_orchestration",
    }
    assert events >= {
        "task_completed",
        "task_failed",
        "sub_orchestration_instance_completed",
        "sub_orchestration_instance_failed",
        "timer_fired",
        "event_raised",
        "execution_suspended",
        "execution_resumed",
        "execution_terminated",
        "entity_operation_completed",
        "entity_operation_failed",
        "entity_lock_granted",
    }


def test_the_official_sdk_uses_one_id_for_all_attempts_of_a_retried_activity() -> None:
    """What makes these recordings worth replaying: ours must accept it, whatever ours does."""
    last = recordings.by_name("activity_retried").turns[-1]

    scheduled = [e.event_id for e in last.request.past_events if e.task_scheduled is not None]

    assert scheduled == [1, 2, 2, 2, 5]


Body = Generator[task.Task[Any], Any, Any]


def renamed_activity(ctx: task.OrchestrationContext, names: list[str]) -> Body:
    for name in names:
        yield ctx.call_activity("welcome", input=name)


def timer_instead_of_activity(ctx: task.OrchestrationContext, _names: list[str]) -> Body:
    yield ctx.create_timer(timedelta(seconds=1))


def child_instead_of_activity(ctx: task.OrchestrationContext, names: list[str]) -> Body:
    for name in names:
        yield ctx.call_sub_orchestrator("greet", input=name)


def event_instead_of_activity(ctx: task.OrchestrationContext, names: list[str]) -> Body:
    ctx.send_event("greeter", "greet", data=names)
    yield ctx.wait_for_external_event("greeted")


def removed_activity(ctx: task.OrchestrationContext, names: list[str]) -> Body:
    """Ends without the last activity, whose result is already in the history."""
    for name in names[:-1]:
        yield ctx.call_activity("greet", input=name)


def waits_instead(ctx: task.OrchestrationContext, _names: list[str]) -> Body:
    yield ctx.wait_for_external_event("a call that never comes")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (renamed_activity, ["ID=1", "call_activity", "'greet'", "'welcome'"]),
        (timer_instead_of_activity, ["ID=1", "call_activity", "create_timer", "'greet'"]),
        (child_instead_of_activity, ["ID=1", "call_activity", "call_sub_orchestrator"]),
        (event_instead_of_activity, ["ID=1", "call_activity", "send_event", "'greeter'"]),
        (removed_activity, ["ID=3", "call_activity", "'greet'"]),
        (waits_instead, ["ID=1", "call_activity", "'greet'", "nothing"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_code_changed_under_a_running_chain_fails_it_and_says_what_changed(
    changed: Callable[..., Any], told: list[str]
) -> None:
    last = recordings.by_name("chain").turns[-1]

    failure = _failure(decide(last.request, registry(chain=changed), Settings()))

    assert failure.error_type == "durabletask.task.NonDeterminismError"
    for part in told:
        assert part in failure.error_message


def retries_no_more(ctx: task.OrchestrationContext, name: str) -> Body:
    yield ctx.call_activity("greet", input=name)
    try:
        yield ctx.call_activity("fail_twice", input=name)
    except task.TaskFailedError:
        return "gave up"


def other_child(ctx: task.OrchestrationContext, names: list[str]) -> Body:
    yield ctx.call_sub_orchestrator("toddler", input=names)


def other_receiver(ctx: task.OrchestrationContext, _receiver: str) -> Body:
    ctx.send_event("somebody-else", "Parcel", data=None)
    yield ctx.call_activity("greet", input="sender")


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("activity_retried", retries_no_more, ["ID=3", "create_timer"]),
        ("children", other_child, ["ID=1", "call_sub_orchestrator", "'child'", "'toddler'"]),
        ("send_event", other_receiver, ["ID=1", "send_event", "'receiver-1'", "'somebody-else'"]),
    ],
    ids=["retries", "child", "event"],
)
def test_other_changed_code_is_found_out_as_well(
    name: str, changed: Callable[..., Any], told: list[str]
) -> None:
    recording = recordings.by_name(name)
    last = recording.turns[-1]

    failure = _failure(
        decide(last.request, registry(**{recording.orchestrator: changed}), Settings())
    )

    assert failure.error_type == "durabletask.task.NonDeterminismError"
    for part in told:
        assert part in failure.error_message


def _failure(decision: Decision) -> messages.TaskFailureDetails:
    completion = decision.actions[-1].complete_orchestration
    assert completion is not None
    assert completion.orchestration_status == messages.OrchestrationStatus.FAILED
    assert completion.failure_details is not None
    return completion.failure_details


def _kinds(members: list[Any]) -> set[str]:
    return {oneofs.which(member) for member in members}
