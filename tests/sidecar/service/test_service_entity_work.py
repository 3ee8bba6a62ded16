"""Operations of entities as workers meet them: handed out, answered, given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import messages, methods, oneofs
from tests.builders.sidecar import complete, serving

if TYPE_CHECKING:
    from tests.builders.sidecar import Peer

COUNTER = "@counter@a"
# A worker that takes turns only, and one that takes operations only.
TURNS: dict[str, Any] = {
    "work_item_filters": messages.WorkItemFilters(
        orchestrations=[messages.OrchestrationFilter(name="order")]
    )
}
ENTITIES: dict[str, Any] = {
    "work_item_filters": messages.WorkItemFilters(entities=[messages.EntityFilter(name="Counter")])
}


def call(request_id: str, entity_id: str = COUNTER, operation: str = "add") -> Any:
    called = messages.EntityOperationCalledEvent(
        request_id=request_id, operation=operation, input="1", target_instance_id=entity_id
    )
    message = messages.SendEntityMessageAction(entity_operation_called=called)
    return messages.OrchestratorAction(id=1, send_entity_message=message)


def success(result: str) -> Any:
    return messages.OperationResult(success=messages.OperationResultSuccess(result=result))


async def answer(peer: Peer, item: Any, *results: Any, **fields: Any) -> None:
    message = messages.EntityBatchResult(results=list(results))
    message.completion_token = item.completion_token
    for name, value in fields.items():
        setattr(message, name, value)
    await peer.call(methods.COMPLETE_ENTITY_TASK, message)


async def calling(peer: Peer, *actions: Any) -> Any:
    """The turns of an orchestration whose first one has asked for these."""
    turns = peer.work(**TURNS)
    await peer.start()
    await peer.decide(await turns.next(), *actions)
    return turns


def operations(item: Any) -> list[str]:
    requests = item.entity_request_v2.operation_requests
    return [
        (each.entity_operation_called or each.entity_operation_signaled).request_id
        for each in requests
    ]


async def test_a_call_reaches_the_entity_and_its_answer_the_caller() -> None:
    async with serving() as peer:
        turns = await calling(peer, call("r1"))
        item = await peer.work(**ENTITIES).next()

        await answer(peer, item, success("1"), entity_state="1")

        request = item.entity_request_v2
        assert request.instance_id == COUNTER
        assert request.entity_state is None
        assert operations(item) == ["r1"]
        turn = (await turns.next()).orchestrator_request
        assert turn.new_events[-1].entity_operation_completed == (
            messages.EntityOperationCompletedEvent(request_id="r1", output="1")
        )


async def test_the_next_batch_comes_with_the_state_the_last_one_left() -> None:
    async with serving() as peer:
        turns = await calling(peer, call("r1"))
        entities = peer.work(**ENTITIES)
        await answer(peer, await entities.next(), success("1"), entity_state="1")

        await peer.decide(await turns.next(), call("r2"))

        assert (await entities.next()).entity_request_v2.entity_state == "1"


async def test_a_worker_that_asks_for_it_gets_operations_in_the_older_form() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"))

        older = peer.work(headers=[("x-durabletask-entity-requests", "v1")], **ENTITIES)

        item = await older.next()
        assert oneofs.which(item) == "entity_request"
        assert item.entity_request.operations == [
            messages.OperationRequest(operation="add", request_id="r1", input="1")
        ]


async def test_operations_without_a_result_come_again_before_all_others() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"), call("r2"), call("r3"))
        entities = peer.work(**ENTITIES)
        item = await entities.next()
        assert operations(item) == ["r1", "r2", "r3"]

        await answer(peer, item, success("1"))

        assert operations(await entities.next()) == ["r2", "r3"]


async def test_a_batch_of_which_nothing_was_run_goes_to_another_worker() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"))
        first, second = peer.work(**ENTITIES), peer.work(**ENTITIES)
        await second.opened()
        item = await first.next()

        await answer(peer, item)

        assert operations(await second.next()) == ["r1"]


async def test_an_entity_runs_one_batch_at_a_time() -> None:
    async with serving() as peer:
        turns = await calling(peer, call("r1"))
        entities = peer.work(**ENTITIES)
        item = await entities.next()
        await peer.raise_event("go")
        await peer.decide(await turns.next(), call("r2"), call("r3", "@counter@b"))

        other = await entities.next()
        await answer(peer, item, success("1"))

        # The call of the other entity was made after r2, which waited for r1.
        assert operations(other) == ["r3"]
        assert operations(await entities.next()) == ["r2"]


async def test_what_a_vanished_worker_held_goes_to_the_next_in_the_same_order() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"), call("r2"))
        vanishing = peer.work(**ENTITIES)
        await vanishing.next()

        vanishing.cancel()

        assert operations(await peer.work(**ENTITIES).next()) == ["r1", "r2"]


async def test_an_answer_after_the_batch_was_given_to_another_worker_changes_nothing() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"))
        vanishing = peer.work(**ENTITIES)
        late = await vanishing.next()
        vanishing.cancel()
        entities = peer.work(**ENTITIES)
        item = await entities.next()

        await answer(peer, late, success('"late"'), entity_state='"late"')

        await answer(peer, item, success("1"), entity_state="1")
        entity = await peer.call(
            methods.GET_ENTITY, messages.GetEntityRequest(instance_id=COUNTER, include_state=True)
        )
        assert entity.entity.serialized_state == "1"


async def test_an_abandoned_batch_goes_to_another_worker() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"))
        first, second = peer.work(**ENTITIES), peer.work(**ENTITIES)
        await second.opened()
        item = await first.next()

        token = item.completion_token
        abandon = messages.AbandonEntityTaskRequest(completion_token=token)
        await peer.call(methods.ABANDON_ENTITY_TASK, abandon)

        assert operations(await second.next()) == ["r1"]


async def test_a_result_without_a_token_counts_when_one_batch_is_out() -> None:
    async with serving() as peer:
        turns = await calling(peer, call("r1"))
        item = await peer.work(**ENTITIES).next()

        await answer(peer, item, success("1"), completion_token="")

        turn = (await turns.next()).orchestrator_request
        assert oneofs.which(turn.new_events[-1]) == "entity_operation_completed"


async def test_a_result_that_names_no_batch_is_refused_and_not_dropped() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"), call("r2", "@counter@b"))
        entities = peer.work(**ENTITIES)
        await entities.next()
        await entities.next()

        result = messages.EntityBatchResult(results=[success("1")])
        code, text = await peer.refusal(methods.COMPLETE_ENTITY_TASK, result)

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "completion token" in text


async def test_a_worker_takes_as_many_batches_as_it_said() -> None:
    async with serving() as peer:
        await calling(peer, call("r1"), call("r2", "@counter@b"))
        narrow = peer.work(max_concurrent_entity_work_items=1, **ENTITIES)
        item = await narrow.next()

        wide = peer.work(**ENTITIES)

        assert operations(item) == ["r1"]
        assert operations(await wide.next()) == ["r2"]


async def test_a_state_that_no_worker_can_receive_fails_the_calls() -> None:
    async with serving() as peer:
        turns = await calling(peer, call("r1"))
        entities = peer.work(max_message=100_000, **ENTITIES)
        large = '"' + 200_000 * "x" + '"'
        await answer(peer, await entities.next(), success("1"), entity_state=large)

        await peer.decide(await turns.next(), call("r2"))

        turn = (await turns.next()).orchestrator_request
        failed = turn.new_events[-1].entity_operation_failed
        assert failed.request_id == "r2"
        assert failed.failure_details.error_type == "WorkItemTooLarge"


@pytest.mark.parametrize("ending", ["completed", "terminated"])
async def test_the_lock_of_an_orchestration_that_ended_is_free_again(ending: str) -> None:
    request = messages.EntityLockRequestedEvent(critical_section_id="s1", lock_set=[COUNTER])
    message = messages.SendEntityMessageAction(entity_lock_requested=request)
    lock = messages.OrchestratorAction(id=1, send_entity_message=message)
    async with serving() as peer:
        turns = await calling(peer, lock)
        granted = await turns.next()
        assert oneofs.which(granted.orchestrator_request.new_events[-1]) == "entity_lock_granted"

        if ending == "completed":
            await peer.decide(granted, complete(2, "1"))
        else:
            await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        entity = await peer.call(methods.GET_ENTITY, messages.GetEntityRequest(instance_id=COUNTER))
        assert entity.exists
        assert entity.entity.locked_by is None
