"""What clients do with instances besides starting them and waiting, end to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import history, task
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.transport.errors import InstanceExistsError
from durabletask.worker import (
    OrchestrationWorkItemFilter,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Harness

# What differs in Dapr's dialect is claimed in tests/interop, row by row.
WAYS = ("warm", "replayed")


def greet(_ctx: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def hello(ctx: task.OrchestrationContext, name: str) -> str:
    return await ctx.call_activity(greet, input=name)


async def wait(ctx: task.OrchestrationContext) -> Any:
    return await ctx.wait_for_external_event("go")


class Flaky:
    """Fails until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.calls: list[str] = []

    def activity(self, _ctx: task.ActivityContext, name: str) -> str:
        self.calls.append(name)
        if name == "fragile" and not self.is_mended:
            raise ValueError("broken")
        return name


def test_a_failed_orchestration_is_rewound_and_repeats_only_what_failed(
    harness: Harness,
) -> None:
    flaky = Flaky()

    async def work(ctx: task.OrchestrationContext) -> list[str]:
        return [await ctx.call_activity("work", input=name) for name in ("solid", "fragile")]

    harness.worker.activity(name="work")(flaky.activity)
    harness.host(work)
    instance_id = harness.start(work)
    assert harness.wait(instance_id).runtime_status == OrchestrationStatus.FAILED
    flaky.is_mended = True

    harness.client.rewind_orchestration(instance_id, reason="mended")

    state = harness.wait(instance_id)
    assert state.get_output() == ["solid", "fragile"]
    assert state.failure_details is None
    assert flaky.calls == ["solid", "fragile", "fragile"]


def test_rewinding_a_parent_rewinds_the_child_that_failed(harness: Harness) -> None:
    flaky = Flaky()

    async def child(ctx: task.OrchestrationContext) -> str:
        await ctx.call_activity("work", input="solid")
        return await ctx.call_activity("work", input="fragile")

    async def parent(ctx: task.OrchestrationContext) -> str:
        return await ctx.call_sub_orchestrator(child)

    harness.worker.activity(name="work")(flaky.activity)
    harness.host(parent, child)
    instance_id = harness.start(parent)
    assert harness.wait(instance_id).runtime_status == OrchestrationStatus.FAILED
    flaky.is_mended = True

    harness.client.rewind_orchestration(instance_id)

    assert harness.wait(instance_id).get_output() == "fragile"
    assert flaky.calls == ["solid", "fragile", "fragile"]


def test_an_orchestration_that_ended_is_started_again_with_its_input(harness: Harness) -> None:
    harness.host(hello, activities=(greet,))
    instance_id = harness.start(hello, input="Ada", tags={"team": "red"})
    harness.wait(instance_id)

    another = harness.client.restart_orchestration(instance_id, restart_with_new_instance_id=True)

    assert another != instance_id
    state = harness.wait(another)
    assert state.get_output() == "Hello Ada!"
    assert state.tags == {"team": "red"}


def test_purged_orchestrations_are_gone_with_their_children(harness: Harness) -> None:
    async def parent(ctx: task.OrchestrationContext) -> str:
        return await ctx.call_sub_orchestrator(hello, input="Ada", instance_id="kid")

    harness.host(parent, hello, activities=(greet,))
    instance_id = harness.start(parent)
    harness.wait(instance_id)

    purged = harness.client.purge_orchestration(instance_id)

    assert purged.deleted_instance_count == 2
    assert harness.client.get_orchestration_state(instance_id) is None
    assert harness.client.get_orchestration_state("kid") is None


def test_a_live_orchestration_is_not_purged(harness: Harness) -> None:
    harness.host(wait)
    instance_id = harness.start(wait)
    harness.client.wait_for_orchestration_start(instance_id)

    assert harness.client.purge_orchestration(instance_id).deleted_instance_count == 0
    assert harness.client.get_orchestration_state(instance_id) is not None


def test_orchestrations_are_found_by_their_status(harness: Harness) -> None:
    harness.host(hello, wait, activities=(greet,))
    done = harness.start(hello, input="Ada", instance_id="order-1")
    harness.wait(done)
    harness.start(wait, instance_id="order-2")
    harness.start(wait, instance_id="other")

    running = OrchestrationQuery(
        runtime_status=[OrchestrationStatus.RUNNING, OrchestrationStatus.PENDING],
        instance_id_prefix="order-",
    )

    found = harness.client.get_all_orchestration_states(running)
    assert [state.instance_id for state in found] == ["order-2"]
    assert harness.client.list_instance_ids().items == [done]


def test_pages_hold_everything_once(harness: Harness) -> None:
    harness.host(wait)
    ids = [harness.start(wait, instance_id=f"order-{number}") for number in range(7)]

    found = harness.client.get_all_orchestration_states(OrchestrationQuery(max_instance_count=2))

    assert [state.instance_id for state in found] == ids


def test_history_tells_what_happened(harness: Harness) -> None:
    harness.host(hello, activities=(greet,))
    instance_id = harness.start(hello, input="Ada")
    harness.wait(instance_id)

    events = harness.client.get_orchestration_history(instance_id)

    assert [type(event) for event in events] == [
        history.OrchestratorStartedEvent,
        history.ExecutionStartedEvent,
        history.TaskScheduledEvent,
        history.OrchestratorStartedEvent,
        history.TaskCompletedEvent,
        history.ExecutionCompletedEvent,
    ]


def test_an_id_is_reused_where_the_caller_allows_it(harness: Harness) -> None:
    harness.host(hello, activities=(greet,))
    harness.wait(harness.start(hello, input="Ada", instance_id="a"))

    with pytest.raises(InstanceExistsError):
        harness.start(hello, input="Alan", instance_id="a")
    harness.start(
        hello, input="Grace", instance_id="a", reuse_id_policy=[OrchestrationStatus.COMPLETED]
    )

    assert harness.wait("a").get_output() == "Hello Grace!"


def test_a_worker_of_the_wrong_version_leaves_the_work_to_another(harness: Harness) -> None:
    async def report(ctx: task.OrchestrationContext) -> str | None:
        return ctx.version

    for version, worker in (("1.0", harness.worker), ("2.0", harness.new_worker())):
        worker.use_versioning(
            VersioningOptions(
                version=version,
                match_strategy=VersionMatchStrategy.STRICT,
                failure_strategy=VersionFailureStrategy.REJECT,
            )
        )
        worker.add_orchestrator(report)
        worker.start()
        if version == "2.0":
            second = worker

    try:
        states = [harness.run(report, version=version) for version in ("1.0", "2.0")]
    finally:
        second.stop()

    assert [state.get_output() for state in states] == ["1.0", "2.0"]


def test_a_worker_of_the_wrong_version_fails_the_work_if_it_is_told_to(
    harness: Harness,
) -> None:
    harness.worker.use_versioning(
        VersioningOptions(
            version="1.0",
            match_strategy=VersionMatchStrategy.STRICT,
            failure_strategy=VersionFailureStrategy.FAIL,
        )
    )
    harness.host(hello, activities=(greet,))

    state = harness.run(hello, input="Ada", version="2.0")

    assert state.failure_details is not None
    assert state.failure_details.error_type == "VersionMismatch"


def test_a_strict_worker_without_a_version_filters_out_versioned_orchestrations(
    harness: Harness,
) -> None:
    harness.worker.use_versioning(VersioningOptions(match_strategy=VersionMatchStrategy.STRICT))
    harness.worker.use_work_item_filters()
    harness.host(hello, activities=(greet,))
    versioned = harness.start(hello, input="Ada", version="2.0")

    unversioned = harness.run(hello, input="Alan")

    assert unversioned.get_output() == "Hello Alan!"
    state = harness.client.get_orchestration_state(versioned)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.PENDING


def test_a_filter_keeps_work_from_a_worker(harness: Harness) -> None:
    """The filtered worker was there first, and would have taken both."""
    hosted_by: list[str] = []

    def named(name: str) -> Any:
        async def orchestrator(_ctx: task.OrchestrationContext) -> None:
            hosted_by.append(name)

        return orchestrator

    picky, other = harness.worker, harness.new_worker()
    for name, worker in (("picky", picky), ("other", other)):
        worker.orchestrator(name="one")(named(name))
        worker.orchestrator(name="two")(named(name))
    picky.use_work_item_filters(
        WorkItemFilters(orchestrations=[OrchestrationWorkItemFilter("one")])
    )
    picky.start()
    harness.run("one")

    with other:
        other.start()
        harness.run("two")

    assert hosted_by == ["picky", "other"]


def test_suspended_orchestrations_do_not_move_until_they_are_resumed(harness: Harness) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(_ctx: task.ActivityContext) -> str:
        begun.set()
        may_end.wait()
        return "slow"

    async def work(ctx: task.OrchestrationContext) -> list[str]:
        return [await ctx.call_activity(slow), await ctx.call_activity(greet, input="Ada")]

    harness.host(work, activities=(slow, greet))
    instance_id = harness.start(work)
    begun.wait()
    harness.client.suspend_orchestration(instance_id, reason="lunch")
    may_end.set()
    suspended = harness.client.get_orchestration_state(instance_id)
    assert suspended is not None
    assert suspended.runtime_status == OrchestrationStatus.SUSPENDED

    harness.client.resume_orchestration(instance_id, reason="back")

    assert harness.wait(instance_id).get_output() == ["slow", "Hello Ada!"]
