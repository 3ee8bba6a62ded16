"""What is done to running orchestrations: suspend, resume, terminate, rewind."""

from __future__ import annotations

import threading
from collections import Counter

from refusals import refused
from stage import PATIENCE, scenario, until

from durabletask.client import OrchestrationStatus
from durabletask.task import when_all


def wait_for_end(ctx, _):
    return (yield ctx.wait_for_external_event("end"))


@scenario()
def what_is_suspended_waits_until_it_is_resumed(stage):
    stage.host(wait_for_end)
    instance_id = stage.start(wait_for_end)
    stage.client.wait_for_orchestration_start(instance_id)

    stage.client.suspend_orchestration(instance_id, reason="lunch")
    stage.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    stage.client.raise_orchestration_event(instance_id, "end", data="over")
    assert stage.status(instance_id) is OrchestrationStatus.SUSPENDED
    stage.client.resume_orchestration(instance_id, reason="fed")

    assert stage.wait(instance_id).get_output() == "over"


@scenario()
def an_activity_that_ends_while_suspended_runs_once(stage):
    began, end, calls = threading.Event(), threading.Event(), Counter()

    def work(_ctx, name):
        calls[name] += 1
        began.set()
        assert end.wait(PATIENCE)
        return name

    def orchestrator(ctx, _):
        done = []
        for name in ("first", "second", "third"):
            done.append((yield ctx.call_activity(work, input=name)))  # noqa: PERF401
        return done

    stage.host(orchestrator, activities=[work])
    instance_id = stage.start(orchestrator)
    assert began.wait(PATIENCE)

    stage.client.suspend_orchestration(instance_id)
    stage.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    end.set()
    for number in range(10):
        stage.client.raise_orchestration_event(instance_id, "noise", data=number)
    assert stage.status(instance_id) is OrchestrationStatus.SUSPENDED
    assert set(calls) == {"first"}
    stage.client.resume_orchestration(instance_id)

    assert stage.wait(instance_id).get_output() == ["first", "second", "third"]
    assert calls == {"first": 1, "second": 1, "third": 1}


@scenario("it suspends again after the resume")
def suspended_twice_and_resumed_once_it_runs(stage):
    stage.host(wait_for_end)
    instance_id = stage.start(wait_for_end)
    stage.client.wait_for_orchestration_start(instance_id)

    stage.client.suspend_orchestration(instance_id)
    stage.client.suspend_orchestration(instance_id)
    stage.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    stage.client.resume_orchestration(instance_id)
    stage.client.raise_orchestration_event(instance_id, "end", data="over")

    assert stage.wait(instance_id).get_output() == "over"


@scenario("it fails what is resumed and was not suspended")
def resuming_what_runs_changes_nothing(stage):
    stage.host(wait_for_end)
    instance_id = stage.start(wait_for_end)
    stage.client.wait_for_orchestration_start(instance_id)

    stage.client.resume_orchestration(instance_id)
    stage.client.raise_orchestration_event(instance_id, "end", data="over")

    assert stage.wait(instance_id).get_output() == "over"


@scenario()
def what_is_terminated_ends_with_the_output_it_is_given(stage):
    stage.host(wait_for_end)
    instance_id = stage.start(wait_for_end)
    stage.client.wait_for_orchestration_start(instance_id)

    stage.client.terminate_orchestration(instance_id, output={"why": "because"})

    state = stage.wait(instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == {"why": "because"}


@scenario("it ends only with a worker's help")
def what_no_worker_holds_is_terminated_too(stage):
    instance_id = stage.start("nobody")

    stage.client.terminate_orchestration(instance_id)

    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


@scenario()
def what_is_suspended_can_be_terminated(stage):
    stage.host(wait_for_end)
    instance_id = stage.start(wait_for_end)
    stage.client.wait_for_orchestration_start(instance_id)
    stage.client.suspend_orchestration(instance_id)
    stage.reaches(instance_id, OrchestrationStatus.SUSPENDED)

    stage.client.terminate_orchestration(instance_id)

    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


def _family(ctx, depth):
    """Parent, child and grandchild, each waiting."""
    if depth:
        yield ctx.call_sub_orchestrator(_family, input=depth - 1, instance_id=f"family-{depth - 1}")
    yield ctx.wait_for_external_event("end")


@scenario("it terminates no children")
def terminating_recursively_reaches_the_grandchildren(stage):
    stage.host(_family)
    stage.start(_family, input=2, instance_id="family-2")
    until(lambda: stage.client.get_orchestration_state("family-0"))

    stage.client.terminate_orchestration("family-2", recursive=True)

    for depth in (2, 1, 0):
        ended = stage.wait(f"family-{depth}")
        assert ended.runtime_status is OrchestrationStatus.TERMINATED, depth


@scenario()
def terminating_not_recursively_spares_the_children(stage):
    stage.host(_family)
    stage.start(_family, input=1, instance_id="family-1")
    until(lambda: stage.client.get_orchestration_state("family-0"))

    stage.client.terminate_orchestration("family-1", recursive=False)

    assert stage.wait("family-1").runtime_status is OrchestrationStatus.TERMINATED
    stage.client.raise_orchestration_event("family-0", "end")
    assert stage.wait("family-0").runtime_status is OrchestrationStatus.COMPLETED


class Switch:
    """Activities that fail until they are told not to, and a count of their calls."""

    def __init__(self):
        self.is_on = False
        self.calls = Counter()

    def steady(self):
        def steady(_ctx, key):
            self.calls[f"steady {key}"] += 1
            return key

        return steady

    def shaky(self):
        def shaky(_ctx, key):
            self.calls[f"shaky {key}"] += 1
            if not self.is_on:
                raise OSError("off")
            return key

        return shaky


@scenario()
def a_rewound_orchestration_repeats_only_what_failed(stage):
    switch = Switch()
    steady, shaky = switch.steady(), switch.shaky()

    def orchestrator(ctx, _):
        first = yield ctx.call_activity(steady, input="a")
        second = yield ctx.call_activity(shaky, input="b")
        return [first, second]

    stage.host(orchestrator, activities=[steady, shaky])
    instance_id = stage.start(orchestrator)
    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    stage.client.rewind_orchestration(instance_id, reason="switched on")

    until(lambda: stage.status(instance_id) is OrchestrationStatus.COMPLETED)
    state = stage.state(instance_id)
    assert state.get_output() == ["a", "b"]
    assert state.failure_details is None
    assert switch.calls == {"steady a": 1, "shaky b": 2}


@scenario()
def a_failed_child_is_rewound_with_its_parent(stage):
    switch = Switch()
    steady, shaky = switch.steady(), switch.shaky()

    def child(ctx, key):
        yield ctx.call_activity(steady, input=key)
        return (yield ctx.call_activity(shaky, input=key))

    def parent(ctx, _):
        before = yield ctx.call_activity(steady, input="p")
        return [before, (yield ctx.call_sub_orchestrator(child, input="c", instance_id="child"))]

    stage.host(parent, child, activities=[steady, shaky])
    stage.start(parent, instance_id="parent")
    assert stage.wait("parent").runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    stage.client.rewind_orchestration("parent")

    until(lambda: stage.status("parent") is OrchestrationStatus.COMPLETED)
    assert stage.state("parent").get_output() == ["p", "c"]
    assert stage.state("child").get_output() == "c"
    assert switch.calls == {"steady p": 1, "steady c": 1, "shaky c": 2}


@scenario()
def of_several_failures_each_is_repeated_when_rewound(stage):
    switch = Switch()
    shaky = switch.shaky()

    def orchestrator(ctx, keys):
        return (yield when_all([ctx.call_activity(shaky, input=key) for key in keys]))

    stage.host(orchestrator, activities=[shaky])
    instance_id = stage.start(orchestrator, input=["a", "b", "c"])
    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    stage.client.rewind_orchestration(instance_id)

    until(lambda: stage.status(instance_id) is OrchestrationStatus.COMPLETED)
    assert stage.state(instance_id).get_output() == ["a", "b", "c"]


@scenario()
def only_what_has_failed_is_rewound(stage):
    def echo(_ctx, value):
        return value

    stage.host(echo)
    instance_id = stage.start(echo, input=1)
    stage.wait(instance_id)

    assert refused(stage.client.rewind_orchestration, instance_id) == "FAILED_PRECONDITION"
    assert refused(stage.client.rewind_orchestration, "nobody") == "NOT_FOUND"
