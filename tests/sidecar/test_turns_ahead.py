"""The turn that a result leads to is taken before the result is stored; both in one commit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import RaiseEvent, Suspend
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.work.items import WorkItemSource
from tests.builders.holding_host import HUB, HoldingHost, taken
from tests.builders.sidecar import complete, event, schedule


def new_events(item: Any) -> list[Any]:
    return list(item.orchestrator_request.new_events[1:])


async def test_a_result_and_the_turn_that_it_leads_to_are_stored_by_one_commit() -> None:
    fixture = HoldingHost()
    worker = fixture.worker()
    finishing, turn = await fixture.held(worker)

    await fixture.decide(turn, schedule(2))
    await finishing

    assert fixture.disk.commits == [{"a": 2}]
    assert [each.task_completed.result for each in new_events(turn)] == ['"hi"']
    assert turn.orchestrator_request.past_events == []
    assert (await taken(worker)).activity_request.task_id == 2


async def test_until_both_are_stored_nobody_else_sees_anything_of_them() -> None:
    fixture = HoldingHost()
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
    fixture = HoldingHost()
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
    fixture = HoldingHost()
    worker = fixture.worker()
    finishing, turn = await fixture.held(worker)

    await fixture.host.execute(HUB, "a", RaiseEvent("go"))
    await finishing
    await fixture.decide(turn)

    assert fixture.disk.commits == [{"a": 2}, {"a": 1}]
    assert [each.event_raised.name for each in new_events(await taken(worker))] == ["go"]


async def test_an_event_of_another_instance_makes_the_turn_void_and_loses_nothing() -> None:
    fixture = HoldingHost()
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
    fixture = HoldingHost()
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
    fixture = HoldingHost()
    first = fixture.worker()
    finishing, _ = await fixture.held(first)

    fixture.host.dispatcher.close(first)
    fixture.too_late()
    await finishing

    turn = await taken(fixture.worker())
    assert [each.task_completed.result for each in new_events(turn)] == ['"hi"']
    assert turn.orchestrator_request.past_events == fixture.history() != []


async def test_closing_stores_what_is_held() -> None:
    fixture = HoldingHost()
    finishing, _ = await fixture.held(fixture.worker())

    fixture.host.close()
    await finishing

    assert fixture.disk.commits == [{"a": 1}]


async def _cold(fixture: HoldingHost) -> None:
    activity = await fixture.at_an_activity(fixture.worker(keeps_sessions=False))
    await fixture.finish(activity)


async def _two_activities(fixture: HoldingHost) -> None:
    worker = fixture.worker()
    await fixture.start()
    await fixture.decide(await taken(worker), schedule(1), schedule(2))
    first, _ = await worker.next_batch()
    fixture.disk.commits.clear()
    await fixture.finish(codec.decode(messages.WorkItem, first, dialects.TASKHUB))


async def _suspended(fixture: HoldingHost) -> None:
    activity = await fixture.at_an_activity(fixture.worker())
    await fixture.host.execute(HUB, "a", Suspend())
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _turn_out(fixture: HoldingHost) -> None:
    worker = fixture.worker()
    activity = await fixture.at_an_activity(worker)
    await fixture.host.execute(HUB, "a", RaiseEvent("go"))
    await taken(worker)
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _no_free_slot(fixture: HoldingHost) -> None:
    worker = fixture.worker(slots={Kind.TURN: 1})
    activity = await fixture.at_an_activity(worker)
    await fixture.start("b")
    await taken(worker)
    fixture.disk.commits.clear()
    await fixture.finish(activity)


async def _draining(fixture: HoldingHost) -> None:
    activity = await fixture.at_an_activity(fixture.worker())
    fixture.host.dispatcher.drain()
    await fixture.finish(activity)


@pytest.mark.parametrize(
    "finish_an_activity",
    [_cold, _two_activities, _suspended, _turn_out, _no_free_slot, _draining],
    ids=lambda it: it.__name__.strip("_"),
)
async def test_otherwise_a_result_is_stored_at_once(finish_an_activity: Any) -> None:
    fixture = HoldingHost()

    await finish_an_activity(fixture)

    assert fixture.disk.commits == [{"a": 1}]


async def test_a_turn_that_cannot_be_prepared_ahead_leaves_the_result_to_be_stored_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = HoldingHost()
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
