"""A worker host between a scripted sidecar and a test's functions."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

from durabletask.core.registry import Registry
from durabletask.protocol import messages, methods
from durabletask.worker._host import WorkerHost
from tests.builders.worker import ManualLoopClock, ScriptedSidecar, activity_item, worker_config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durabletask.worker._connection import ConnectionState

T = TypeVar("T")


class HostHarness:
    """A host between a scripted sidecar and a test's functions."""

    def __init__(self) -> None:
        self.clock = ManualLoopClock()
        self.sidecar = ScriptedSidecar()
        self.registry = Registry()
        self.states: list[ConnectionState] = []
        self.overrides: dict[str, Any] = {}
        self.running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        config = worker_config(self.registry, self.sidecar, self.clock, **self.overrides)
        self.host = WorkerHost(
            config, on_state_change=lambda state, _error: self.states.append(state)
        )
        self.running = asyncio.create_task(self.host.run())
        self.stream = await self.sidecar.opened()

    def activity(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        self.registry.add_activity(fn)
        return fn

    def orchestrator(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        self.registry.add_orchestrator(fn)
        return fn

    async def call(self, name: str, input: Any = None) -> messages.ActivityResponse:
        """Have the activity called, and wait for its answer."""
        before = len(self.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK))
        self.stream.send(activity_item(name, json.dumps(input)))
        return await self.answer(methods.COMPLETE_ACTIVITY_TASK, before + 1)

    async def answer(self, method: methods.Method, count: int = 1) -> Any:
        return (await within(self.sidecar.received(method, count)))[count - 1]

    async def stop(self, grace: float | None = None) -> None:
        assert self.running is not None
        self.host.request_stop(grace)
        await within(self.running)


async def within(waiting: Awaitable[T]) -> T:
    """Against hangs only: no test is decided by it."""
    return await asyncio.wait_for(waiting, 20)
