"""While a commit waits for a slow disk, the sidecar goes on with what is committed."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import RaiseEvent, StartInstance, Terminate
from durabletask.sidecar.engine.entities.commands import SignalEntity
from durabletask.sidecar.host import Host
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.queries import EntityQuery, InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from durabletask.sidecar.work.streams import Subscription, WorkStream
from tests.builders.flushes import HeldStore, on_thread
from tests.builders.sidecar import complete, schedule, timer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from durabletask.sidecar.engine.commands import Command

HUB = "default"
EVERYTHING = frozenset(range(8))


class SlowDisk:
    """A host whose commits wait until its disk goes on."""

    def __init__(self, path: Path) -> None:
        self.store = HeldStore(path)
        self.clock = ManualClock()
        numbers = itertools.count(1)
        self.host = Host(
            Committer(self.store), self.clock, lambda: f"id{next(numbers)}", flushing=on_thread()
        )
        self.host.start()
        self.go_on()

    def stop(self) -> None:
        self.store.gate.clear()
        self.store.entered.clear()

    def go_on(self) -> None:
        self.store.gate.set()

    async def stopped_at(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin this, and return once its commit waits for the disk."""
        self.stop()
        task = asyncio.create_task(what)
        await asyncio.to_thread(self.store.entered.wait)
        return task

    async def ask(self, instance_id: str, command: Command) -> None:
        await self.host.execute(HUB, instance_id, command)

    async def start(self, *instance_ids: str) -> None:
        for instance_id in instance_ids:
            await self.ask(instance_id, StartInstance("order"))

    def worker(self, **slots: int) -> WorkStream:
        by_kind = {Kind[kind.upper()]: count for kind, count in slots.items()}
        return self.host.dispatcher.open(Subscription(HUB, by_kind))

    async def complete(self, item: messages.WorkItem, *actions: Any) -> None:
        request = item.orchestrator_request
        assert request is not None
        response = messages.OrchestratorResponse(
            instance_id=request.instance_id,
            actions=list(actions),
            completion_token=item.completion_token,
        )
        await self.host.completions.complete_turn(HUB, response)

    def status(self, instance_id: str) -> str | None:
        instance = self.host.instance(HUB, instance_id)
        return None if instance is None else instance.progress.status.name

    def listed(self) -> list[str]:
        return [each.instance_id for each in self.host.reader.instances(HUB, InstanceQuery())]


@asynccontextmanager
async def slow_disk(path: Path) -> AsyncIterator[SlowDisk]:
    disk = SlowDisk(path)
    try:
        yield disk
    finally:
        disk.go_on()
        disk.host.disconnect()
        disk.host.close()
        disk.store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


async def taken(stream: WorkStream) -> messages.WorkItem:
    (raw,) = await stream.next_batch()
    return codec.decode(messages.WorkItem, raw, dialects.TASKHUB)


async def test_reads_and_queries_find_what_is_committed(path: Path) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a")
        both = asyncio.gather(disk.ask("a", Terminate()), disk.ask("b", StartInstance("order")))

        stopped = await disk.stopped_at(_all(both))
        meanwhile = (disk.status("a"), disk.status("b"), disk.listed())
        disk.go_on()
        await stopped

        assert meanwhile == ("PENDING", None, ["a"])
        assert (disk.status("a"), disk.status("b")) == ("TERMINATED", "PENDING")
        assert disk.listed() == ["a", "b"]


async def _all(both: Any) -> None:
    await both


async def test_an_entity_is_read_as_it_is_committed(path: Path) -> None:
    async with slow_disk(path) as disk:
        stopped = await disk.stopped_at(disk.ask("@counter@1", SignalEntity("r1", "add")))

        found = disk.host.entity(HUB, "@counter@1")
        listed = list(disk.host.reader.entities(HUB, EntityQuery()))
        disk.go_on()
        await stopped

        assert (found, listed) == (None, [])
        assert disk.host.entity(HUB, "@counter@1") is not None


async def test_who_waits_is_told_only_of_what_is_committed(path: Path) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a")
        stopped = await disk.stopped_at(disk.ask("a", Terminate()))

        waiting = asyncio.create_task(
            disk.host.wait(HUB, "a", lambda instance: instance.progress.is_terminal)
        )
        await asyncio.sleep(0)
        early = waiting.done()
        disk.go_on()
        await stopped

        assert not early
        assert await waiting is not None


async def test_workers_get_the_work_that_is_committed_and_the_rest_later(path: Path) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a")
        stopped = await disk.stopped_at(disk.ask("a", RaiseEvent("late")))

        worker = disk.worker()
        item = await taken(worker)
        disk.go_on()
        await stopped
        await disk.complete(item)

        assert _new(item) == ["execution_started"]
        assert _new(await taken(worker)) == ["event_raised"]


def _new(item: messages.WorkItem) -> list[str]:
    request = item.orchestrator_request
    assert request is not None
    kinds = ("execution_started", "event_raised", "timer_fired")
    return [kind for event in request.new_events for kind in kinds if getattr(event, kind)]


async def test_no_activity_of_a_turn_that_waits_for_the_disk_is_handed_out(path: Path) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a")
        worker = disk.worker()
        item = await taken(worker)

        stopped = await disk.stopped_at(disk.complete(item, schedule(1)))
        next_item = asyncio.create_task(taken(worker))
        another = asyncio.create_task(taken(disk.worker()))
        await asyncio.sleep(0)
        early = (next_item.done(), another.done())
        disk.go_on()
        await stopped
        done, left = await asyncio.wait([next_item, another], return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()

        assert early == (False, False)
        assert [task.result().activity_request is not None for task in done] == [True]


async def test_the_history_of_an_instance_is_read_as_it_is_committed(path: Path) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a")
        item = await taken(disk.worker())

        stopped = await disk.stopped_at(disk.complete(item, complete(1)))
        meanwhile = disk.host.reader.history(Key(HUB, "a"))
        disk.go_on()
        await stopped

        assert meanwhile == b""
        known = disk.host.reader.history(Key(HUB, "a"))

    reopened = SqliteStore(path)
    stored = reopened.history(Key(HUB, "a"))
    reopened.close()
    assert known == stored != b""


async def test_a_timer_that_the_commit_sets_is_not_missed_when_another_rings_meanwhile(
    path: Path,
) -> None:
    async with slow_disk(path) as disk:
        await disk.start("a", "b")
        worker = disk.worker(turn=2)
        items = await _two(worker)
        second = timedelta(seconds=1)
        await disk.complete(items[0], timer(1, disk.clock.now() + 2 * second))

        stopped = await disk.stopped_at(
            disk.complete(items[1], timer(1, disk.clock.now() + second))
        )
        disk.clock.advance(2 * second)
        woken = asyncio.create_task(_two(worker))
        await asyncio.sleep(0)
        disk.go_on()
        await stopped

        assert {item.orchestrator_request.instance_id for item in await woken} == {"a", "b"}


async def _two(worker: WorkStream) -> list[Any]:
    raw = await worker.next_batch()
    while len(raw) < 2:
        raw += await worker.next_batch()
    return [codec.decode(messages.WorkItem, each, dialects.TASKHUB) for each in raw]


@pytest.mark.parametrize("what", ["wipe", "trim", "close"])
async def test_what_needs_the_store_alone_comes_after_the_commit(path: Path, what: str) -> None:
    async with slow_disk(path) as disk:
        stopped = await disk.stopped_at(disk.ask("a", StartInstance("order")))
        asyncio.get_running_loop().run_in_executor(None, disk.go_on)

        if what == "wipe":
            disk.host.wipe(HUB)
        elif what == "trim":
            disk.host.trim(4096)
        else:
            disk.host.close()
        await stopped

        assert disk.listed() == ([] if what == "wipe" else ["a"])


async def test_what_is_closed_while_it_waits_for_the_disk_is_found_when_it_is_opened(
    path: Path,
) -> None:
    async with slow_disk(path) as disk:
        stopped = await disk.stopped_at(disk.ask("a", StartInstance("order")))
        later = asyncio.create_task(disk.ask("b", StartInstance("order")))
        await asyncio.sleep(0)
        asyncio.get_running_loop().run_in_executor(None, disk.go_on)
        disk.host.close()
        await asyncio.gather(stopped, later)

    reopened = SqliteStore(path)
    found = [each.instance_id for each in reopened.instances(HUB, InstanceQuery())]
    reopened.close()
    assert found == ["a", "b"]
