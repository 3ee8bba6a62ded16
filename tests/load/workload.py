"""Clients that start orchestrations of every kind and record what they are told.

A call that fails because there is no sidecar is repeated. What must not be sent twice (an event,
a signal) is not repeated: the expectations keep it as unknown, and the next has another id.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from durabletask.entities import EntityInstanceId
from durabletask.transport.errors import InstanceExistsError, SidecarUnavailableError

from . import orchestrations as kinds
from .expectations import Answer, Ending, Event, Expectations, Move, Start
from .progress import Progress

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator

    from durabletask.client import AsyncTaskHubGrpcClient

ACCOUNTS = 12
BREADTH = 8
NOTES = 4
KINDS = frozenset(each.__name__ for each in kinds.ORCHESTRATORS if each is not kinds.leaf)
"""What is started; leaves are their parents' affair."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """An orchestration that needs nothing but to be started."""

    name: str
    effects: int


_PLAIN = (
    _Kind("chain", kinds.STEPS),
    _Kind("family", 0),
    _Kind("sleeper", 1),
    _Kind("stubborn", 2),
    _Kind("laps", kinds.LAPS),
)


class Workload:
    """One client's dealings with the sidecar; `chance` decides what it does next."""

    def __init__(self, client: AsyncTaskHubGrpcClient, chance: random.Random) -> None:
        self.expectations = Expectations()
        self.told = Progress()
        """Whatever was acknowledged."""
        self.ended = Progress()
        """Orchestrations of which a client was told that they are over."""
        self._client = client
        self._chance = chance
        self._numbers = count()
        self._errands = self._shuffled()
        self._running: list[asyncio.Task[None]] = []

    def keep_running(self, at_once: int, more: Callable[[], bool]) -> None:
        """See orchestrations through, so many errands at once, as long as there are `more`."""

        async def run() -> None:
            while more():
                await next(self._errands)()

        self._running = [asyncio.create_task(run()) for _ in range(at_once)]

    async def settle(self, patience: float) -> None:
        """Let all errands finish; those that do not within `patience` are cancelled.

        What these waited for is then found not to have happened.
        """
        done, stuck = await asyncio.wait(self._running, timeout=patience)
        for errand in stuck:
            errand.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        for errand in done:
            errand.result()

    def _shuffled(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Every kind equally often, in an order that chance decides."""
        special = (lambda: self._listeners("mailbox"), lambda: self._listeners("ring"))
        plain = [lambda kind=kind: self._plain(kind) for kind in _PLAIN]
        while True:
            errands = [*plain, *special, self.fan_out, self._transfer, self._transfer]
            self._chance.shuffle(errands)
            yield from errands

    async def fan_out(self, breadth: int = BREADTH) -> None:
        """See so many activities through that begin at once."""
        id = self._new_id("fan_out")
        await self._start(id, "fan_out", breadth, breadth)
        await self._end(id)

    async def _plain(self, kind: _Kind) -> None:
        id = self._new_id(kind.name)
        await self._start(id, kind.name, kind.effects)
        await self._end(id)

    async def _transfer(self) -> None:
        id = self._new_id("transfer")
        source, target = self._chance.sample(range(ACCOUNTS), 2)
        moves = {f"@account@{source}": -1, f"@account@{target}": 1, f"@journal@{source}": 1}
        for entity, amount in moves.items():
            self.expectations.moves[id, entity] = Move(amount, Answer.TOLD)
        await self._start(id, "transfer", 1, [str(source), str(target)])
        await self._signal(str(target))
        await self._end(id)

    async def _listeners(self, kind: str) -> None:
        """A listener, an orchestration that tells it something, and a client that does."""
        id, speaker = self._new_id(kind), self._new_id("speaker")
        await self._start(id, kind, 0)
        for number in range(kinds.SAYINGS):
            self.expectations.events[f"{speaker}/{number}"] = Event(id, Answer.TOLD)
        await self._start(speaker, "speaker", kinds.SAYINGS, id)
        for number in range(NOTES):
            await self._tell(id, f"{id}/{number}")
        await self._end(speaker)
        await self._until_told(lambda: self._raise(id, None))
        await self._end(id)

    async def _start(self, id: str, kind: str, effects: int, input: Any = None) -> None:
        start = self.expectations.starts[id] = Start(kind, effects, Answer.UNKNOWN)

        async def ask() -> None:
            try:
                await self._client.schedule_new_orchestration(kind, instance_id=id, input=input)
            except InstanceExistsError:
                # An attempt before was carried out, and now the client was told.
                return

        await self._until_told(ask)
        self.expectations.starts[id] = replace(start, answer=Answer.TOLD)
        self.told.advance()

    async def _tell(self, to: str, id: str) -> None:
        self.expectations.events[id] = Event(to, Answer.UNKNOWN)
        if await self._is_told(self._raise(to, id)):
            self.expectations.events[id] = Event(to, Answer.TOLD)
            self.told.advance()

    async def _raise(self, to: str, id: str | None) -> None:
        await self._client.raise_orchestration_event(to, "note", data=id)

    async def _signal(self, key: str) -> None:
        id = self._new_id("signal")
        entity = EntityInstanceId("journal", key)
        self.expectations.moves[id, str(entity)] = Move(1, Answer.UNKNOWN)
        if await self._is_told(self._client.signal_entity(entity, "move", [id, 1])):
            self.expectations.moves[id, str(entity)] = Move(1, Answer.TOLD)
            self.told.advance()

    async def _end(self, id: str) -> None:
        async def wait() -> None:
            state = await self._client.wait_for_orchestration_completion(id, timeout=None)
            if state is not None:
                self.expectations.endings[id] = Ending(
                    state.runtime_status.name, state.serialized_output
                )

        await self._until_told(wait)
        self.told.advance()
        self.ended.advance()

    async def _until_told(self, ask: Callable[[], Awaitable[None]]) -> None:
        while not await self._is_told(ask()):
            pass

    async def _is_told(self, asking: Awaitable[None]) -> bool:
        try:
            await asking
        except SidecarUnavailableError:
            return False
        return True

    def _new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"
