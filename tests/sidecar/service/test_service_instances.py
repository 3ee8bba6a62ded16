"""What clients see, over real gRPC and in raw messages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.clock import ManualClock
from tests.builders.sidecar import complete, failed, schedule, serving

Status = messages.OrchestrationStatus


async def test_hello_names_the_engine() -> None:
    async with serving() as peer:
        hello: Any = peer.channel.unary_unary(methods.HELLO.path)
        call = hello(b"")

        metadata = dict(await call.initial_metadata())

        assert str(metadata["x-durabletask-engine"]).startswith("durabletask-sidecar/")
        assert await call == b""


async def test_an_instance_is_stored_without_any_worker() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        await peer.start(
            "order", "a", input='"in"', version="2", execution_id="e1", tags={"team": "blue"}
        )

        state = await peer.state()

    assert (state.instance_id, state.name, state.version) == ("a", "order", "2")
    assert (state.execution_id, state.tags, state.input) == ("e1", {"team": "blue"}, '"in"')
    assert state.orchestration_status == Status.PENDING
    assert state.created_timestamp == state.last_updated_timestamp == clock.now()
    assert state.output is state.custom_status is state.failure_details is None
    assert state.completed_timestamp is None


async def test_an_instance_without_an_id_is_given_one() -> None:
    async with serving() as peer:
        first, second = await peer.start(instance_id=""), await peer.start(instance_id="")

        assert first != second
        assert len(first) == 32
        assert (await peer.state(first)).instance_id == first


async def test_an_empty_payload_is_not_the_same_as_none() -> None:
    async with serving() as peer:
        await peer.start(instance_id="empty", input="")
        await peer.start(instance_id="none")

        assert (await peer.state("empty")).input == ""
        assert (await peer.state("none")).input is None


async def test_an_id_in_use_is_refused() -> None:
    async with serving() as peer:
        await peer.start()

        code, text = await peer.refusal(
            methods.START_INSTANCE, messages.CreateInstanceRequest(name="order", instance_id="a")
        )

        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "'a'" in text or " a " in text


async def test_an_id_whose_status_is_replaceable_is_used_anew() -> None:
    async with serving() as peer:
        await peer.start("old")
        items = peer.work()
        old_turn = await items.next()

        policy = messages.OrchestrationIdReusePolicy(replaceable_status=[Status.PENDING])
        await peer.start("new", orchestration_id_reuse_policy=policy)
        new_turn = await items.next()
        await peer.decide(old_turn, complete(1, '"old"'))
        await peer.decide(new_turn, complete(1, '"new"'))

        state = await peer.completed()
        assert (state.name, state.output) == ("new", '"new"')


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "", "instance_id": "a"}, "name"),
        ({"name": "order", "instance_id": "a" * 1001}, "1001 characters"),
        ({"name": "order", "instance_id": "a\nb"}, "control"),
        ({"name": "order", "instance_id": "@counter@1"}, "entity"),
        ({"name": "order", "execution_id": "e" * 1001}, "1001 characters"),
    ],
)
async def test_a_start_that_makes_no_sense_is_refused(fields: dict[str, Any], says: str) -> None:
    async with serving() as peer:
        code, text = await peer.refusal(
            methods.START_INSTANCE, messages.CreateInstanceRequest(**fields)
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert says in text


@pytest.mark.parametrize(
    ("method", "request_class"),
    [
        (methods.TERMINATE_INSTANCE, messages.TerminateRequest),
        (methods.SUSPEND_INSTANCE, messages.SuspendRequest),
        (methods.RESUME_INSTANCE, messages.ResumeRequest),
        (methods.RAISE_EVENT, lambda **ids: messages.RaiseEventRequest(name="go", **ids)),
    ],
)
async def test_what_is_meant_for_a_missing_instance_is_not_found(method, request_class) -> None:
    async with serving() as peer:
        code, text = await peer.refusal(method, request_class(instance_id="nobody"))
        no_id, _ = await peer.refusal(method, request_class(instance_id=""))

        assert code is grpc.StatusCode.NOT_FOUND
        assert "no such instance exists: nobody" in text
        assert no_id is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("method", "request_class"),
    [
        (methods.START_INSTANCE, lambda **ids: messages.CreateInstanceRequest(name="order", **ids)),
        (methods.GET_INSTANCE, messages.GetInstanceRequest),
        (methods.WAIT_FOR_INSTANCE_START, messages.GetInstanceRequest),
        (methods.WAIT_FOR_INSTANCE_COMPLETION, messages.GetInstanceRequest),
        (methods.TERMINATE_INSTANCE, messages.TerminateRequest),
        (methods.SUSPEND_INSTANCE, messages.SuspendRequest),
        (methods.RESUME_INSTANCE, messages.ResumeRequest),
        (methods.RAISE_EVENT, lambda **ids: messages.RaiseEventRequest(name="go", **ids)),
    ],
)
@pytest.mark.parametrize("length", [1001, 20_000])
async def test_an_id_that_no_instance_can_have_is_refused(method, request_class, length) -> None:
    async with serving() as peer:
        code, text = await peer.refusal(method, request_class(instance_id="a" * length))

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert f"{length} characters" in text


async def test_the_longest_id_that_is_not_found_still_fits_into_the_answer() -> None:
    async with serving() as peer:
        request = messages.TerminateRequest(instance_id="\U0001f40c" * 1000)

        # gRPC refuses headers that are somewhat too long only now and then.
        refusals = [await peer.refusal(methods.TERMINATE_INSTANCE, request) for _ in range(20)]

        assert {code for code, _ in refusals} == {grpc.StatusCode.NOT_FOUND}
        assert all("no such instance exists: \U0001f40c" in text for _, text in refusals)


async def test_a_task_hub_whose_name_is_too_long_is_refused() -> None:
    async with serving() as peer:
        code, text = await peer.of_hub("h" * 1001).refusal(
            methods.GET_INSTANCE, messages.GetInstanceRequest(instance_id="a")
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "task hub has 1001 characters" in text


async def test_an_event_without_a_name_is_refused() -> None:
    async with serving() as peer:
        await peer.start()

        code, _ = await peer.refusal(
            methods.RAISE_EVENT, messages.RaiseEventRequest(instance_id="a")
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_waiter_wakes_with_the_commit_it_waits_for() -> None:
    async with serving() as peer:
        await peer.start()
        started = await peer.begin(
            methods.WAIT_FOR_INSTANCE_START, messages.GetInstanceRequest(instance_id="a")
        )
        ended = asyncio.create_task(peer.completed())
        items = peer.work()

        await peer.decide(await items.next(), schedule(1))
        after_first_turn = (await started).orchestration_state
        await peer.finish(await items.next(), '"hi"')
        await peer.decide(await items.next(), complete(2, '"done"'))

        assert after_first_turn.orchestration_status == Status.RUNNING
        assert (await ended).output == '"done"'


@pytest.mark.slow
async def test_a_thousand_waiters_keep_nobody_from_working() -> None:
    async with serving() as peer:
        await peer.start()
        waiting = [asyncio.create_task(peer.completed()) for _ in range(1000)]
        items = peer.work()

        await peer.decide(await items.next(), complete(1, "1"))

        states = await asyncio.gather(*waiting)
        assert {state.output for state in states} == {"1"}


async def test_a_wait_ends_with_its_deadline_and_leaves_nothing_behind() -> None:
    async with serving() as peer:
        await peer.start()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await peer.call(
                methods.WAIT_FOR_INSTANCE_COMPLETION,
                messages.GetInstanceRequest(instance_id="a"),
                patience=0.05,
            )

        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await peer.state()).orchestration_status == Status.PENDING


async def test_a_wait_without_a_deadline_lasts_until_the_end() -> None:
    async with serving() as peer:
        await peer.start()
        wait: Any = peer.channel.unary_unary(methods.WAIT_FOR_INSTANCE_COMPLETION.path)
        call = wait(b"\x0a\x01a")
        items = peer.work()

        await peer.decide(await items.next(), complete(1))

        assert await call


async def test_a_terminated_instance_wakes_its_waiters_without_any_worker() -> None:
    async with serving() as peer:
        await peer.start()
        ended = asyncio.create_task(peer.completed())

        await peer.call(
            methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a", output='"why"')
        )

        state = await ended
        assert (state.orchestration_status, state.output) == (Status.TERMINATED, '"why"')


async def test_a_failed_instance_says_how_it_failed() -> None:
    async with serving() as peer:
        await peer.start()
        details = messages.TaskFailureDetails(error_type="ValueError", error_message="no")
        await peer.decide(await peer.work().next(), failed(1, details))

        state = await peer.completed()

        assert state.orchestration_status == Status.FAILED
        assert state.failure_details == details


async def test_a_suspended_instance_gets_no_turn_until_it_is_resumed() -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), schedule(1))
        activity = await items.next()

        await peer.call(methods.SUSPEND_INSTANCE, messages.SuspendRequest(instance_id="a"))
        suspended = (await peer.state()).orchestration_status
        await peer.finish(activity, '"hi"')
        # Were a turn of "a" out by now, it would stand before that of "b".
        await peer.start(instance_id="b")
        next_turn = await items.next()
        await peer.call(methods.RESUME_INSTANCE, messages.ResumeRequest(instance_id="a"))
        resumed_turn = await items.next()

        assert suspended == Status.SUSPENDED
        assert next_turn.orchestrator_request.instance_id == "b"
        assert resumed_turn.orchestrator_request.instance_id == "a"


async def test_task_hubs_are_separate() -> None:
    async with serving() as peer:
        other = peer.of_hub("other")
        await peer.start("here")
        await other.start("there")

        assert (await peer.state()).name == "here"
        assert (await other.state()).name == "there"
        assert (await other.work().next()).orchestrator_request.instance_id == "a"


async def test_a_scheduled_start_waits_for_its_time() -> None:
    clock = ManualClock(datetime(2024, 1, 1, tzinfo=UTC))
    async with serving(clock=clock) as peer:
        await peer.start(
            instance_id="later", scheduled_start_timestamp=clock.now() + timedelta(hours=1)
        )
        await peer.start(
            instance_id="now", scheduled_start_timestamp=datetime(1970, 1, 1, tzinfo=UTC)
        )
        items = peer.work()

        first = await items.next()
        clock.advance(timedelta(hours=1))
        second = await items.next()

        assert first.orchestrator_request.instance_id == "now"
        assert second.orchestrator_request.instance_id == "later"
