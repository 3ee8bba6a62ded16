"""The turn that a result leads to is taken before the result is stored; both in one commit."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.flushing import Flushing
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import RaiseEvent, StartInstance, Suspend
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.host import Host
from durabletask.sidecar.store import Change, EntityChange, Key, StoreError
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.work.items import WorkItemSource
from durabletask.sidecar.work.streams import Subscription, WorkStream
from tests.builders.engine import events_in
from tests.builders.flushes import WorthHolding
from tests.builders.sidecar import complete, event, schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

HUB = "default"
LONGEST = timedelta(milliseconds=5)


class Disk(MemoryStore):
    """Remembers how many changes of whom each commit stored, and may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[dict[str, int]] = []
        self.is_full = False

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        if self.is_full:
            raise StoreError("disk full")
        super().commit(changes)
        self.commits.append({each.key.instance_id: len(each.transitions) for each in changes})


class Fixture:
    def __init__(self) -> None:
        self.disk = Disk()
        self.clock = ManualClock()
        self.hold_clock = ManualClock()
        numbers = itertools.count(1)
        self.host = Host(
            Committer(self.disk),
            self.clock,
            lambda: f"id{next(numbers)}",
            flushing=Flushing(WorthHolding()),
            hold_clock=self.hold_clock,
        )
        self.host.start()

    def worker(self, **subscription: Any) -> WorkStream:
        subscription.setdefault("keeps_sessions", True)
        return self.host.dispatcher.open(Subscription(HUB, **subscription))

    async def start(self, instance_id: str = "a") -> None:
        await self.host.execute(HUB, instance_id, StartInstance("order"))

    async def decide(self, item: Any, *actions: Any) -> None:
        response = messages.OrchestratorResponse(
            instance_id=item.orchestrator_request.instance_id,
            actions=list(actions),
            completion_token=item.completion_token,
        )
        await self.host.completions.complete_turn(HUB, response)

    async def finish(self, item: Any, result: str = '"hi"') -> None:
        response = messages.ActivityResponse(completion_token=item.completion_token, result=result)
        await self.host.completions.complete_activity(HUB, response)

    async def at_an_activity(self, worker: WorkStream, *more: Any) -> Any:
        """An instance with one activity out, whose worker has the session."""
        await self.start()
        await self.decide(await taken(worker), schedule(1), *more)
        item = await taken(worker)
        self.disk.commits.clear()
        return item

    async def held(self, worker: WorkStream) -> tuple[asyncio.Task[None], Any]:
        """A result that is held, and the turn that is out ahead of it."""
        activity = await self.at_an_activity(worker)
        finishing = asyncio.create_task(self.finish(activity))
        return finishing, await taken(worker)

    def too_late(self) -> None:
        self.hold_clock.advance(LONGEST)

    def history(self) -> list[Any]:
        return events_in(self.disk.history(Key(HUB, "a")))


async def taken(stream: WorkStream) -> Any:
    (raw,) = await stream.next_batch()
    return codec.decode(messages.WorkItem, raw, dialects.TASKHUB)


def new_events(item: Any) -> list[Any]:
    return list(item.orchestrator_request.new_events[1:])


async def test_a_result_and_the_turn_that_it_leads_to_are_stored_by_one_commit() -> None:
    fixture = Fixture()
    worker = fixture.worker()
    finishing, turn = await fixture.held(worker)

    await fixture.decide(turn, schedule(2))
    await finishing

    assert fixture.disk.commits == [{"a": 2}]
    assert [each.task_completed.result for each in new_events(turn)] == ['"hi"']
    assert turn.orchestrator_request.past_events == []
    assert (await taken(worker)).activity_request.task_id == 2


async def test_until_both_are_stored_nobody_else_sees_anything_of_them() -> None:
    fixture = Fixture()
    finishing, _ = await fixture.held(fixture.worker())

    instance = fixture.host.instance(HUB, "a")

    assert instance is not None
    assert len(instance.tasks) == 1
    assert len(instance.inbox) == 0
    assert not finishing.done()
    assert not fixture.host.is_idle
    assert fixture.disk.commits == []
    finishing.cancel()


async def test_a_turn_that_takes_too_long_becomes_an_ordinary_one() -> None:
    fixture = Fixture()
    worker = fixture.worker()
    finishing, turn = await fixture.held(worker)

    fixture.too_late()
    await finishing
    alone = list(fixture.disk.commits)
    await fixture.decide(turn, schedule(2))

    assert alone == [{"a": 1}]
    assert fixture.disk.commits == [{"a": 1}, {"a": 1}]
    # What is stored is what the worker saw, although it was stored later.
    assert new_events(turn) == [each for each in fixture.history() if each.task_completed]
    assert (await taken(worker)).activity_request.task_id == 2


async def test_another_command_does_not_wait_for_the_turn() -> None:
    fixture = Fixture()
    worker = fixture.worker()
    finishing, turn = await fixture.held(worker)

    await fixture.host.execute(HUB, "a", RaiseEvent("go"))
    await finishing
    await fixture.decide(turn)

    assert fixture.disk.commits == [{"a": 2}, {"a": 1}]
    assert [each.event_raised.name for each in new_events(await taken(worker))] == ["go"]


async def test_an_event_of_another_instance_makes_the_turn_void_and_loses_nothing() -> None:
    fixture = Fixture()
    worker = fixture.worker()
    await fixture.start("sender")
    sending = await taken(worker)
    finishing, turn = await fixture.held(worker)

    await fixture.decide(sending, event("go", to="a"), complete(1))
    await fixture.decide(turn, schedule(2))
    await finishing

    instance = fixture.host.instance(HUB, "a")
    assert instance is not None
    assert len(instance.tasks) == 0
    again = await taken(worker)
    kinds = {bool(each.event_raised): each for each in new_events(again)}
    assert kinds.keys() == {True, False}
    assert len(again.orchestrator_request.past_events) > 0


async def test_after_a_failed_commit_the_next_turn_has_the_whole_history() -> None:
    fixture = Fixture()
    worker = fixture.worker()
    activity = await fixture.at_an_activity(worker)
    finishing = asyncio.create_task(fixture.finish(activity))
    turn = await taken(worker)
    fixture.disk.is_full = True

    with pytest.raises(CommitFailedError):
        await fixture.decide(turn, schedule(2))
    with pytest.raises(CommitFailedError):
        await finishing
    fixture.disk.is_full = False
    await fixture.decide(turn, schedule(2))
    await fixture.finish(activity, '"again"')

    next_turn = await taken(worker)
    assert fixture.disk.commits == [{"a": 1}]
    assert [each.task_completed.result for each in new_events(next_turn)] == ['"again"']
    assert next_turn.orchestrator_request.past_events == fixture.history() != []


async def test_when_its_stream_ends_another_worker_gets_the_turn() -> None:
    fixture = Fixture()
    first = fixture.worker()
    finishing, _ = await fixture.held(first)

    fixture.host.dispatcher.close(first)
    fixture.too_late()
    await finishing

    turn = await taken(fixture.worker())
    assert [each.task_completed.result for each in new_events(turn)] == ['"hi"']
    assert turn.orchestrator_request.past_events == fixture.history() != []


async def test_closing_stores_what_is_held() -> None:
    fixture = Fixture()
    finishing, _ = await fixture.held(fixture.worker())

    fixture.host.close()
    await finishing

    assert fixture.disk.commits == [{"a": 1}]


async def _cold(fixture: Fixture) -> None:
    activity = await fixture.at_an_activity(fixture.worker(keeps_sessions=False))
    await fixture.finish(activity)


async def _two_activities(fixture: Fixture) -> None:
    worker = fixture.worker()
    await fixture.start()
    await fixture.decide(await taken(worker), schedule(1), schedule(2))
    first, _ = await worker.next_batch()
    fixture.disk.commits.clear()
    await fixture.finish(codec.decode(messages.WorkItem, first, dialects.TASKHUB))


async def _suspended(fixture: Fixture) -> None:
    activity = await fixture.at_an_activity(fixture.worker())
    await fixture.host.execute(HUB, "a", Suspend())
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _turn_out(fixture: Fixture) -> None:
    worker = fixture.worker()
    activity = await fixture.at_an_activity(worker)
    await fixture.host.execute(HUB, "a", RaiseEvent("go"))
    await taken(worker)
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _no_free_slot(fixture: Fixture) -> None:
    worker = fixture.worker(slots={Kind.TURN: 1})
    activity = await fixture.at_an_activity(worker)
    await fixture.start("b")
    await taken(worker)
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _draining(fixture: Fixture) -> None:
    activity = await fixture.at_an_activity(fixture.worker())
    fixture.host.dispatcher.drain()
    await fixture.finish(activity)


@pytest.mark.parametrize(
    "finish_an_activity",
    [_cold, _two_activities, _suspended, _turn_out, _no_free_slot, _draining],
    ids=lambda it: it.__name__.strip("_"),
)
async def test_otherwise_a_result_is_stored_at_once(finish_an_activity: Any) -> None:
    fixture = Fixture()

    await finish_an_activity(fixture)

    assert fixture.disk.commits == [{"a": 1}]


async def test_a_turn_that_cannot_be_prepared_ahead_leaves_the_result_to_be_stored_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = Fixture()
    worker = fixture.worker(slots={Kind.TURN: 1})
    activity = await fixture.at_an_activity(worker)

    with monkeypatch.context() as patched:
        patched.setattr(WorkItemSource, "load_ahead", _raise)
        await fixture.finish(activity)

    assert fixture.disk.commits == [{"a": 1}]
    assert [each.task_completed.result for each in new_events(await taken(worker))] == ['"hi"']
    assert "cannot be read" in caplog.text
    (logged,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert logged.__dict__["instance_id"] == "a"


def _raise(*_: object) -> None:
    raise StoreError("cannot be read")
