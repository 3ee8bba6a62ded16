"""Which dialect a peer of the sidecar is served in, and what never reaches it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durabletask.protocol import codec, messages, methods, oneofs, wire
from durabletask.protocol.dialects import DAPR, TASKHUB
from durabletask.sidecar.clock import ManualClock
from tests.builders.dapr import STATEFUL, routed, scheduled, serving_dapr, speaking_dapr
from tests.builders.sidecar import complete, schedule, serving

UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
ROUTED = {"source_app_id": "checkout", "target_app_id": "orders"}
VERSION = messages.OrchestrationVersion(name="v2", patches=["faster"])


def numbers(raw: bytes) -> set[int]:
    """The numbers of the fields of a message."""
    found = set()
    pos = 0
    while pos < len(raw):
        tag, pos = wire.tag_at(raw, pos)
        pos = wire.skip(raw, tag, pos, len(raw))
        found.add(tag >> 3)
    return found


async def test_a_worker_that_sends_daprs_capabilities_is_served_in_its_dialect() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(await worker.next(), scheduled(1, task_execution_id=UUID))

        assert (await worker.next()).activity_request.task_execution_id == UUID


async def test_an_answer_is_read_as_its_worker_wrote_it() -> None:
    """In Microsoft's dialect the router would be a rewind, and the version a trace context."""
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(
            await worker.next(), routed(complete(1, '"ok"'), **ROUTED), version=VERSION
        )

        assert (await peer.completed()).output == '"ok"'


async def test_daprs_own_method_for_answers_is_served() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()

        answer = messages.OrchestratorResponse(
            instance_id="a",
            actions=[routed(complete(1, '"ok"'), **ROUTED)],
            completion_token=item.completion_token,
        )
        await peer.call(methods.COMPLETE_WORKFLOW_TASK, answer)

        assert (await peer.completed()).output == '"ok"'


async def test_a_worker_that_sends_nothing_is_known_by_its_first_answer() -> None:
    async with serving_dapr() as peer:
        worker = peer.work()
        await peer.start()

        await peer.decide(await worker.next(), scheduled(1, task_execution_id=UUID))

        assert (await worker.next()).activity_request.task_execution_id == UUID


async def test_a_worker_that_sends_nothing_and_no_token_is_known_all_the_same() -> None:
    async with serving_dapr() as peer:
        worker = peer.work()
        await peer.start()
        await worker.next()

        action = scheduled(1, task_execution_id=UUID)
        answer = messages.OrchestratorResponse(instance_id="a", actions=[action])
        await peer.call(methods.COMPLETE_ORCHESTRATOR_TASK, answer)

        assert (await worker.next()).activity_request.task_execution_id == UUID


async def test_a_worker_of_microsofts_that_sends_nothing_keeps_its_dialect() -> None:
    async with serving() as peer:
        worker = peer.work(max_concurrent_orchestration_work_items=0)
        await peer.start()

        task = messages.ScheduleTaskAction(name="greet", tags={"colour": "red"})
        action = messages.OrchestratorAction(id=1, schedule_task=task)
        await peer.decide(await worker.next(), action)

        assert (await worker.next()).activity_request.tags == {"colour": "red"}


async def test_who_shows_nothing_is_taken_for_what_the_option_says() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        worker = peer.work()
        await peer.start()
        await peer.decide(await worker.next(), complete(1, '"1"'))
        await peer.completed()

        # Microsoft's rule is that the id is taken.
        await peer.start()

        assert (await worker.next()).orchestrator_request.instance_id == "a"


async def test_an_answer_that_comes_after_its_lease_is_accepted_in_any_dialect() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()
        await peer.decide(item, complete(1, '"ok"'))

        await peer.decide(item, routed(complete(1, '"late"'), **ROUTED), version=VERSION)

        assert (await peer.completed()).output == '"ok"'


async def test_both_kinds_of_worker_are_served_at_once_on_their_hubs() -> None:
    async with serving() as peer:
        official, daprs = peer.of_hub("official"), speaking_dapr(peer, "dapr")
        worker, daprs_worker = official.work(), await daprs.worker()
        await official.start()
        await daprs.start()

        traced = messages.OrchestrationTraceContext(span_id="00f067aa0ba902b7")
        await official.decide(
            await worker.next(), complete(1, '"1"'), orchestration_trace_context=traced
        )
        await daprs.decide(
            await daprs_worker.next(), routed(complete(1, '"2"'), **ROUTED), version=VERSION
        )

        assert (await official.completed()).output == '"1"'
        assert (await daprs.completed()).output == '"2"'


async def test_a_worker_of_daprs_is_never_pinged() -> None:
    clock = ManualClock()
    async with serving_dapr(clock=clock) as peer:
        worker = await peer.worker()

        clock.advance(timedelta(hours=1))

        await peer.start()
        assert oneofs.which(await worker.next_of_any_kind()) == "orchestrator_request"


async def test_a_worker_of_daprs_is_never_sent_what_an_entity_is_to_do() -> None:
    async with serving() as peer:
        daprs = speaking_dapr(peer)
        worker = await daprs.worker()
        signal = messages.SignalEntityRequest(instance_id="@counter@a", name="add")

        await peer.call(methods.SIGNAL_ENTITY, signal)

        await daprs.start()
        assert oneofs.which(await worker.next()) == "orchestrator_request"
        assert oneofs.which(await peer.work().next()) == "entity_request_v2"


async def test_a_turn_for_dapr_holds_nothing_of_microsofts() -> None:
    """Numbers that mean something else there would not be ignored, but misread."""
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start(tags={"colour": "red"})

        await worker.next()

        start, stop = wire.span_at(worker.raw, 1, len(worker.raw))
        request = worker.raw[start:stop]
        # Instance, execution and the new events; of the others 7 is Dapr's router.
        assert numbers(request) == {1, 2, 4}


async def test_microsofts_workers_never_see_a_router() -> None:
    """It has the number of ExecutionRewound there, and breaks their stream."""
    async with serving() as peer:
        daprs = speaking_dapr(peer)
        request = messages.CreateInstanceRequest(
            name="order", instance_id="a", router=messages.TaskRouter(**ROUTED)
        )
        await daprs.call(methods.START_INSTANCE, request)
        worker = peer.work()

        events = (await worker.next()).orchestrator_request.new_events

        assert [oneofs.which(event) for event in events] == [
            "orchestrator_started",
            "execution_started",
        ]
        assert all(event.router is None for event in events)


async def test_a_worker_of_daprs_is_told_the_router() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        router = messages.TaskRouter(**ROUTED)
        request = messages.CreateInstanceRequest(name="order", instance_id="a", router=router)
        await peer.call(methods.START_INSTANCE, request)

        item = await worker.next()
        await peer.decide(item, routed(scheduled(1), **ROUTED), complete(2))

        assert item.orchestrator_request.new_events[1].router == router
        routers = [event.router for event in await peer.history()]
        assert routers == [None, router, router, None]


@pytest.mark.parametrize("router", [None, {"source_app_id": ""}], ids=["none", "empty"])
async def test_a_router_that_names_no_app_is_not_recorded(router: Any) -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        action = scheduled(1) if router is None else routed(scheduled(1), **router)

        await peer.decide(await worker.next(), action)
        await worker.next()

        assert all(event.router is None for event in await peer.history())


async def test_what_was_asked_of_microsofts_worker_is_nothing_to_daprs_and_back() -> None:
    """A history has one form in the store, and each dialect's numbers on the wire."""
    async with serving() as peer:
        worker = peer.work()
        await peer.start()
        task = messages.ScheduleTaskAction(name="greet", tags={"colour": "red"})
        await peer.decide(
            await worker.next(), messages.OrchestratorAction(id=1, schedule_task=task)
        )
        activity = await worker.next()
        worker.cancel()
        daprs = speaking_dapr(peer)
        daprs_worker = daprs.work(**STATEFUL)
        again = await daprs_worker.next()

        await daprs.finish(again, '"hello"')

        assert activity.activity_request.tags == {"colour": "red"}
        scheduled_event = (await daprs_worker.next()).orchestrator_request.past_events[2]
        assert scheduled_event.task_scheduled.task_execution_id == ""
        assert b"colour" not in daprs_worker.raw
        chunks = await peer.stream(
            methods.STREAM_INSTANCE_HISTORY, messages.StreamInstanceHistoryRequest(instance_id="a")
        )
        assert chunks[0].events[2].task_scheduled.tags == {"colour": "red"}


async def test_both_vendors_clients_are_answered_by_the_same_method() -> None:
    async with serving() as peer:
        await peer.start()
        request = messages.GetInstanceRequest(instance_id="a", get_inputs_and_outputs=True)

        raw = await peer.send(methods.GET_INSTANCE, codec.encode(request, DAPR))

        for dialect in (TASKHUB, DAPR):
            state = codec.decode(messages.GetInstanceResponse, raw, dialect).orchestration_state
            assert state is not None
            assert state.name == "order"


async def test_an_unknown_action_of_daprs_fails_the_instance_once() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()

        await peer.decide(await worker.next(), messages.OrchestratorAction(id=1))

        assert (await peer.completed()).failure_details.error_type == "UnsupportedAction"


async def test_a_plain_task_of_either_is_not_told_apart() -> None:
    async with serving() as peer:
        worker = peer.work()
        await peer.start()

        await peer.decide(await worker.next(), schedule(1))

        assert (await worker.next()).activity_request.name == "greet"
