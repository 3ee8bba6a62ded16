"""What is done to running orchestrations: suspend, resume, terminate, rewind."""

from __future__ import annotations

import threading
from collections import Counter

from harness import PATIENCE, scenario, until
from refusals import refused

from durabletask.client import OrchestrationStatus
from durabletask.task import when_all


def wait_for_end(ctx, _):
    return (yield ctx.wait_for_external_event("end"))


@scenario()
def what_is_suspended_waits_until_it_is_resumed(harness):
    harness.host(wait_for_end)
    instance_id = harness.start(wait_for_end)
    harness.client.wait_for_orchestration_start(instance_id)

    harness.client.suspend_orchestration(instance_id, reason="lunch")
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")
    assert harness.status(instance_id) is OrchestrationStatus.SUSPENDED
    harness.client.resume_orchestration(instance_id, reason="fed")

    assert harness.wait(instance_id).get_output() == "over"


@scenario()
def an_activity_that_ends_while_suspended_runs_once(harness):
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

    harness.host(orchestrator, activities=[work])
    instance_id = harness.start(orchestrator)
    assert began.wait(PATIENCE)

    harness.client.suspend_orchestration(instance_id)
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    end.set()
    for number in range(10):
        harness.client.raise_orchestration_event(instance_id, "noise", data=number)
    assert harness.status(instance_id) is OrchestrationStatus.SUSPENDED
    assert set(calls) == {"first"}
    harness.client.resume_orchestration(instance_id)

    assert harness.wait(instance_id).get_output() == ["first", "second", "third"]
    assert calls == {"first": 1, "second": 1, "third": 1}


@scenario("it suspends again after the resume")
def suspended_twice_and_resumed_once_it_runs(harness):
    harness.host(wait_for_end)
    instance_id = harness.start(wait_for_end)
    harness.client.wait_for_orchestration_start(instance_id)

    harness.client.suspend_orchestration(instance_id)
    harness.client.suspend_orchestration(instance_id)
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    harness.client.resume_orchestration(instance_id)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")

    assert harness.wait(instance_id).get_output() == "over"


@scenario("it fails what is resumed and was not suspended")
def resuming_what_runs_changes_nothing(harness):
    harness.host(wait_for_end)
    instance_id = harness.start(wait_for_end)
    harness.client.wait_for_orchestration_start(instance_id)

    harness.client.resume_orchestration(instance_id)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")

    assert harness.wait(instance_id).get_output() == "over"


@scenario()
def what_is_terminated_ends_with_the_output_it_is_given(harness):
    harness.host(wait_for_end)
    instance_id = harness.start(wait_for_end)
    harness.client.wait_for_orchestration_start(instance_id)

    harness.client.terminate_orchestration(instance_id, output={"why": "because"})

    state = harness.wait(instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == {"why": "because"}


@scenario("it ends only with a worker's help")
def what_no_worker_holds_is_terminated_too(harness):
    instance_id = harness.start("nobody")

    harness.client.terminate_orchestration(instance_id)

    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


@scenario()
def what_is_suspended_can_be_terminated(harness):
    harness.host(wait_for_end)
    instance_id = harness.start(wait_for_end)
    harness.client.wait_for_orchestration_start(instance_id)
    harness.client.suspend_orchestration(instance_id)
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)

    harness.client.terminate_orchestration(instance_id)

    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


def _family(ctx, depth):
    """Parent, child and grandchild, each waiting."""
    if depth:
        yield ctx.call_sub_orchestrator(_family, input=depth - 1, instance_id=f"family-{depth - 1}")
    yield ctx.wait_for_external_event("end")


@scenario("it terminates no children")
def terminating_recursively_reaches_the_grandchildren(harness):
    harness.host(_family)
    harness.start(_family, input=2, instance_id="family-2")
    until(lambda: harness.client.get_orchestration_state("family-0"))

    harness.client.terminate_orchestration("family-2", recursive=True)

    for depth in (2, 1, 0):
        ended = harness.wait(f"family-{depth}")
        assert ended.runtime_status is OrchestrationStatus.TERMINATED, depth


@scenario()
def terminating_not_recursively_spares_the_children(harness):
    harness.host(_family)
    harness.start(_family, input=1, instance_id="family-1")
    until(lambda: harness.client.get_orchestration_state("family-0"))

    harness.client.terminate_orchestration("family-1", recursive=False)

    assert harness.wait("family-1").runtime_status is OrchestrationStatus.TERMINATED
    harness.client.raise_orchestration_event("family-0", "end")
    assert harness.wait("family-0").runtime_status is OrchestrationStatus.COMPLETED


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
def a_rewound_orchestration_repeats_only_what_failed(harness):
    switch = Switch()
    steady, shaky = switch.steady(), switch.shaky()

    def orchestrator(ctx, _):
        first = yield ctx.call_activity(steady, input="a")
        second = yield ctx.call_activity(shaky, input="b")
        return [first, second]

    harness.host(orchestrator, activities=[steady, shaky])
    instance_id = harness.start(orchestrator)
    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    harness.client.rewind_orchestration(instance_id, reason="switched on")

    until(lambda: harness.status(instance_id) is OrchestrationStatus.COMPLETED)
    state = harness.state(instance_id)
    assert state.get_output() == ["a", "b"]
    assert state.failure_details is None
    assert switch.calls == {"steady a": 1, "shaky b": 2}


@scenario()
def a_failed_child_is_rewound_with_its_parent(harness):
    switch = Switch()
    steady, shaky = switch.steady(), switch.shaky()

    def child(ctx, key):
        yield ctx.call_activity(steady, input=key)
        return (yield ctx.call_activity(shaky, input=key))

    def parent(ctx, _):
        before = yield ctx.call_activity(steady, input="p")
        return [before, (yield ctx.call_sub_orchestrator(child, input="c", instance_id="child"))]

    harness.host(parent, child, activities=[steady, shaky])
    harness.start(parent, instance_id="parent")
    assert harness.wait("parent").runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    harness.client.rewind_orchestration("parent")

    until(lambda: harness.status("parent") is OrchestrationStatus.COMPLETED)
    assert harness.state("parent").get_output() == ["p", "c"]
    assert harness.state("child").get_output() == "c"
    assert switch.calls == {"steady p": 1, "steady c": 1, "shaky c": 2}


@scenario()
def of_several_failures_each_is_repeated_when_rewound(harness):
    switch = Switch()
    shaky = switch.shaky()

    def orchestrator(ctx, keys):
        return (yield when_all([ctx.call_activity(shaky, input=key) for key in keys]))

    harness.host(orchestrator, activities=[shaky])
    instance_id = harness.start(orchestrator, input=["a", "b", "c"])
    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    switch.is_on = True
    harness.client.rewind_orchestration(instance_id)

    until(lambda: harness.status(instance_id) is OrchestrationStatus.COMPLETED)
    assert harness.state(instance_id).get_output() == ["a", "b", "c"]


@scenario()
def only_what_has_failed_is_rewound(harness):
    def echo(_ctx, value):
        return value

    harness.host(echo)
    instance_id = harness.start(echo, input=1)
    harness.wait(instance_id)

    assert refused(harness.client.rewind_orchestration, instance_id) == "FAILED_PRECONDITION"
    assert refused(harness.client.rewind_orchestration, "nobody") == "NOT_FOUND"
