"""While the disk is full, new requests are refused and acknowledged changes are kept."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar import ManualClock
from tests.builders.sidecar import complete, schedule, serving, timer

if TYPE_CHECKING:
    from pathlib import Path

BIG = "x" * 3000


class Disk:
    """Limits how many pages SQLite may write, as a full disk does."""

    def __init__(self) -> None:
        self._connections: list[Any] = []

    def note(self, connect: Any) -> Any:
        def connected(*arguments: Any, **options: Any) -> Any:
            self._connections.append(connect(*arguments, **options))
            return self._connections[-1]

        return connected

    def fill(self) -> None:
        # SQLite raises this to the number of pages that the file has already.
        self._give(pages=1)

    def make_room(self) -> None:
        self._give(pages=1_000_000)

    def _give(self, *, pages: int) -> None:
        for connection in self._connections:
            connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(sqlite3, "connect", disk.note(sqlite3.connect))
    return disk


def start(number: int) -> Any:
    return messages.CreateInstanceRequest(name="order", instance_id=str(number), input=BIG)


async def fill(peer: Any, disk: Disk) -> list[str]:
    """Start instances until there is no room; return the ids of the acknowledged ones."""
    disk.fill()
    acknowledged: list[str] = []
    for number in range(100):
        try:
            await peer.call(methods.START_INSTANCE, start(number))
        except grpc.aio.AioRpcError:
            return acknowledged
        acknowledged.append(str(number))
    raise AssertionError("there was room for all")


async def test_a_full_disk_refuses_new_requests_with_a_reason_and_is_logged_once(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        await fill(peer, disk)

        refusals = {await peer.refusal(methods.START_INSTANCE, start(n)) for n in range(200, 300)}

    assert [code for code, _ in refusals] == [grpc.StatusCode.UNAVAILABLE]
    assert all("full" in text for _, text in refusals)
    assert ["full" in record.getMessage() for record in caplog.records] == [True]


async def test_acknowledged_instances_go_on_once_there_is_room(tmp_path: Path, disk: Disk) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        acknowledged = await fill(peer, disk)

        disk.make_room()
        await peer.start("order", "late")
        items = peer.work()
        for _ in range(len(acknowledged) + 1):
            await peer.decide(await items.next(), complete(1, '"done"'))

        for instance_id in (*acknowledged, "late"):
            assert (await peer.completed(instance_id)).output == '"done"'


async def test_a_completion_that_could_not_be_stored_may_be_repeated(
    tmp_path: Path, disk: Disk
) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), schedule(1, "greet"))
        activity = await items.next()
        await fill(peer, disk)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await peer.finish(activity, BIG)

        disk.make_room()
        await peer.finish(activity, BIG)

        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await peer.state()).orchestration_status == messages.OrchestrationStatus.RUNNING


async def test_a_timer_that_came_due_meanwhile_still_fires(tmp_path: Path, disk: Disk) -> None:
    clock = ManualClock()
    async with serving(tmp_path / "tasks.db", clock=clock) as peer:
        await peer.start()
        items = peer.work(max_concurrent_orchestration_work_items=1)
        await peer.decide(await items.next(), timer(1, clock.now() + timedelta(hours=1)))
        await fill(peer, disk)

        clock.advance(timedelta(hours=1))
        disk.make_room()

        fired = False
        while not fired:
            item = await items.next()
            events = item.orchestrator_request.new_events
            fired = any(event.timer_fired is not None for event in events)
            await peer.decide(item, complete(2))
