"""How much of its history a turn comes with: what its worker cannot know, and no more."""

from __future__ import annotations

from typing import Any

from durabletask.protocol import messages, methods, oneofs
from tests.builders.sidecar import complete, schedule, serving

KEEPS_SESSIONS = [("x-durabletask-extended-sessions", "1")]
FETCHES_HISTORY = [messages.WorkerCapability.HISTORY_STREAMING]
LARGE = '"' + 700_000 * "x" + '"'


def kinds(events: Any) -> list[str]:
    return [oneofs.which(event) for event in events]


async def test_a_worker_that_keeps_the_session_is_sent_what_is_new() -> None:
    async with serving() as peer:
        worker = peer.work(headers=KEEPS_SESSIONS)
        await peer.start()
        first = await worker.next()
        assert first.orchestrator_request.properties == {}
        await peer.decide(first, schedule(1))
        await peer.finish(await worker.next(), "1")

        request = (await worker.next()).orchestrator_request

        assert request.past_events == []
        assert kinds(request.new_events) == ["orchestrator_started", "task_completed"]
        assert request.properties["IncludeState"] == "false"
        # OrchestratorStarted, ExecutionStarted, TaskScheduled
        assert request.properties["HistoryLength"] == "3"


async def test_a_worker_that_has_lost_the_session_is_sent_all() -> None:
    async with serving() as peer:
        worker = peer.work(headers=KEEPS_SESSIONS)
        await peer.start()
        await peer.decide(await worker.next(), schedule(1))
        await peer.finish(await worker.next(), "1")
        item = await worker.next()

        await peer.decide(item, requires_history=True)

        again = (await worker.next()).orchestrator_request
        assert len(again.past_events) == 3
        assert again.new_events[-1] == item.orchestrator_request.new_events[-1]
        assert again.properties == {}


async def test_another_worker_is_sent_all() -> None:
    async with serving() as peer:
        first = peer.work(headers=KEEPS_SESSIONS)
        await peer.start()
        await peer.decide(await first.next(), schedule(1))
        await peer.finish(await first.next(), "1")
        await first.next()

        first.cancel()

        request = (await peer.work(headers=KEEPS_SESSIONS).next()).orchestrator_request
        assert len(request.past_events) == 3


async def test_a_new_generation_comes_whole() -> None:
    async with serving() as peer:
        worker = peer.work(headers=KEEPS_SESSIONS)
        await peer.start()
        await peer.decide(
            await worker.next(),
            complete(1, "2", orchestration_status=messages.OrchestrationStatus.CONTINUED_AS_NEW),
        )

        request = (await worker.next()).orchestrator_request

        assert kinds(request.new_events) == ["orchestrator_started", "execution_started"]
        assert request.properties == {}


async def test_a_worker_that_can_fetch_a_long_history_is_told_to() -> None:
    async with serving() as peer:
        worker = peer.work(capabilities=FETCHES_HISTORY)
        await peer.start(input=LARGE)
        await peer.decide(await worker.next(), schedule(1, input=LARGE))
        await peer.finish(await worker.next(), "1")

        request = (await worker.next()).orchestrator_request
        chunks = await peer.stream(
            methods.STREAM_INSTANCE_HISTORY,
            messages.StreamInstanceHistoryRequest(
                instance_id="a",
                execution_id=request.execution_id,
                for_work_item_processing=True,
            ),
        )

        assert request.requires_history_streaming
        assert request.past_events == []
        fetched = [event for chunk in chunks for event in chunk.events]
        assert kinds(fetched) == ["orchestrator_started", "execution_started", "task_scheduled"]


async def test_a_short_history_comes_with_the_turn_whoever_asks() -> None:
    async with serving() as peer:
        worker = peer.work(capabilities=FETCHES_HISTORY)
        await peer.start()
        await peer.decide(await worker.next(), schedule(1))
        await peer.finish(await worker.next(), "1")

        request = (await worker.next()).orchestrator_request

        assert not request.requires_history_streaming
        assert len(request.past_events) == 3


async def test_a_session_is_not_that_of_another_instance_with_the_same_ids() -> None:
    """Callers may choose the execution id, and choose it twice."""
    async with serving() as peer:
        first = peer.work(headers=KEEPS_SESSIONS)
        await peer.start(execution_id="E")
        await peer.decide(await first.next())
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))
        policy = messages.OrchestrationIdReusePolicy(
            replaceable_status=[messages.OrchestrationStatus.TERMINATED]
        )
        second = peer.work(headers=KEEPS_SESSIONS)
        await second.opened()
        await peer.start(execution_id="E", input='"new"', orchestration_id_reuse_policy=policy)
        turn = await first.next()
        await peer.decide(turn, schedule(1))
        await peer.finish(await first.next(), "1")

        request = (await first.next()).orchestrator_request

        # What it is taken to know is of the new instance: three events, and not two.
        assert turn.orchestrator_request.properties == {}
        assert request.properties.get("HistoryLength", "3") == "3"
