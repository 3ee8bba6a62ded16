"""Claims about a backend, told in Dapr's workflow SDK for Python. Each raises when it is not true."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

from dapr.ext.workflow import RetryPolicy, WorkflowStatus, when_all, when_any


def double(_ctx, number):
    return 2 * number


_guard, _attempts = threading.Lock(), []


def attempt(_ctx):
    with _guard:
        _attempts.append(1)
        call = len(_attempts)
    if call < 4:
        raise OSError(f"attempt {call}")
    return call


def fail(_ctx):
    raise OverflowError("too far")


def chain(ctx, number):
    for _ in range(10):
        number = yield ctx.call_activity(double, input=number)
    return number


def fan_out(ctx, width):
    return (yield when_all([ctx.call_activity(double, input=number) for number in range(width)]))


def retrying(ctx):
    policy = RetryPolicy(first_retry_interval=timedelta(milliseconds=20), max_number_of_attempts=5)
    return (yield ctx.call_activity(attempt, retry_policy=policy))


def child(ctx, number):
    return (yield ctx.call_activity(double, input=number))


def parent(ctx):
    return (yield when_all([ctx.call_child_workflow(child, input=n) for n in (1, 2, 3)]))


def nap(ctx):
    before = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(milliseconds=500))
    return (ctx.current_utc_datetime - before).total_seconds()


def race(ctx, seconds):
    event = ctx.wait_for_external_event("go")
    winner = yield when_any([event, ctx.create_timer(timedelta(seconds=seconds))])
    return event.get_result() if winner is event else "timer"


def generations(ctx, number):
    doubled = yield ctx.call_activity(double, input=number)
    if number <= 50:
        ctx.continue_as_new(number + 1)
    return doubled


def waiting(ctx):
    return (yield ctx.wait_for_external_event("end"))


def failing(ctx):
    yield ctx.call_activity(fail)


WORKFLOWS = [
    *(chain, fan_out, retrying, child, parent),
    *(nap, race, generations, waiting, failing),
]
ACTIVITIES = [double, attempt, fail]


def a_chain_hands_on_its_results(harness):
    assert harness.result(chain, 1) == 1024


def a_fan_out_keeps_the_order_of_its_inputs(harness):
    assert harness.result(fan_out, 50) == [2 * number for number in range(50)]


def an_activity_is_tried_again_until_it_succeeds(harness):
    assert harness.result(retrying) == 4
    assert len(_attempts) == 4


def children_return_their_results(harness):
    assert harness.result(parent) == [2, 4, 6]


def a_timer_fires_no_earlier_than_asked(harness):
    assert 0.5 <= harness.result(nap) < 20


def a_timer_and_an_event_race(harness):
    patient = harness.start(race, 3600)
    harness.client.raise_workflow_event(patient, "go", data={"by": "event"})

    assert json.loads(harness.wait(patient).serialized_output) == {"by": "event"}
    assert harness.result(race, 0.05) == "timer"


def continuing_as_new_fifty_times_starts_over(harness):
    assert harness.result(generations, 1) == 102


def what_is_suspended_waits_until_it_is_resumed(harness):
    instance_id = harness.start(waiting)
    harness.client.wait_for_workflow_start(instance_id, timeout_in_seconds=harness.patience)

    harness.client.pause_workflow(instance_id)
    harness.reaches(instance_id, WorkflowStatus.SUSPENDED)
    harness.client.raise_workflow_event(instance_id, "end", data="over")
    assert harness.status(instance_id) is WorkflowStatus.SUSPENDED
    harness.client.resume_workflow(instance_id)

    assert harness.wait(instance_id).serialized_output == '"over"'


def what_is_terminated_ends_with_the_output_it_is_given(harness):
    instance_id = harness.start(waiting)
    harness.client.wait_for_workflow_start(instance_id, timeout_in_seconds=harness.patience)

    harness.client.terminate_workflow(instance_id, output={"why": "because"})

    state = harness.wait(instance_id)
    assert state.runtime_status is WorkflowStatus.TERMINATED
    assert json.loads(state.serialized_output) == {"why": "because"}


def a_failure_tells_what_went_wrong(harness):
    state = harness.wait(harness.start(failing))

    assert state.runtime_status is WorkflowStatus.FAILED
    assert "too far" in state.failure_details.message


SCENARIOS = {
    each.__name__: each
    for each in (
        a_chain_hands_on_its_results,
        a_fan_out_keeps_the_order_of_its_inputs,
        an_activity_is_tried_again_until_it_succeeds,
        children_return_their_results,
        a_timer_fires_no_earlier_than_asked,
        a_timer_and_an_event_race,
        continuing_as_new_fifty_times_starts_over,
        what_is_suspended_waits_until_it_is_resumed,
        what_is_terminated_ends_with_the_output_it_is_given,
        a_failure_tells_what_went_wrong,
    )
}
