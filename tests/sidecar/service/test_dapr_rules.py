"""What holds for Dapr's clients and workers where the two vendors' rules differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc

from durabletask.protocol import messages, methods
from tests.builders.dapr import (
    child,
    detached,
    kinds,
    not_available,
    routed,
    scheduled,
    serving_dapr,
    speaking_dapr,
    timed,
)
from tests.builders.sidecar import complete, serving

STATUS = messages.OrchestrationStatus
NEVER = datetime.max.replace(tzinfo=UTC)


def start_request(instance_id: str = "a", **fields: Any) -> messages.CreateInstanceRequest:
    return messages.CreateInstanceRequest(name="order", instance_id=instance_id, **fields)


# Ids


async def test_the_id_of_an_instance_that_has_ended_may_be_used_again() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), complete(1, '"first"'))
        await peer.completed()

        await peer.start()

        assert (await peer.state()).orchestration_status is STATUS.PENDING


async def test_unless_the_client_wants_it_to_be_unique() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), complete(1, '"first"'))
        await peer.completed()

        request = start_request(enforce_unique_instance_id=True)
        code, text = await peer.refusal(methods.START_INSTANCE, request)

        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "orchestration instance already exists" in text


async def test_the_id_of_a_live_instance_is_taken() -> None:
    async with serving_dapr() as peer:
        await peer.worker()
        await peer.start()

        code, _ = await peer.refusal(methods.START_INSTANCE, start_request())

        assert code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_client_of_microsofts_keeps_its_rule_beside_a_worker_of_daprs() -> None:
    async with serving() as peer:
        daprs = speaking_dapr(peer)
        worker = await daprs.worker()
        await daprs.start()
        await daprs.decide(await worker.next(), complete(1))
        await daprs.completed()

        code, _ = await peer.refusal(
            methods.START_INSTANCE, start_request(request_time=datetime(2026, 1, 1, tzinfo=UTC))
        )

        assert code is grpc.StatusCode.ALREADY_EXISTS


async def test_each_task_hub_keeps_to_its_own_rules() -> None:
    async with serving() as peer:
        daprs, official = speaking_dapr(peer, "dapr"), peer.of_hub("official")
        await daprs.worker()
        await official.work().opened()
        request = messages.GetInstanceRequest(instance_id="nobody")

        code, text = await daprs.refusal(methods.WAIT_FOR_INSTANCE_START, request)
        response = await official.call(methods.WAIT_FOR_INSTANCE_START, request)

        assert (code, text) == (
            grpc.StatusCode.NOT_FOUND,
            "no such instance exists: nobody",
        )
        assert not response.exists


# What is not there, and what goes away


async def test_who_waits_for_a_missing_instance_is_told_so() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        request = messages.GetInstanceRequest(instance_id="nobody")

        code, text = await peer.refusal(methods.WAIT_FOR_INSTANCE_COMPLETION, request)

        assert code is grpc.StatusCode.NOT_FOUND
        assert "no such instance exists" in text


async def test_who_looks_at_a_missing_instance_sees_that_it_is_none() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        assert await peer.state("nobody") is None


async def test_a_live_instance_is_not_purged_and_the_client_is_told_why() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        await peer.start()

        request = messages.PurgeInstancesRequest(instance_id="a")
        code, text = await peer.refusal(methods.PURGE_INSTANCES, request)

        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "orchestration has not yet completed" in text
        assert await peer.state() is not None


async def test_a_live_instance_is_purged_by_force() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        await peer.start()

        assert await peer.purge(force=True) == 1

        assert await peer.state() is None


async def test_what_has_ended_is_purged() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        await peer.start()
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        assert await peer.purge(recursive=True) == 1


async def test_a_missing_instance_cannot_be_purged() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        request = messages.PurgeInstancesRequest(instance_id="nobody")

        code, text = await peer.refusal(methods.PURGE_INSTANCES, request)

        assert code is grpc.StatusCode.NOT_FOUND
        assert "no such instance exists" in text


async def test_microsofts_clients_are_told_by_the_count() -> None:
    async with serving() as peer:
        await peer.start()

        request = messages.PurgeInstancesRequest(instance_id="a", is_orchestration=True)
        response = await peer.call(methods.PURGE_INSTANCES, request)

        assert (response.deleted_instance_count, response.is_complete) == (0, True)


async def test_ids_are_listed_page_by_page() -> None:
    async with serving_dapr() as peer:
        for name in "abcde":
            await peer.start(instance_id=name)

        first = await peer.page(2)
        await peer.purge("b", force=True)
        second = await peer.page(2, first.continuation_token)
        third = await peer.page(2, second.continuation_token)

        assert [first.instance_ids, second.instance_ids, third.instance_ids] == [
            ["a", "b"],
            ["c", "d"],
            ["e"],
        ]
        assert third.continuation_token is None


async def test_all_ids_are_listed_of_one_hub_only() -> None:
    async with serving_dapr() as peer:
        await peer.start(instance_id="mine")
        await speaking_dapr(peer, "other").start(instance_id="theirs")

        assert (await peer.page()).instance_ids == ["mine"]


# What workers say and are told


async def test_the_id_of_a_call_goes_with_it_to_its_end() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), scheduled(1, task_execution_id="call-1"))
        item = await worker.next()
        failure = messages.TaskFailureDetails(error_type="E", error_message="no")
        await peer.finish(item, failure_details=failure)
        retry = await worker.next()
        await peer.decide(retry, scheduled(2, task_execution_id="call-1"))
        await peer.finish(await worker.next(), '"ok"')

        request = (await worker.next()).orchestrator_request

        assert item.activity_request.task_execution_id == "call-1"
        assert retry.orchestrator_request.new_events[1].task_failed.task_execution_id == "call-1"
        assert request.past_events[-1].task_scheduled.task_execution_id == "call-1"
        assert request.new_events[1].task_completed.task_execution_id == "call-1"


async def test_what_code_took_a_turn_is_told_with_its_history() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        version = messages.OrchestrationVersion(name="v2", patches=["faster"])

        await peer.decide(await worker.next(), scheduled(1), version=version)

        history = await peer.history()
        assert history[0].orchestrator_started.version == version
        assert kinds(history)[1:] == ["execution_started", "task_scheduled"]


async def test_a_status_that_is_not_set_stays_as_it_was() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), scheduled(1), custom_status='"half"')
        await peer.finish(await worker.next())

        await peer.decide(await worker.next(), scheduled(2))

        await worker.next()
        assert (await peer.state()).custom_status == '"half"'


async def test_what_a_timer_is_for_is_told_with_its_history() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        origin = messages.TimerOriginExternalEvent(name="go")

        await peer.decide(await worker.next(), timed(1, NEVER, name="go", external_event=origin))
        await peer.raise_event("go")

        created = (await worker.next()).orchestrator_request.past_events[-1].timer_created
        assert created == messages.TimerCreatedEvent(
            fire_at=NEVER, name="go", external_event=origin
        )


async def test_a_child_is_told_which_app_called_it() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(
            await worker.next(), routed(child(1), source_app_id="shop", target_app_id="post")
        )

        started = (await worker.next()).orchestrator_request.new_events[1]
        assert started.router.target_app_id == "post"
        assert started.execution_started.parent_instance.orchestration_instance.instance_id == "a"


async def test_the_next_generation_is_told_which_app_it_is_of() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        again = complete(1, "2", orchestration_status=STATUS.CONTINUED_AS_NEW)
        await peer.decide(await worker.next(), routed(again, source_app_id="shop"))

        started = (await worker.next()).orchestrator_request.new_events[1]
        assert started.router.source_app_id == "shop"


async def test_a_detached_orchestration_begins_and_nobody_waits_for_it() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(await worker.next(), detached(1, "b", input='"x"'), complete(2, '"ok"'))

        started = (await worker.next()).orchestrator_request.new_events[1].execution_started
        assert (started.name, started.input, started.parent_instance) == ("audit", '"x"', None)
        assert (await peer.completed()).output == '"ok"'
        assert kinds(await peer.history())[2] == "detached_orchestration_instance_created"


async def test_a_detached_orchestration_leaves_alone_what_lives_under_its_id() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start(instance_id="b", input='"old"')
        await peer.start()
        await worker.next()

        await peer.decide(await worker.next(), detached(1, "b"), complete(2))
        await peer.completed()

        assert (await peer.state("b")).input == '"old"'


async def test_a_detached_orchestration_takes_the_id_of_one_that_has_ended() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start(instance_id="b")
        await peer.decide(await worker.next(), complete(1, '"old"'))
        await peer.completed("b")
        await peer.start()

        await peer.decide(await worker.next(), detached(1, "b"), complete(2))

        assert (await worker.next()).orchestrator_request.new_events[1].execution_started


# Stalled


async def test_an_instance_whose_version_no_worker_has_is_stalled() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(await worker.next(), not_available())

        assert (await peer.state()).orchestration_status is STATUS.STALLED
        stalled = (await peer.history())[-1].execution_stalled
        assert stalled.reason is messages.StalledReason.VERSION_NOT_AVAILABLE


async def test_any_event_lets_a_worker_look_again() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), not_available())
        await peer.raise_event("go")

        request = await worker.next()
        await peer.decide(request, scheduled(1))

        assert kinds(request.orchestrator_request.past_events) == [
            "orchestrator_started",
            "execution_started",
            "execution_stalled",
        ]
        await worker.next()
        assert (await peer.state()).orchestration_status is STATUS.RUNNING


async def test_resume_lets_a_worker_look_again() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), not_available())

        await peer.call(methods.RESUME_INSTANCE, messages.ResumeRequest(instance_id="a"))

        assert (await peer.state()).orchestration_status is STATUS.RUNNING
        request = (await worker.next()).orchestrator_request
        assert kinds(request.new_events) == ["orchestrator_started"]


async def test_a_stalled_instance_can_be_terminated() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), not_available())

        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        assert (await peer.completed()).orchestration_status is STATUS.TERMINATED


async def test_an_instance_that_was_suspended_meanwhile_is_not_stalled() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()
        await peer.call(methods.SUSPEND_INSTANCE, messages.SuspendRequest(instance_id="a"))

        await peer.decide(item, not_available())

        assert (await peer.state()).orchestration_status is STATUS.SUSPENDED
