"""What is kept of orchestrations: queries, lists, histories, purges, restarts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from harness import PATIENCE, scenario, until
from refusals import refused

from durabletask import history
from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationQuery, OrchestrationStatus


def echo(_ctx, value):
    return value


def fail(_ctx, value):
    raise ValueError(value)


def wait(ctx, _):
    yield ctx.wait_for_external_event("end")


def _some(harness):
    """Three that completed, two that failed, one that waits."""
    harness.host(echo, fail, wait)
    for number in range(3):
        harness.run(echo, input=number, instance_id=f"echo-{number}")
    for number in range(2):
        harness.run(fail, input=number, instance_id=f"fail-{number}")
    harness.client.wait_for_orchestration_start(harness.start(wait, instance_id="wait-0"))


@scenario()
def what_does_not_exist_is_none(harness):
    assert harness.client.get_orchestration_state("nobody") is None
    assert refused(harness.client.get_orchestration_history, "nobody") == "NOT_FOUND"
    assert harness.client.purge_orchestration("nobody").deleted_instance_count == 0
    assert refused(harness.client.restart_orchestration, "nobody") == "NOT_FOUND"


@scenario("it waits for what does not exist until the deadline")
def nobody_is_waited_for_in_vain(harness):
    began = time.monotonic()

    assert harness.client.wait_for_orchestration_completion("nobody", timeout=PATIENCE) is None
    assert harness.client.wait_for_orchestration_start("nobody", timeout=PATIENCE) is None
    assert time.monotonic() - began < PATIENCE


@scenario()
def a_wait_ends_at_its_deadline(harness):
    harness.host(wait)
    instance_id = harness.start(wait)

    try:
        harness.client.wait_for_orchestration_completion(instance_id, timeout=0.2)
    except TimeoutError:
        return
    raise AssertionError("it did not end")


@scenario()
def payloads_are_told_only_to_those_who_ask(harness):
    harness.host(echo)
    instance_id = harness.start(echo, input="in")
    harness.wait(instance_id)

    lean = harness.client.get_orchestration_state(instance_id, fetch_payloads=False)
    full = harness.client.get_orchestration_state(instance_id, fetch_payloads=True)

    assert (lean.serialized_input, lean.serialized_output) == (None, None)
    assert (full.get_input(), full.get_output()) == ("in", "in")
    assert full.name == "echo"
    assert full.created_at <= full.last_updated_at


@scenario()
def instances_are_found_by_status_prefix_and_time(harness):
    before = datetime.now(UTC)
    _some(harness)

    def found(**query):
        states = harness.client.get_all_orchestration_states(OrchestrationQuery(**query))
        return sorted(state.instance_id for state in states)

    everybody = ["echo-0", "echo-1", "echo-2", "fail-0", "fail-1", "wait-0"]
    assert found() == everybody
    assert found(max_instance_count=2) == everybody
    assert found(runtime_status=[OrchestrationStatus.FAILED]) == ["fail-0", "fail-1"]
    assert found(instance_id_prefix="echo-") == ["echo-0", "echo-1", "echo-2"]
    assert found(created_time_from=before) == everybody
    assert found(created_time_to=before) == []
    assert found(created_time_from=datetime.now(UTC) + timedelta(hours=1)) == []


@scenario()
def a_query_brings_payloads_when_it_asks_for_them(harness):
    _some(harness)

    def outputs(**query):
        query = OrchestrationQuery(instance_id_prefix="echo-", **query)
        return [state.get_output() for state in harness.client.get_all_orchestration_states(query)]

    assert sorted(outputs(fetch_inputs_and_outputs=True)) == [0, 1, 2]
    assert outputs() == [None, None, None]


@scenario()
def ids_are_listed_page_by_page_in_order_of_completion(harness):
    _some(harness)
    listed, token = [], None
    while True:
        page = harness.client.list_instance_ids(page_size=2, continuation_token=token)
        assert len(page.items) <= 2
        listed += page.items
        token = page.continuation_token
        if not token:
            break

    assert listed == ["echo-0", "echo-1", "echo-2", "fail-0", "fail-1"]
    failed = harness.client.list_instance_ids(runtime_status=[OrchestrationStatus.FAILED])
    assert failed.items == ["fail-0", "fail-1"]


@scenario()
def a_history_is_read_as_typed_events(harness):
    def double(_ctx, number):
        return 2 * number

    def orchestrator(ctx, number):
        yield ctx.create_timer(timedelta(milliseconds=10))
        doubled = yield ctx.call_activity(double, input=number)
        return (yield ctx.call_sub_orchestrator(echo, input=doubled))

    harness.host(orchestrator, echo, activities=[double])
    instance_id = harness.start(orchestrator, input=21, tags={"colour": "blue"})
    harness.wait(instance_id)

    events = harness.client.get_orchestration_history(instance_id)
    told = [type(event) for event in events]

    def the(kind):
        return next(event for event in events if type(event) is kind)

    assert told[:2] == [history.OrchestratorStartedEvent, history.ExecutionStartedEvent]
    assert told[-1] is history.ExecutionCompletedEvent
    steps = [
        history.TimerCreatedEvent,
        history.TimerFiredEvent,
        history.TaskScheduledEvent,
        history.TaskCompletedEvent,
        history.SubOrchestrationInstanceCreatedEvent,
        history.SubOrchestrationInstanceCompletedEvent,
    ]
    assert [kind for kind in told if kind in steps] == steps
    assert the(history.ExecutionStartedEvent).input == "21"
    assert (the(history.TaskScheduledEvent).name, the(history.TaskScheduledEvent).input) == (
        "double",
        "21",
    )
    assert the(history.TaskCompletedEvent).result == "42"
    assert the(history.ExecutionCompletedEvent).result == "42"
    assert all(event.timestamp.tzinfo is not None for event in events)


@scenario("it forgets tags")
def tags_are_found_in_the_history(harness):
    def double(_ctx, number):
        return 2 * number

    def orchestrator(ctx, _):
        return (yield ctx.call_activity(double, input=1, tags={"size": "small"}))

    harness.host(orchestrator, activities=[double])
    instance_id = harness.start(orchestrator, tags={"colour": "blue"})
    harness.wait(instance_id)

    tags = [
        event.tags
        for event in harness.client.get_orchestration_history(instance_id)
        if type(event) in (history.ExecutionStartedEvent, history.TaskScheduledEvent)
    ]
    assert tags == [{"colour": "blue"}, {"size": "small"}]


@scenario()
def one_instance_is_purged(harness):
    _some(harness)

    purged = harness.client.purge_orchestration("echo-1")

    assert purged.deleted_instance_count == 1
    assert harness.client.get_orchestration_state("echo-1") is None
    assert harness.client.get_orchestration_state("echo-2") is not None


@scenario()
def what_runs_is_not_purged(harness):
    _some(harness)

    assert harness.client.purge_orchestration("wait-0").deleted_instance_count == 0
    harness.client.raise_orchestration_event("wait-0", "end")
    assert harness.wait("wait-0").runtime_status is OrchestrationStatus.COMPLETED


@scenario()
def instances_are_purged_by_status_and_time(harness):
    before = datetime.now(UTC)
    _some(harness)

    def purged(**criteria):
        return harness.client.purge_orchestrations_by(**criteria).deleted_instance_count

    assert purged(created_time_to=before) == 0
    assert purged(runtime_status=[OrchestrationStatus.FAILED]) == 2
    assert purged(created_time_from=before, timeout=timedelta(seconds=PATIENCE)) == 3
    left = harness.client.get_all_orchestration_states(OrchestrationQuery())
    assert [state.instance_id for state in left] == ["wait-0"]


@scenario("it purges no children")
def children_are_purged_with_their_parent(harness):
    def parent(ctx, depth):
        if depth:
            yield ctx.call_sub_orchestrator(parent, input=depth - 1, instance_id=f"p{depth - 1}")

    harness.host(parent)
    harness.run(parent, input=2, instance_id="p2")

    assert harness.client.purge_orchestration("p2", recursive=True).deleted_instance_count == 3
    assert harness.client.get_orchestration_state("p0") is None


@scenario()
def an_orchestration_is_restarted_under_its_own_or_a_new_id(harness):
    calls = []

    def record(_ctx, value):
        calls.append(value)
        return len(calls)

    def orchestrator(ctx, value):
        return (yield ctx.call_activity(record, input=value))

    harness.host(orchestrator, activities=[record])
    harness.run(orchestrator, input="again", instance_id="one")

    same = harness.client.restart_orchestration("one")
    until(lambda: harness.state("one").get_output() == 2)
    other = harness.client.restart_orchestration("one", restart_with_new_instance_id=True)

    assert same == "one"
    assert other != "one"
    assert harness.wait(other).get_output() == 3
    assert calls == ["again"] * 3


@scenario()
def what_runs_is_not_restarted(harness):
    harness.host(wait)
    instance_id = harness.start(wait)
    harness.client.wait_for_orchestration_start(instance_id)

    assert refused(harness.client.restart_orchestration, instance_id) == "FAILED_PRECONDITION"


@scenario()
def the_asynchronous_client_does_the_same(harness):
    harness.host(echo, wait)

    async def use():
        async with AsyncTaskHubGrpcClient(**harness.connection()) as client:
            ids = [await client.schedule_new_orchestration(echo, input=n) for n in range(10)]
            waits = [client.wait_for_orchestration_completion(one) for one in ids]
            outputs = [state.get_output() for state in await asyncio.gather(*waits)]
            waiting = await client.schedule_new_orchestration(wait)
            await client.raise_orchestration_event(waiting, "end")
            await client.wait_for_orchestration_completion(waiting)
            # No history: this client sends its metadata, and so the hub, only with unary calls.
            found = await client.get_all_orchestration_states(OrchestrationQuery())
            return outputs, len(found)

    assert asyncio.run(use()) == (list(range(10)), 11)
