"""The host on a store that fails: what is refused then may simply be tried again."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import RaiseEvent, StartInstance, Terminate
from durabletask.sidecar.errors import CommitFailedError, ShuttingDownError
from durabletask.sidecar.host import Host
from durabletask.sidecar.store import Change, EntityChange, Key, StoreError
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.work.streams import Filter, Subscription, WorkStream
from tests.builders.sidecar import complete, schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.sidecar.engine.state import Instance


class FailingStore(MemoryStore):
    """Fails as long as it is told to, or as often."""

    fails = False
    failures = 0

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        if self.fails or self.failures:
            self.failures = max(0, self.failures - 1)
            raise StoreError("disk full")
        super().commit(changes)

    def history(self, key: Key) -> bytes:
        if self.fails:
            raise StoreError("unreadable")
        return super().history(key)


class CountingCommitter(Committer):
    """Counts how often an instance was looked up, as it is for each work item of it."""

    lookups = 0

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        self.lookups += 1
        return super().instance(hub, instance_id)


class HostFixture:
    def __init__(self) -> None:
        self.store = FailingStore()
        self.committer = CountingCommitter(self.store)
        self.clock = ManualClock()
        numbers = itertools.count(1)
        self.host = Host(self.committer, self.clock, lambda: f"id{next(numbers)}")
        self.host.start()

    async def start(self) -> None:
        await self.host.execute("default", "a", StartInstance("order"))

    def worker(self, **subscription: Any) -> WorkStream:
        return self.host.dispatcher.open(Subscription("default", **subscription))


async def taken(stream: WorkStream) -> messages.WorkItem:
    (raw,) = await stream.next_batch()
    return codec.decode(messages.WorkItem, raw, dialects.TASKHUB)


NOTHING = Filter({})


def answer(item: messages.WorkItem, *actions: Any) -> messages.OrchestratorResponse:
    return messages.OrchestratorResponse(
        instance_id="a", actions=list(actions), completion_token=item.completion_token
    )


async def test_a_turn_that_could_not_be_stored_can_be_completed_again() -> None:
    fixture = HostFixture()
    await fixture.start()
    item = await taken(fixture.worker())
    fixture.store.fails = True

    with pytest.raises(CommitFailedError, match="disk full"):
        await fixture.host.completions.complete_turn("default", answer(item, complete(1, '"done"')))
    fixture.store.fails = False
    await fixture.host.completions.complete_turn("default", answer(item, complete(1, '"done"')))

    instance = fixture.host.instance("default", "a")
    assert instance is not None
    assert instance.progress.output == '"done"'


async def test_a_result_that_could_not_be_stored_can_be_delivered_again() -> None:
    fixture = HostFixture()
    await fixture.start()
    worker = fixture.worker()
    await fixture.host.completions.complete_turn(
        "default", answer(await taken(worker), schedule(1))
    )
    activity = await taken(worker)
    result = messages.ActivityResponse(completion_token=activity.completion_token, result='"hi"')
    fixture.store.fails = True

    with pytest.raises(CommitFailedError):
        await fixture.host.completions.complete_activity("default", result)
    fixture.store.fails = False
    await fixture.host.completions.complete_activity("default", result)

    turn = (await taken(worker)).orchestrator_request
    assert turn is not None
    assert turn.new_events[-1].task_completed == messages.TaskCompletedEvent(
        task_scheduled_id=1, result='"hi"'
    )


async def test_an_answer_that_comes_twice_at_once_is_told_what_became_of_the_first() -> None:
    fixture = HostFixture()
    await fixture.start()
    response = answer(await taken(fixture.worker()), complete(1, '"done"'))
    fixture.store.failures = 1

    outcomes = await asyncio.gather(
        fixture.host.completions.complete_turn("default", response),
        fixture.host.completions.complete_turn("default", response),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [CommitFailedError] * 2


async def test_a_result_that_comes_twice_at_once_is_told_what_became_of_the_first() -> None:
    fixture = HostFixture()
    await fixture.start()
    worker = fixture.worker()
    await fixture.host.completions.complete_turn(
        "default", answer(await taken(worker), schedule(1))
    )
    activity = await taken(worker)
    result = messages.ActivityResponse(completion_token=activity.completion_token)
    fixture.store.failures = 1

    outcomes = await asyncio.gather(
        fixture.host.completions.complete_activity("default", result),
        fixture.host.completions.complete_activity("default", result),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [CommitFailedError] * 2


async def test_who_gives_up_on_an_answer_does_not_take_it_from_who_sends_it_again() -> None:
    fixture = HostFixture()
    await fixture.start()
    response = answer(await taken(fixture.worker()), complete(1, '"done"'))
    impatient = asyncio.create_task(fixture.host.completions.complete_turn("default", response))
    patient = asyncio.create_task(fixture.host.completions.complete_turn("default", response))

    # Both have begun, and nothing is stored before the loop's next round.
    asyncio.get_running_loop().call_soon(impatient.cancel)
    await patient

    instance = fixture.host.instance("default", "a")
    assert instance is not None
    assert instance.progress.output == '"done"'


async def test_work_that_is_being_stored_cannot_be_abandoned() -> None:
    fixture = HostFixture()
    await fixture.start()
    worker = fixture.worker()
    item = await taken(worker)
    storing = asyncio.create_task(
        fixture.host.completions.complete_turn("default", answer(item, complete(1, '"done"')))
    )
    await asyncio.sleep(0)

    fixture.host.completions.abandon("default", Kind.TURN, item.completion_token)
    await storing

    assert fixture.committer.lookups == 1


async def test_the_token_of_a_turn_completes_no_activity() -> None:
    fixture = HostFixture()
    await fixture.start()
    item = await taken(fixture.worker())
    odd = messages.ActivityResponse(completion_token=item.completion_token, result='"odd"')

    await fixture.host.completions.complete_activity("default", odd)
    await fixture.host.completions.complete_turn("default", answer(item, complete(1, '"done"')))

    instance = fixture.host.instance("default", "a")
    assert instance is not None
    assert instance.progress.output == '"done"'


async def test_nobody_is_asked_for_the_activities_of_an_instance_that_has_ended() -> None:
    fixture = HostFixture()
    await fixture.start()
    turns = fixture.worker(
        filters={Kind.TURN: Filter({"order": frozenset()}), Kind.ACTIVITY: NOTHING}
    )
    await fixture.host.completions.complete_turn("default", answer(await taken(turns), schedule(1)))
    await fixture.host.execute("default", "a", Terminate())
    before = fixture.committer.lookups

    fixture.worker()

    assert fixture.committer.lookups == before


async def test_a_turn_of_an_instance_that_gave_way_is_not_offered_any_more() -> None:
    fixture = HostFixture()
    await fixture.start()
    tomorrow = fixture.clock.now() + timedelta(days=1)
    pending = frozenset({int(messages.OrchestrationStatus.PENDING)})
    later = StartInstance("order", scheduled_start=tomorrow, replaceable=pending)
    await fixture.host.execute("default", "a", later)

    fixture.worker()

    assert fixture.committer.lookups == 0


async def test_a_new_instance_need_not_wait_for_the_delay_of_the_old_one() -> None:
    fixture = HostFixture()
    await fixture.start()
    worker = fixture.worker()
    for _ in range(2):
        fixture.host.completions.abandon(
            "default", Kind.TURN, (await taken(worker)).completion_token
        )

    pending = frozenset({int(messages.OrchestrationStatus.PENDING)})
    await fixture.host.execute("default", "a", StartInstance("other", replaceable=pending))

    turn = (await taken(worker)).orchestrator_request
    assert turn is not None
    started = turn.new_events[-1].execution_started
    assert started is not None
    assert started.name == "other"


async def test_work_that_cannot_be_read_is_offered_again_after_a_pause() -> None:
    fixture = HostFixture()
    await fixture.start()
    first = fixture.worker()
    await fixture.host.completions.complete_turn("default", answer(await taken(first)))
    fixture.host.dispatcher.close(first)
    await fixture.host.execute("default", "a", RaiseEvent("news"))
    fixture.store.fails = True
    worker = fixture.worker()

    fixture.store.fails = False
    due = fixture.clock.next_alarm()
    assert due is not None
    fixture.clock.advance(due - fixture.clock.now())

    assert (await taken(worker)).orchestrator_request is not None


async def test_work_that_is_too_large_fails_once_that_can_be_stored() -> None:
    fixture = HostFixture()
    await fixture.start()
    fixture.worker(max_message=10)
    fixture.store.failures = 1

    instance = await fixture.host.wait("default", "a", lambda seen: seen.progress.is_terminal)

    assert instance is not None
    assert instance.progress.failure is not None
    assert "no more than 10" in instance.progress.failure.error_message


async def test_who_waits_when_it_drains_is_sent_away_and_so_is_who_comes_later() -> None:
    fixture = HostFixture()
    await fixture.start()
    waiting = asyncio.create_task(fixture.host.wait("default", "a", lambda _: False))
    await asyncio.sleep(0)

    fixture.host.disconnect()

    for wait in (waiting, fixture.host.wait("default", "a", lambda _: False)):
        with pytest.raises(ShuttingDownError):
            await wait
