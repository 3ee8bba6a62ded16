"""A host whose store counts its commits, and which holds what may wait for the next one."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.flushing import Flushing
from durabletask.sidecar.engine.commands import StartInstance
from durabletask.sidecar.host import Host
from durabletask.sidecar.store import Change, EntityChange, Key, StoreError
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.work.streams import Subscription, WorkStream
from tests.builders.engine import events_in
from tests.builders.flushes import WorthHolding
from tests.builders.sidecar import schedule

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


class HoldingHost:
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

    async def decide(self, item: Any, *actions: Any, custom_status: str | None = None) -> None:
        response = messages.OrchestratorResponse(
            instance_id=item.orchestrator_request.instance_id,
            actions=list(actions),
            custom_status=custom_status,
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
