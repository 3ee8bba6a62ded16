"""Rerun: a new instance goes on from an event of one that has ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.clock import ManualClock
from tests.builders.dapr import (
    DaprItems,
    DaprPeer,
    child,
    detached,
    kinds,
    scheduled,
    serving_dapr,
    timed,
)
from tests.builders.sidecar import complete, event

STATUS = messages.OrchestrationStatus


async def ended(peer: DaprPeer, worker: DaprItems) -> None:
    """Instance `a`, which called two activities one after the other."""
    await peer.start(input='"in"')
    await peer.decide(await worker.next(), scheduled(1, "first", input='"1"'))
    await peer.finish(await worker.next(), '"one"')
    await peer.decide(await worker.next(), scheduled(2, "second", input='"2"'))
    await peer.finish(await worker.next(), '"two"')
    await peer.decide(await worker.next(), complete(3, '"done"'))
    await peer.completed()


async def taken(worker: DaprItems, count: int) -> dict[str, Any]:
    """The next work items by kind, in whatever order they come."""
    items = [await worker.next() for _ in range(count)]
    return {
        "turn" if item.orchestrator_request else item.activity_request.name: item for item in items
    }


async def test_what_was_asked_for_at_the_event_is_done_again_and_nothing_before() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)

        new_id = await peer.rerun(2, new_instance_id="b")

        assert new_id == "b"
        items = await taken(worker, 2)
        assert items["second"].activity_request.input == '"2"'
        assert kinds(items["turn"].orchestrator_request.past_events) == [
            "orchestrator_started",
            "execution_started",
            "task_scheduled",
            "orchestrator_started",
            "task_completed",
            "task_scheduled",
        ]


async def test_the_new_instance_goes_on_to_an_end_of_its_own() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)
        await peer.rerun(2, new_instance_id="b")
        items = await taken(worker, 2)

        await peer.decide(items["turn"])
        await peer.finish(items["second"], '"again"')
        turn = await worker.next()
        await peer.decide(turn, complete(3, '"other"'))

        assert turn.orchestrator_request.new_events[1].task_completed.result == '"again"'
        state = await peer.completed("b")
        assert (state.output, state.input, state.name) == ('"other"', '"in"', "order")
        assert (await peer.state("a")).output == '"done"'


async def test_the_copy_knows_itself_and_where_it_is_from() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)

        await peer.rerun(2, new_instance_id="b")

        history = await peer.history("b")
        identity = history[1].execution_started.orchestration_instance
        assert identity.instance_id == "b"
        assert identity.execution_id == (await peer.state("b")).execution_id
        assert identity.execution_id != (await peer.state("a")).execution_id
        assert history[-1].task_scheduled.rerun_parent_instance_info.instance_id == "a"
        assert history[2].task_scheduled.rerun_parent_instance_info is None


async def test_a_source_is_left_as_it_is() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)
        before = await peer.history()

        await peer.rerun(1, new_instance_id="b")

        assert await peer.history() == before


async def test_without_an_id_there_is_a_new_one() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)

        new_id = await peer.rerun(1)

        assert new_id != "a"
        assert await peer.state(new_id) is not None


@pytest.mark.parametrize("given", ['"other"', None], ids=["another", "none"])
async def test_another_input_takes_the_place_of_the_first_even_none(given: str | None) -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)

        await peer.rerun(2, new_instance_id="b", input=given, overwrite_input=True)

        assert (await taken(worker, 2))["second"].activity_request.input == given
        assert (await peer.history("b"))[-1].task_scheduled.input == given


async def test_all_that_was_under_way_then_is_done_again() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        both = (scheduled(1, "first"), scheduled(2, "second"), scheduled(3, "third"))
        await peer.decide(await worker.next(), *both)
        for item in (await taken(worker, 3)).values():
            await peer.finish(item)
            await peer.decide(await worker.next())
        await peer.raise_event("end")
        await peer.decide(await worker.next(), complete(4))
        await peer.completed()

        await peer.rerun(2, new_instance_id="b")

        # The third was asked for later, and the orchestrator will ask for it again.
        assert set(await taken(worker, 3)) == {"first", "second", "turn"}


async def test_a_child_is_started_again_under_an_id_of_its_own() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), child(1, instance_id="c", input='"x"'))
        await peer.decide(await worker.next(), complete(1, '"first"'))
        await peer.decide(await worker.next(), complete(2))
        await peer.completed()

        await peer.rerun(1, new_instance_id="b")

        assert (await peer.state("b:0001")).input == '"x"'
        assert (await peer.state("c")).output == '"first"'
        created = (await peer.history("b"))[-1].sub_orchestration_instance_created
        assert created.instance_id == "b:0001"


async def test_a_child_may_be_given_an_id() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), child(1, instance_id="c"))
        await peer.decide(await worker.next(), complete(1))
        await peer.decide(await worker.next(), complete(2))
        await peer.completed()

        await peer.rerun(1, new_instance_id="b", new_sub_orchestration_instance_id="d")

        assert (await peer.state("d")).parent_instance_id == "b"


async def test_a_timer_is_set_again_for_as_long_as_before() -> None:
    clock = ManualClock()
    async with serving_dapr(clock=clock) as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()
        await peer.decide(item, timed(1, clock.now() + timedelta(hours=1)))
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))
        clock.advance(timedelta(days=1))

        await peer.rerun(1, new_instance_id="b")

        created = (await peer.history("b"))[-1].timer_created
        assert created.fire_at - clock.now() == timedelta(hours=1)
        await peer.decide(await worker.next())
        clock.advance(timedelta(hours=1))
        fired = (await worker.next()).orchestrator_request.new_events[1].timer_fired
        assert fired.fire_at == created.fire_at


async def refused(peer: DaprPeer, event_id: int = 1, **fields: Any) -> tuple[grpc.StatusCode, str]:
    fields.setdefault("source_instance_id", "a")
    request = messages.RerunOrchestrationFromEventRequest(event_id=event_id, **fields)
    return await peer.refusal(methods.RERUN_ORCHESTRATION_FROM_EVENT, request)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"source_instance_id": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ({"event_id": 99}, grpc.StatusCode.NOT_FOUND),
        ({"event_id": 3}, grpc.StatusCode.NOT_FOUND),
        ({"new_instance_id": "a"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"new_instance_id": "@counter@b"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"new_sub_orchestration_instance_id": "c"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"source_instance_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["no source", "no event", "its end", "same id", "entity", "no child", "no id"],
)
async def test_what_cannot_be_rerun_is_refused(fields: Any, code: grpc.StatusCode) -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)

        assert (await refused(peer, **fields))[0] is code


async def test_what_lives_is_not_rerun() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), scheduled(1))

        code, text = await refused(peer)

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "has ended" in text


async def test_a_child_is_not_rerun_by_itself() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), child(1, instance_id="c"))
        await peer.decide(await worker.next(), complete(1))
        await peer.completed("c")

        code, text = await refused(peer, source_instance_id="c")

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "parent" in text


async def test_an_id_that_is_taken_is_refused() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await ended(peer, worker)
        await peer.start(instance_id="b")

        assert (await refused(peer, new_instance_id="b"))[0] is grpc.StatusCode.ALREADY_EXISTS


async def test_neither_a_timers_input_nor_a_detached_start_can_be_done_again() -> None:
    clock = ManualClock()
    async with serving_dapr(clock=clock) as peer:
        worker = await peer.worker()
        await peer.start()
        late = timed(1, clock.now() + timedelta(hours=1))
        await peer.decide(await worker.next(), late, detached(2, "d"), event("go", id=3))
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        for event_id, code in (
            (1, grpc.StatusCode.INVALID_ARGUMENT),
            (2, grpc.StatusCode.INVALID_ARGUMENT),
            (3, grpc.StatusCode.NOT_FOUND),
        ):
            assert (await refused(peer, event_id, overwrite_input=True))[0] is code


async def test_a_rerun_outlives_the_sidecar(tmp_path: Any) -> None:
    path = tmp_path / "tasks.db"
    async with serving_dapr(path) as peer:
        worker = await peer.worker()
        await ended(peer, worker)
        await peer.rerun(2, new_instance_id="b")

    async with serving_dapr(path) as peer:
        items = await taken(await peer.worker(), 2)

        assert items["second"].activity_request.input == '"2"'
        assert len(items["turn"].orchestrator_request.past_events) == 6
