"""The virtual clock: when time passes, and when it stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durabletask.client import TaskHubGrpcClient
from durabletask.protocol import messages, methods
from durabletask.task import when_any
from durabletask.testing import VirtualTimeHub
from durabletask.worker import TaskHubGrpcWorker
from tests.builders.sidecar import Peer, complete, connected, timer

START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
# Against hangs only.
PATIENCE = 20


def sleeps(ctx: Any, days: int) -> Any:
    yield ctx.create_timer(timedelta(days=days))
    return ctx.current_utc_datetime.isoformat()


def reminds_daily(ctx: Any, days: int) -> Any:
    for _ in range(days):
        yield ctx.create_timer(DAY)


def waits_for_approval(ctx: Any, _: Any) -> Any:
    approval = ctx.wait_for_external_event("approval")
    winner = yield when_any([approval, ctx.create_timer(30 * DAY)])
    return "approved" if winner is approval else "too late"


@contextmanager
def hosting(hub: VirtualTimeHub, *orchestrators: Any, activity: Any = None) -> Iterator[Any]:
    """A worker that hosts these, and a client."""
    with (
        TaskHubGrpcWorker(host_address=hub.address) as worker,
        TaskHubGrpcClient(host_address=hub.address) as client,
    ):
        for orchestrator in orchestrators:
            worker.add_orchestrator(orchestrator)
        if activity is not None:
            worker.add_activity(activity)
        worker.start()
        yield client


async def begin_to_wait(peer: Peer, id: str = "a") -> Any:
    request = messages.GetInstanceRequest(instance_id=id)
    return await peer.begin(methods.WAIT_FOR_INSTANCE_COMPLETION, request)


async def give_back(peer: Peer, item: Any) -> None:
    request = messages.AbandonOrchestrationTaskRequest(completion_token=item.completion_token)
    await peer.call(methods.ABANDON_ORCHESTRATION_TASK, request)


def completed(client: TaskHubGrpcClient, id: str) -> Any:
    return client.wait_for_orchestration_completion(id, timeout=PATIENCE)


def test_a_timer_of_thirty_days_fires_thirty_days_later_without_a_wait() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, sleeps) as client:
        state = completed(client, client.schedule_new_orchestration(sleeps, input=30))

        assert state.serialized_output.startswith('"2030-01-31T00:00:00')
        assert hub.now == START + 30 * DAY


def test_timers_one_after_the_other_add_up() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, reminds_daily) as client:
        completed(client, client.schedule_new_orchestration(reminds_daily, input=365))

        assert hub.now == START + 365 * DAY


def test_each_of_many_orchestrations_wakes_at_its_own_time() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, sleeps) as client:
        ids = {days: client.schedule_new_orchestration(sleeps, input=days) for days in (20, 3, 11)}
        woken = {days: completed(client, id).serialized_output for days, id in ids.items()}

        assert woken == {
            days: f'"{(START + days * DAY).replace(tzinfo=None).isoformat()}"' for days in ids
        }


def test_time_stands_still_while_nobody_waits() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, waits_for_approval) as client:
        id = client.schedule_new_orchestration(waits_for_approval)
        hub.wait_idle()
        assert hub.now == START

        client.raise_orchestration_event(id, "approval")
        state = completed(client, id)

        assert state.serialized_output == '"approved"'
        assert hub.now == START


def test_time_stands_still_again_when_the_wait_is_over() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, sleeps) as client:
        completed(client, client.schedule_new_orchestration(sleeps, input=1))

        client.schedule_new_orchestration(sleeps, input=1)
        hub.wait_idle()

        assert hub.now == START + DAY


def test_time_passes_for_a_client_that_begins_to_wait_when_the_hub_is_idle() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, sleeps) as client:
        id = client.schedule_new_orchestration(sleeps, input=1)
        hub.wait_idle()

        assert completed(client, id).serialized_output


def test_an_event_that_is_never_raised_times_out() -> None:
    with VirtualTimeHub(start=START) as hub, hosting(hub, waits_for_approval) as client:
        state = completed(client, client.schedule_new_orchestration(waits_for_approval))

        assert state.serialized_output == '"too late"'
        assert hub.now == START + 30 * DAY


def test_time_stands_still_while_an_activity_runs() -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(_ctx: Any, _: Any) -> str:
        has_begun.set()
        may_end.wait(PATIENCE)
        return "done"

    def races(ctx: Any, _: Any) -> Any:
        work = ctx.call_activity(slow)
        winner = yield when_any([work, ctx.create_timer(HOUR)])
        return "work" if winner is work else "timer"

    with VirtualTimeHub(start=START) as hub, hosting(hub, races, activity=slow) as client:
        id = client.schedule_new_orchestration(races)
        outcome: list[Any] = []
        waiting = threading.Thread(target=lambda: outcome.append(completed(client, id)))
        waiting.start()
        has_begun.wait(PATIENCE)
        with pytest.raises(TimeoutError, match="not idle"):
            hub.wait_idle(timeout=0.01)

        assert hub.now == START
        may_end.set()
        waiting.join()
        assert outcome[0].serialized_output == '"work"'


def test_time_can_be_moved_while_an_activity_runs() -> None:
    may_end = threading.Event()

    def slow(_ctx: Any, _: Any) -> None:
        may_end.wait(PATIENCE)

    def races(ctx: Any, _: Any) -> Any:
        work = ctx.call_activity(slow)
        ctx.set_custom_status("racing")
        winner = yield when_any([work, ctx.create_timer(HOUR)])
        return "work" if winner is work else "timer"

    with VirtualTimeHub(start=START) as hub, hosting(hub, races, activity=slow) as client:
        id = client.schedule_new_orchestration(races)
        # The first turn is committed by then, and with it the timer.
        client.wait_for_orchestration_start(id, timeout=PATIENCE)
        hub.advance(HOUR)

        assert completed(client, id).serialized_output == '"timer"'
        may_end.set()


async def test_time_stands_still_while_no_worker_takes_the_work() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            await peer.start(instance_id="sleeper")
            items = peer.work()
            await peer.decide(await items.next(), timer(1, START + DAY))
            items.cancel()
            await peer.start(instance_id="stranded")
            waiting = await begin_to_wait(peer, "sleeper")

            assert hub.now == START

            items = peer.work()
            await peer.decide(await items.next(), complete(1))
            await peer.decide(await items.next(), complete(2))
            await waiting
            assert hub.now == START + DAY


async def test_time_passes_while_a_worker_hands_its_work_back_again_and_again() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            await peer.start()
            items = peer.work()
            waiting = await begin_to_wait(peer)
            for _ in range(4):
                await give_back(peer, await items.next())
            await peer.decide(await items.next(), complete(1))
            await waiting

            # The first time it comes back at once, then after 1, 2 and 4 seconds.
            assert hub.now == START + timedelta(seconds=7)


async def test_time_passes_again_when_the_work_that_stopped_it_is_suspended() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            items = peer.work()
            await peer.start(instance_id="sleeper")
            await peer.decide(await items.next(), timer(1, START + DAY))
            await peer.start(instance_id="held")
            for _ in range(2):
                await give_back(peer, await items.next())
            suspend = messages.SuspendRequest(instance_id="held")
            await peer.call(methods.SUSPEND_INSTANCE, suspend)

            waiting = await begin_to_wait(peer, "sleeper")
            await peer.decide(await items.next(), complete(2))
            await waiting

            assert hub.now == START + DAY


async def test_a_delayed_signal_arrives_at_its_time() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            signal = messages.SignalEntityRequest(
                instance_id="@counter@a", name="add", scheduled_time=START + DAY
            )
            await peer.call(methods.SIGNAL_ENTITY, signal)

            assert hub.skip_to_next_due() == START + DAY

            batch = (await peer.work().next()).entity_request_v2
            assert batch.instance_id == "@counter@a"


async def test_work_that_is_wiped_no_longer_stops_the_time() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            await peer.start(instance_id="stranded")
            idle = asyncio.create_task(asyncio.to_thread(hub.wait_idle))
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(hub.wait_idle, timeout=0.01)

            request = messages.CreateTaskHubRequest(recreate_if_exists=True)
            await peer.call(methods.CREATE_TASK_HUB, request)

            await idle


async def test_a_scheduled_start_happens_at_its_time() -> None:
    with VirtualTimeHub(start=START) as hub:
        async with connected(hub.address) as peer:
            await peer.start(scheduled_start_timestamp=START + 7 * DAY)
            waiting = await begin_to_wait(peer)
            await peer.decide(await peer.work().next(), complete(1))
            await waiting

            assert hub.now == START + 7 * DAY


def test_skip_to_next_due_stops_at_each_time_that_something_is_due() -> None:
    with VirtualTimeHub(start=START, auto_skip=False) as hub, hosting(hub, sleeps) as client:
        for days in (2, 1):
            client.schedule_new_orchestration(sleeps, input=days, instance_id=str(days))

        stops = [hub.skip_to_next_due() for _ in range(3)]

        assert stops == [START + DAY, START + 2 * DAY, None]
        hub.wait_idle()
        assert completed(client, "2").serialized_output


def test_without_auto_skip_a_client_waits_until_the_time_is_moved() -> None:
    with VirtualTimeHub(start=START, auto_skip=False) as hub, hosting(hub, sleeps) as client:
        id = client.schedule_new_orchestration(sleeps, input=1)
        hub.wait_idle()
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_completion(id, timeout=0.05)

        hub.advance(DAY)

        assert completed(client, id).serialized_output


def test_a_hub_that_never_becomes_idle_is_reported() -> None:
    with VirtualTimeHub() as hub, TaskHubGrpcClient(host_address=hub.address) as client:
        client.schedule_new_orchestration("nobody hosts this")

        with pytest.raises(TimeoutError, match="waits for a worker"):
            hub.skip_to_next_due(timeout=0.01)


def test_outside_of_its_block_it_says_that_it_is_not_running() -> None:
    with VirtualTimeHub() as hub:
        pass

    for asked in (lambda: hub.address, hub.wait_idle, hub.skip_to_next_due):
        with pytest.raises(RuntimeError, match="is not running"):
            asked()
