"""An engine that is killed loses nothing that it acknowledged, and repeats nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, Work, child
from tests.builders.sidecar import complete, schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable

Status = messages.OrchestrationStatus

EVERYTHING_ONCE = {
    "execution_started": 1,
    "task_scheduled": 1,
    "task_completed": 1,
    "sub_orchestration_instance_created": 1,
    "sub_orchestration_instance_completed": 1,
}
OUTCOMES = ("task_completed", "sub_orchestration_instance_completed")


class Run:
    """One orchestration with an activity and a child, and an engine that dies on the way."""

    def __init__(self, hub: EngineUnderTest, *, dies_after: int, is_acknowledged: bool) -> None:
        self._hub = hub
        self._id = hub.new_id()
        self._left = dies_after
        self._is_acknowledged = is_acknowledged
        self.history: Counter[str] = Counter()
        self.has_died = False

    async def to_its_end(self) -> Status:
        self._connect(await self._hub.client())
        await self._store(self._client.start(id=self._id))
        if await self._client.state(self._id) is None:
            # Nobody acknowledged the start, so the client may ask again.
            await self._client.start(id=self._id)
        while (await self._client.status(self._id)) != Status.COMPLETED:
            work = await self._worker.next()
            await self._store(self._answer(work))
        self._worker.leave()
        return await self._client.status(self._id)

    async def _store(self, call: Awaitable[object]) -> None:
        """Make a call; the engine dies after it, or while it is under way."""
        self._left -= 1
        if self._left != 0:
            await call
            return
        pending = asyncio.ensure_future(call)
        if self._is_acknowledged:
            await pending
        self.has_died = True
        self._connect(await self._hub.kill())
        await asyncio.gather(pending, return_exceptions=True)

    def _connect(self, client: Client) -> None:
        self._client, self._worker = client, client.worker()

    async def _answer(self, work: Work) -> None:
        if work.kind == "activity_request":
            await work.finish('"done"')
        elif work.instance != self._id:
            await work.decide(complete(1, '"done"'))
        else:
            await self._decide(work)

    async def _decide(self, turn: Work) -> None:
        seen = Counter(turn.past_events) + Counter(turn.events)
        if not turn.past_events:
            await turn.decide(schedule(1), child(2))
        elif all(seen[outcome] for outcome in OUTCOMES):
            self.history = seen
            await turn.decide(complete(3))
        else:
            await turn.decide()


# Calls of the run above: the start, at most four turns, an activity, a child's turn.
CALLS = range(1, 8)


@pytest.mark.slow
@pytest.mark.checklist(29)
@pytest.mark.needs("kill")
@pytest.mark.parametrize("is_acknowledged", [True, False], ids=["acknowledged", "under way"])
async def test_an_engine_that_is_killed_at_any_commit_loses_nothing_and_doubles_nothing(
    hub: EngineUnderTest, is_acknowledged: bool
) -> None:
    kills = 0
    for dies_after in CALLS:
        run = Run(hub, dies_after=dies_after, is_acknowledged=is_acknowledged)

        status = await run.to_its_end()

        kills += run.has_died
        assert status == Status.COMPLETED
        assert EVERYTHING_ONCE.items() <= run.history.items()
    assert kills >= 5
