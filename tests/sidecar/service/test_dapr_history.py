"""Stateful history: a worker of Dapr's that keeps histories is sent what it has not got."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.encoded_events import repeated_field
from durabletask.sidecar.work import dapr_histories
from durabletask.sidecar.work.dapr_histories import DaprHistories
from tests.builders.dapr import DaprItems, DaprPeer, child, kinds, scheduled, serving_dapr
from tests.builders.sidecar import complete

STATUS = messages.OrchestrationStatus


async def one_step(peer: DaprPeer, worker: DaprItems, item: Any, number: int) -> Any:
    """Let the orchestrator call an activity; its next turn."""
    await peer.decide(item, scheduled(number))
    await peer.finish(await worker.next(), str(number))
    return await worker.next()


async def test_only_what_the_worker_has_not_got_is_sent() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        first = await one_step(peer, worker, await worker.next(), 1)

        second = await one_step(peer, worker, first, 2)

        assert first.orchestrator_request.cached_history is None
        request = second.orchestrator_request
        assert request.cached_history == messages.CachedHistory(event_count=3)
        # What was new to the turn before, and what that turn asked for.
        assert kinds(request.past_events) == [
            "orchestrator_started",
            "task_completed",
            "task_scheduled",
        ]
        assert kinds(request.new_events) == ["orchestrator_started", "task_completed"]


async def test_the_pieces_are_the_whole_history() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()
        kept: list[Any] = []
        for number in range(1, 8):
            item = await one_step(peer, worker, item, number)
            request = item.orchestrator_request
            known = request.cached_history.event_count if request.cached_history else 0
            assert known == len(kept)
            kept += request.past_events

        assert kept == await peer.history()


async def test_a_turn_of_a_long_history_is_no_larger_than_one_of_a_short() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await worker.next()
        sizes = []
        for number in range(1, 101):
            item = await one_step(peer, worker, item, number)
            sizes.append(len(worker.raw))

        assert max(sizes[-20:]) <= 1.2 * max(sizes[3:20])


async def test_a_worker_that_comes_anew_is_sent_all() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await one_step(peer, worker, await worker.next(), 1)
        await one_step(peer, worker, item, 2)
        worker.cancel()

        request = (await (await peer.worker()).next()).orchestrator_request

        assert request.cached_history is None
        assert request.past_events == await peer.history()


async def test_a_worker_that_keeps_nothing_is_sent_all() -> None:
    async with serving_dapr(dialect="dapr") as peer:
        worker = peer.work()
        await peer.start()
        item = await one_step(peer, worker, await worker.next(), 1)

        request = (await one_step(peer, worker, item, 2)).orchestrator_request

        assert request.cached_history is None
        assert request.past_events == await peer.history()


async def test_a_new_generation_is_sent_whole() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        item = await one_step(peer, worker, await worker.next(), 1)
        item = await one_step(peer, worker, item, 2)
        again = complete(3, "1", orchestration_status=STATUS.CONTINUED_AS_NEW)
        await peer.decide(item, again)

        request = (await worker.next()).orchestrator_request

        assert request.cached_history is None
        assert request.past_events == []
        assert kinds(request.new_events) == ["orchestrator_started", "execution_started"]


async def test_another_instance_of_that_id_is_sent_whole() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start(execution_id="same")
        item = await one_step(peer, worker, await worker.next(), 1)
        await one_step(peer, worker, item, 2)
        await peer.purge(force=True)

        await peer.start(execution_id="same")

        item = await worker.next()
        item = await one_step(peer, worker, item, 1)
        assert item.orchestrator_request.cached_history is None


async def test_history_can_be_had_for_what_a_worker_has_lost() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start(input='"x"')
        await peer.decide(await worker.next(), scheduled(1, input='"y"'))
        await worker.next()

        history = await peer.history()

        assert kinds(history) == ["orchestrator_started", "execution_started", "task_scheduled"]
        assert history[2].task_scheduled.input == '"y"'


async def test_a_missing_instance_has_no_history() -> None:
    async with serving_dapr() as peer:
        request = messages.GetInstanceHistoryRequest(instance_id="nobody")

        code, text = await peer.refusal(methods.GET_INSTANCE_HISTORY, request)

        assert code is grpc.StatusCode.NOT_FOUND
        assert "no such instance exists" in text


def stored(*names: str) -> bytes:
    from durabletask.protocol import codec, events

    made = (events.event_raised(name) for name in names)
    return repeated_field(codec.encode(event) for event in made)


@pytest.mark.parametrize("most_bytes", [1 << 20, 0], ids=["kept", "never kept"])
def test_a_history_that_grew_is_transcribed_as_if_anew(most_bytes: int) -> None:
    kept = DaprHistories(most_bytes)
    key = Key("hub", "a")
    kept.of(key, stored("one"))

    found = kept.of(key, stored("one", "two"))

    assert found == dapr_histories.events(stored("one", "two"))


def test_a_history_that_is_another_ones_is_not_continued() -> None:
    kept = DaprHistories()
    key = Key("hub", "a")
    kept.of(key, stored("one", "two"))

    found = kept.of(key, stored("other", "three", "four"))

    assert found == dapr_histories.events(stored("other", "three", "four"))


async def test_a_child_that_was_done_is_in_the_history() -> None:
    async with serving_dapr() as peer:
        worker = await peer.worker()
        await peer.start()
        await peer.decide(await worker.next(), child(1))
        await peer.decide(await worker.next(), complete(1, '"sent"'))

        request = (await worker.next()).orchestrator_request

        assert kinds(request.past_events)[-1] == "sub_orchestration_instance_created"
        assert request.new_events[1].sub_orchestration_instance_completed.result == '"sent"'
