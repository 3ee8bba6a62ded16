"""Differences of durabletask-go that our SDK hides from its users.

The same claims on both engines. `docs/engines.md` says of each what durabletask-go does.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus
from tests.interop.features import GO, OURS
from tests.interop.harness import PATIENCE, Harness, harness_at, harness_on

if TYPE_CHECKING:
    from pathlib import Path

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)

SOON = timedelta(milliseconds=20)

STALLED = {OURS: OrchestrationStatus.STALLED, GO: OrchestrationStatus.RUNNING}


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


def test_a_sent_event_is_received_as_an_event(harness: Harness) -> None:
    def sends(ctx: task.OrchestrationContext, target: str) -> Any:
        ctx.send_event(target, "end", data="another's")
        ctx.send_event(ctx.instance_id, "end", data="my own")
        return (yield ctx.wait_for_external_event("end"))

    harness.host(sends, waiting)
    target = harness.started(waiting)

    assert harness.result(sends, input=target) == "my own"
    assert harness.output(target) == "another's"


def test_every_attempt_of_a_retried_call_has_its_answer(harness: Harness) -> None:
    def shaky(_ctx: task.ActivityContext, name: str) -> int:
        harness.calls[name] += 1
        if harness.calls[name] < 4:
            raise OSError("not yet")
        return harness.calls[name]

    def child(ctx: task.OrchestrationContext, _: Any) -> int:
        return shaky(task.ActivityContext("", 0), ctx.instance_id)

    def persistent(ctx: task.OrchestrationContext, _: Any) -> Any:
        policy = task.RetryPolicy(first_retry_interval=SOON, max_number_of_attempts=4)
        return (
            yield task.when_all(
                [
                    ctx.call_activity(shaky, input="one", retry_policy=policy),
                    ctx.call_activity(shaky, input="other", retry_policy=policy),
                    ctx.call_sub_orchestrator(child, retry_policy=policy),
                ]
            )
        )

    harness.host(persistent, child, activities=(shaky,))

    assert harness.result(persistent)[:2] == [4, 4]


def test_a_start_does_not_wait_for_a_worker(harness: Harness) -> None:
    instance_id = harness.start(waiting)

    assert harness.status(instance_id) is OrchestrationStatus.PENDING
    harness.host(waiting)
    harness.client.wait_for_orchestration_start(instance_id, timeout=PATIENCE)
    harness.client.raise_orchestration_event(instance_id, "end", data="begun after all")
    assert harness.output(instance_id) == "begun after all"


def test_a_terminated_child_tells_its_parent_why(harness: Harness) -> None:
    def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
        try:
            yield ctx.call_sub_orchestrator(waiting, instance_id="child")
        except task.TaskFailedError as failed:
            return str(failed)

    harness.host(parent, waiting)
    instance_id = harness.start(parent)
    harness.reaches("child", OrchestrationStatus.RUNNING)

    harness.client.terminate_orchestration("child", output="because")

    assert "terminated" in harness.output(instance_id)


def test_two_suspends_need_one_resume(harness: Harness) -> None:
    harness.host(waiting)
    instance_id = harness.started(waiting)

    harness.client.suspend_orchestration(instance_id)
    harness.client.suspend_orchestration(instance_id)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    harness.client.resume_orchestration(instance_id)

    assert harness.output(instance_id) == "over"


def test_resuming_a_running_instance_changes_nothing(harness: Harness) -> None:
    harness.host(waiting)
    instance_id = harness.started(waiting)

    harness.client.resume_orchestration(instance_id)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")

    assert harness.output(instance_id) == "over"


def test_an_activity_that_ends_during_a_suspension_runs_once(harness: Harness) -> None:
    begun, released = threading.Event(), threading.Event()

    def slow(_ctx: task.ActivityContext, name: str) -> str:
        harness.calls[name] += 1
        begun.set()
        assert released.wait(PATIENCE)
        return name

    def two_steps(ctx: task.OrchestrationContext, _: Any) -> Any:
        first = yield ctx.call_activity(slow, input="first")
        return first, (yield ctx.call_activity(slow, input="second"))

    harness.host(two_steps, activities=(slow,))
    instance_id = harness.started(two_steps)
    assert begun.wait(PATIENCE)
    harness.client.suspend_orchestration(instance_id)
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)

    released.set()
    for _ in range(3):
        harness.client.raise_orchestration_event(instance_id, "nobody waits for it")
    harness.client.resume_orchestration(instance_id)

    assert harness.output(instance_id) == ["first", "second"]
    assert harness.calls == {"first": 1, "second": 1}


def test_an_orchestration_continues_as_new_without_a_limit(harness: Harness) -> None:
    def counts(ctx: task.OrchestrationContext, number: int) -> int | None:
        if number == 50:
            return number
        ctx.continue_as_new(number + 1)
        return None

    harness.host(counts)

    assert harness.result(counts, input=0) == 50


def test_actions_requested_with_continue_as_new_are_carried_out(harness: Harness) -> None:
    def noted(_ctx: task.ActivityContext, number: int) -> None:
        harness.calls[str(number)] += 1

    def tells(ctx: task.OrchestrationContext, number: int) -> Any:
        if number == 3:
            yield ctx.create_timer(SOON)
            ctx.send_event("listener", "end", data="told by the last")
            return
        ctx.call_activity(noted, input=number)
        ctx.send_event("listener", "count", data=number)
        ctx.continue_as_new(number + 1)

    def listener(ctx: task.OrchestrationContext, _: Any) -> Any:
        counted = yield task.when_all([ctx.wait_for_external_event("count") for _ in range(3)])
        return counted, (yield ctx.wait_for_external_event("end"))

    harness.host(tells, listener, activities=(noted,))
    harness.started(listener, instance_id="listener")
    harness.start(tells, input=0)

    assert harness.output("listener") == [[0, 1, 2], "told by the last"]


def test_a_timer_of_an_earlier_execution_does_not_fire_in_the_next(harness: Harness) -> None:
    def renewed(ctx: task.OrchestrationContext, generation: str) -> Any:
        timer = ctx.create_timer(timedelta(seconds=0.3 if generation == "old" else 1))
        if generation == "old":
            yield task.when_any([timer, ctx.wait_for_external_event("go")])
            ctx.continue_as_new("new")
            return None
        before = ctx.current_utc_datetime
        yield timer
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(renewed)
    instance_id = harness.started(renewed, input="old")

    harness.client.raise_orchestration_event(instance_id, "go")

    assert harness.output(instance_id) >= 1


def test_a_result_of_an_earlier_execution_does_not_reach_the_next(
    harness: Harness, engine: str
) -> None:
    begun, released = threading.Event(), threading.Event()

    def answers(_ctx: task.ActivityContext, generation: str) -> str:
        if generation == "old":
            begun.set()
            assert released.wait(PATIENCE)
        return generation

    def renewed(ctx: task.OrchestrationContext, generation: str) -> Any:
        if generation == "old":
            ctx.call_activity(answers, input=generation)
            yield ctx.wait_for_external_event("go")
            ctx.continue_as_new("new")
            return None
        yield ctx.wait_for_external_event("go")
        return (yield ctx.call_activity(answers, input=generation))

    harness.host(renewed, activities=(answers,))
    instance_id = harness.started(renewed, input="old")
    assert begun.wait(PATIENCE)
    harness.client.raise_orchestration_event(instance_id, "go")
    harness.records(instance_id, "ExecutionStartedEvent", input='"new"')

    released.set()
    if engine == GO:
        harness.records(instance_id, "TaskCompletedEvent", result='"old"')
    harness.client.raise_orchestration_event(instance_id, "go")

    assert harness.output(instance_id) == "new"


def test_an_instance_whose_version_no_worker_has_waits(engine: str, tmp_path: Path) -> None:
    def first(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.wait_for_external_event("go")
        return "first", (yield ctx.wait_for_external_event("end"))

    def second(_ctx: task.OrchestrationContext, _: Any) -> str:
        return "second"

    with harness_on(engine, tmp_path, dialect="dapr") as harness:
        harness.worker.orchestrator(name="versioned", version_name="1", is_latest=True)(first)
        harness.worker.start()
        instance_id = harness.started("versioned")
        harness.worker.stop()
        with harness_at(harness.address, dialect="dapr") as newer:
            newer.worker.orchestrator(name="versioned", version_name="2", is_latest=True)(second)
            newer.worker.start()
            newer.client.raise_orchestration_event(instance_id, "go")
            newer.reaches(instance_id, STALLED[engine])
            newer.records(instance_id, "EventRaisedEvent")
            assert newer.result("versioned") == "second"

        harness.worker.start()
        harness.client.raise_orchestration_event(instance_id, "end", data="over")

        assert harness.output(instance_id) == ["first", "over"]
