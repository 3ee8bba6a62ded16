"""Every mistake ends in a clear error, never in a hang, and the worker goes on working."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.protocol import methods
from durabletask.protocol.dialects import TASKHUB
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    SidecarUnavailableError,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Harness

Steps = Generator[Any, Any, Any]


def healthy(_ctx: task.OrchestrationContext) -> str:
    return "still alive"


@pytest.fixture
def failure(harness: Harness) -> Iterator[Any]:
    """Run an orchestrator that must fail; afterwards the worker must still work."""

    def run(orchestrator: Any, *, activities: tuple[Any, ...] = (), name: str = "") -> Any:
        harness.host(orchestrator, healthy, activities=activities)
        state = harness.run(name or orchestrator)
        assert state.runtime_status is OrchestrationStatus.FAILED
        return state.failure_details

    yield run
    assert harness.run(healthy).get_output() == "still alive"


def test_when_all_of_nothing_is_an_empty_list(harness: Harness) -> None:
    def nothing(_ctx: task.OrchestrationContext) -> Steps:
        return (yield task.when_all([]))

    harness.host(nothing)

    assert harness.run(nothing).serialized_output == "[]"


def test_when_any_of_nothing_is_a_value_error(failure: Any) -> None:
    def nothing(_ctx: task.OrchestrationContext) -> Steps:
        return (yield task.when_any([]))

    assert failure(nothing).error_type == "builtins.ValueError"


def test_an_unknown_orchestrator_fails_and_says_what_is_registered(failure: Any) -> None:
    details = failure(healthy_too, name="helthy")

    assert details.error_type == "durabletask.worker.OrchestratorNotRegisteredError"
    assert "helthy" in details.message
    assert "healthy" in details.message


def healthy_too(_ctx: task.OrchestrationContext) -> None:
    return None


def test_an_unknown_activity_fails_the_call(failure: Any) -> None:
    def calls(ctx: task.OrchestrationContext) -> Steps:
        return (yield ctx.call_activity("gone"))

    details = failure(calls)

    assert details.inner_failure.error_type == "durabletask.worker.ActivityNotRegisteredError"
    assert "gone" in details.message


def test_a_result_that_is_not_json_fails_with_its_type(failure: Any) -> None:
    def returns_a_set(_ctx: task.OrchestrationContext) -> Any:
        return {1, 2}

    assert "set" in failure(returns_a_set).message


def test_an_activity_result_that_is_not_json_fails_that_activity(failure: Any) -> None:
    def returns_a_set(_ctx: task.ActivityContext) -> Any:
        return {1, 2}

    def calls(ctx: task.OrchestrationContext) -> Steps:
        return (yield ctx.call_activity(returns_a_set))

    assert "set" in failure(calls, activities=(returns_a_set,)).message


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_activity_that_exits_fails_itself_only(failure: Any, kind: str) -> None:
    def leaves(_ctx: task.ActivityContext) -> None:
        sys.exit(3)

    async def leaves_async(_ctx: task.ActivityContext) -> None:
        sys.exit(3)

    leaving = leaves if kind == "sync" else leaves_async

    def calls(ctx: task.OrchestrationContext) -> Steps:
        return (yield ctx.call_activity(leaving))

    details = failure(calls, activities=(leaving,))

    assert "SystemExit" in details.inner_failure.error_type
    assert "SystemExit(3)" in details.message


def test_yielding_something_that_is_not_a_task_names_it(failure: Any) -> None:
    def yields_a_number(_ctx: task.OrchestrationContext) -> Steps:
        yield 42

    details = failure(yields_a_number)

    assert details.error_type == "builtins.TypeError"
    assert "42" in details.message or "int" in details.message


def test_awaiting_asyncio_names_the_call_to_use(failure: Any) -> None:
    async def sleeps(_ctx: task.OrchestrationContext) -> None:
        await asyncio.sleep(1)

    assert "create_timer" in failure(sleeps).message


def test_code_changed_under_a_running_instance_is_explained(harness: Harness) -> None:
    def step(_ctx: task.ActivityContext) -> str:
        return "stepped"

    def old(ctx: task.OrchestrationContext) -> Steps:
        yield ctx.call_activity("step")
        return (yield ctx.wait_for_external_event("go"))

    def new(ctx: task.OrchestrationContext) -> Steps:
        yield ctx.call_activity("another_step")
        return (yield ctx.wait_for_external_event("go"))

    old.__name__ = new.__name__ = "flow"
    harness.host(old, activities=(step,))
    instance_id = harness.start("flow")
    wait_until_stepped(harness, instance_id)
    harness.worker.stop()

    with harness.new_worker() as changed:
        changed.add_orchestrator(new)
        changed.start()
        harness.client.raise_orchestration_event(instance_id, "go")
        details = harness.wait(instance_id).failure_details

    assert details is not None
    assert details.error_type == "durabletask.task.NonDeterminismError"
    assert "step" in details.message
    assert "another_step" in details.message


def wait_until_stepped(harness: Harness, instance_id: str) -> None:
    """Return when the activity is in history: another instance has gone through since."""
    harness.client.wait_for_orchestration_start(instance_id, timeout=20)
    other = harness.start("flow")
    harness.client.raise_orchestration_event(other, "go")
    harness.wait(other)


def test_a_large_result_arrives_or_fails_naming_the_limit(harness: Harness) -> None:
    size = 5 * 1024 * 1024

    def large(_ctx: task.ActivityContext) -> str:
        return "x" * size

    def measures(ctx: task.OrchestrationContext) -> Steps:
        return len((yield ctx.call_activity(large)))

    harness.host(measures, activities=(large,))

    assert harness.run(measures).get_output() == size


def test_a_result_beyond_every_limit_fails_its_activity(failure: Any) -> None:
    def enormous(_ctx: task.ActivityContext) -> str:
        return "x" * (70 * 1024 * 1024)

    def calls(ctx: task.OrchestrationContext) -> Steps:
        return (yield ctx.call_activity(enormous))

    assert "limit" in failure(calls, activities=(enormous,)).message


def test_the_state_of_an_unknown_id_is_none(harness: Harness) -> None:
    assert harness.client.get_orchestration_state("nobody") is None


def test_waiting_for_an_unknown_id_returns_none_at_once(harness: Harness) -> None:
    assert harness.client.wait_for_orchestration_completion("nobody", timeout=20) is None


def test_an_event_for_an_unknown_id_names_it(harness: Harness) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody") as caught:
        harness.client.raise_orchestration_event("nobody", "go")

    assert isinstance(caught.value, grpc.RpcError)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_duplicate_id_names_it(harness: Harness) -> None:
    harness.start("anything", instance_id="taken")

    with pytest.raises(InstanceExistsError, match="taken") as caught:
        harness.start("anything", instance_id="taken")

    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_an_unreachable_address_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with (
            TaskHubGrpcClient(host_address=address) as client,
            pytest.raises(SidecarUnavailableError, match=address),
        ):
            client.schedule_new_orchestration("anything")


MALFORMED = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"


def send(channel: Any, method: Any) -> Any:
    if method.response_streaming:
        return list(channel.unary_stream(method.path)(MALFORMED, timeout=10))
    return channel.unary_unary(method.path)(MALFORMED, timeout=10)


@pytest.mark.over_grpc
@pytest.mark.parametrize("method", methods.of(TASKHUB), ids=lambda method: method.name)
def test_malformed_bytes_are_refused_on_every_rpc(harness: Harness, method: Any) -> None:
    with (
        grpc.insecure_channel(harness.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        send(channel, method)

    expected = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
    assert caught.value.code() in expected
    assert harness.client.get_orchestration_state("nobody") is None
