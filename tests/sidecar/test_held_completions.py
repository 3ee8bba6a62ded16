"""A completion that nobody hears of is stored with what is submitted next; others at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine import turns
from durabletask.sidecar.engine.commands import RaiseEvent, Suspend
from durabletask.sidecar.engine.entities.commands import CallEntity, Caller, SignalEntity
from durabletask.sidecar.store import UnreadableError
from durabletask.sidecar.work.streams import WorkStream
from tests.builders.holding_host import HUB, HoldingHost, taken
from tests.builders.sidecar import complete, event, schedule, timer

ENTITY = "@counter@a"


async def waiting(host: HoldingHost, worker: WorkStream) -> Any:
    """The second turn of an orchestration that waits for events."""
    await host.start()
    await host.decide(await taken(worker))
    await host.host.execute(HUB, "a", RaiseEvent("go"))
    item = await taken(worker)
    host.disk.commits.clear()
    return item


async def completing(
    host: HoldingHost, item: Any, *actions: Any, **more: Any
) -> asyncio.Task[None]:
    """A completion on its way: what is stored at once is stored by now."""
    task = asyncio.create_task(host.decide(item, *actions, **more))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_turn_without_effects_is_stored_with_the_next_event() -> None:
    host = HoldingHost()
    worker = host.worker()
    done = await completing(host, await waiting(host, worker))
    before = list(host.disk.commits)

    await host.host.execute(HUB, "a", RaiseEvent("go"))
    await done

    assert before == []
    assert host.disk.commits == [{"a": 2}]
    assert (await taken(worker)).orchestrator_request.instance_id == "a"


async def test_it_is_stored_with_what_comes_for_another_instance_too() -> None:
    host = HoldingHost()
    done = await completing(host, await waiting(host, host.worker()))

    await host.start("b")
    await done

    assert host.disk.commits == [{"a": 1, "b": 1}]


async def test_it_is_stored_alone_when_nothing_comes_for_five_milliseconds() -> None:
    host = HoldingHost()
    done = await completing(host, await waiting(host, host.worker()))

    host.hold_clock.advance(timedelta(milliseconds=5))
    await done

    assert host.disk.commits == [{"a": 1}]


async def test_closing_stores_it() -> None:
    host = HoldingHost()
    done = await completing(host, await waiting(host, host.worker()))

    host.host.close()
    await done

    assert host.disk.commits == [{"a": 1}]


async def test_a_timer_that_becomes_due_does_not_wait_for_it() -> None:
    host = HoldingHost()
    worker = host.worker()
    await host.start("b")
    await host.decide(await taken(worker), timer(1, host.clock.now() + timedelta(seconds=1)))
    done = await completing(host, await waiting(host, worker))

    host.clock.advance(timedelta(seconds=1))
    await done

    assert host.disk.commits == [{"a": 1}]
    assert (await taken(worker)).orchestrator_request.instance_id == "b"


async def _first_turn(host: HoldingHost) -> None:
    worker = host.worker()
    await host.start()
    item = await taken(worker)
    host.disk.commits.clear()
    await completing(host, item)


async def _activity(host: HoldingHost) -> None:
    await completing(host, await waiting(host, host.worker()), schedule(1))


async def _end(host: HoldingHost) -> None:
    await completing(host, await waiting(host, host.worker()), complete(1))


async def _event(host: HoldingHost) -> None:
    await completing(host, await waiting(host, host.worker()), event("go", to="b"))


async def _custom_status(host: HoldingHost) -> None:
    await completing(host, await waiting(host, host.worker()), custom_status='"half"')


async def _suspended(host: HoldingHost) -> None:
    item = await waiting(host, host.worker())
    await host.host.execute(HUB, "a", Suspend())
    host.disk.commits.clear()
    await completing(host, item)


async def _more_to_do(host: HoldingHost) -> None:
    item = await waiting(host, host.worker())
    await host.host.execute(HUB, "a", RaiseEvent("go"))
    host.disk.commits.clear()
    await completing(host, item)


async def _work_without_a_slot(host: HoldingHost) -> None:
    item = await waiting(host, host.worker(slots={Kind.TURN: 1}))
    await host.start("b")
    host.disk.commits.clear()
    await completing(host, item)


@pytest.mark.parametrize(
    "complete_a_turn",
    [
        _first_turn,
        _activity,
        _end,
        _event,
        _custom_status,
        _suspended,
        _more_to_do,
        _work_without_a_slot,
    ],
    ids=lambda it: it.__name__.strip("_"),
)
async def test_a_turn_that_somebody_hears_of_is_stored_at_once(complete_a_turn: Any) -> None:
    host = HoldingHost()

    await complete_a_turn(host)

    assert [sorted(commit)[:1] for commit in host.disk.commits] == [["a"]]


async def test_a_state_that_cannot_be_read_costs_the_holding_and_not_the_completion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = HoldingHost()
    item = await waiting(host, host.worker())

    def fail(*_: Any) -> bool:
        raise UnreadableError("damaged")

    monkeypatch.setattr(turns, "is_unheard", fail)
    await host.decide(item)

    assert host.disk.commits == [{"a": 1}]


async def batch_of(host: HoldingHost, *commands: Any) -> Any:
    worker = host.worker()
    for command in commands:
        await host.host.execute(HUB, ENTITY, command)
    item = await taken(worker)
    host.disk.commits.clear()
    return item


async def complete_batch(
    host: HoldingHost, item: Any, *actions: messages.OperationAction
) -> asyncio.Task[Any]:
    count = len(item.entity_request_v2.operation_requests)
    result = messages.EntityBatchResult(
        results=[messages.OperationResult(success=messages.OperationResultSuccess())] * count,
        actions=list(actions),
        entity_state="1",
        completion_token=item.completion_token,
    )
    task = asyncio.create_task(host.host.completions.complete_batch(HUB, result))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_batch_of_signals_is_stored_with_the_next_signal() -> None:
    host = HoldingHost()
    done = await complete_batch(host, await batch_of(host, SignalEntity("1", "add")))
    before = list(host.disk.commits)

    await host.host.execute(HUB, ENTITY, SignalEntity("2", "add"))
    await done

    assert before == []
    assert host.disk.commits == [{ENTITY: 2}]


async def test_the_answer_to_a_call_is_stored_at_once() -> None:
    host = HoldingHost()
    call = CallEntity("1", "get", Caller("caller", "execution"))

    await complete_batch(host, await batch_of(host, call))

    assert [ENTITY in commit for commit in host.disk.commits] == [True]


async def test_a_batch_that_sends_something_is_stored_at_once() -> None:
    host = HoldingHost()
    item = await batch_of(host, SignalEntity("1", "add"))
    signal = messages.SendSignalAction(instance_id="@counter@b", name="add")

    await complete_batch(host, item, messages.OperationAction(send_signal=signal))

    assert [ENTITY in commit for commit in host.disk.commits] == [True]
