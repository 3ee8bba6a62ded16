"""Slots between a scripted handler and a delivery that a test controls."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.protocol import methods, wire, work_items
from durabletask.worker._slots import Slots
from durabletask.worker._work_items import Completion, EncodedWorkItem, WorkItem
from tests.builders.worker import activity_item, connected_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from durabletask.worker._delivery import Answered


@dataclass
class Job:
    item: WorkItem


@dataclass
class ScriptedHandler:
    """Awaits items whose token begins with 'a', does the others on a thread.

    What begins with 'b' is begun there and awaited all the same.
    """

    prepared: list[str] = field(default_factory=list)
    on_thread: Callable[[str], Any] = lambda token: token
    on_loop: Callable[[str], Coroutine[Any, Any, Any]] | None = None
    unreadable: dict[str, BaseException] = field(default_factory=dict)
    completed: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    def prepare(self, item: WorkItem) -> Job:
        if item.token in self.unreadable:
            raise self.unreadable[item.token]
        self.prepared.append(item.token)
        return Job(item)

    def coroutine(self, job: Job) -> Coroutine[Any, Any, Completion] | None:
        return self._on_loop(job) if job.item.token.startswith("a") else None

    def perform(self, job: Job) -> Completion | Coroutine[Any, Any, Completion]:
        self.on_thread(job.item.token)
        return self._on_loop(job) if job.item.token.startswith("b") else self._done(job)

    def abandon(self, item: WorkItem) -> Completion:
        return Completion(item, methods.ABANDON_ACTIVITY_TASK, item.token)

    async def _on_loop(self, job: Job) -> Completion:
        assert self.on_loop is not None
        await self.on_loop(job.item.token)
        return self._done(job)

    def _done(self, job: Job) -> Completion:
        token = job.item.token
        self.completed.append(token)
        return Completion(
            job.item,
            methods.COMPLETE_ACTIVITY_TASK,
            token,
            on_finished=lambda: self.finished.append(token),
        )


def item(token: object) -> EncodedWorkItem:
    return _encoded(activity_item("greet", token=str(token)))


def item_without_readable_head() -> EncodedWorkItem:
    """An activity whose outline can be read, and nothing within it."""
    cut_off = b"\x0a"
    return _encoded(wire.length_delimited(2, cut_off))


def _encoded(raw: bytes) -> EncodedWorkItem:
    return EncodedWorkItem(raw, connected_engine(), work_items.outline(raw))


class SlotsHarness:
    def __init__(
        self, limit: int = 2, threads: int = 2, *, log: logging.Logger | None = None
    ) -> None:
        self.handler = ScriptedHandler()
        self.completions: list[tuple[str, str]] = []
        self.deliveries = asyncio.Semaphore(0)
        self.may_deliver = asyncio.Event()
        self.may_deliver.set()
        self.slots: Slots[Job] = Slots(
            "test",
            self.handler,
            limit=limit,
            threads=threads,
            delivery=self,
            log=log or logging.getLogger("test"),
        )

    def send(self, completion: Completion, answered: object) -> bool:
        return False

    async def deliver(
        self,
        answer: Completion,
        abandon: Callable[[WorkItem], Completion],
        error: Exception | None = None,
    ) -> None:
        assert abandon == self.handler.abandon
        self.deliveries.release()
        await self.may_deliver.wait()
        self.completions.append((answer.method.name, answer.request))

    async def put(self, *tokens: object) -> None:
        for token in tokens:
            await self.slots.put(item(token))

    async def idle(self) -> None:
        await asyncio.wait_for(self.slots.wait_idle(), 10)


class CountingDelivery:
    """Answers completions on threads of its own, and counts how many are at work at a time."""

    def __init__(self) -> None:
        self.at_once = self.most = 0
        self.tokens: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._answer, daemon=True) for _ in range(3)]
        self._answers: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        for thread in self._threads:
            thread.start()

    def begin(self, _token: str) -> None:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)

    def send(self, completion: Completion, answered: Answered) -> bool:
        self.tokens.append(completion.request)
        self._answers.put(answered)
        return True

    async def deliver(self, *_: object) -> None:
        raise AssertionError("nothing failed")

    def close(self) -> None:
        for _ in self._threads:
            self._answers.put(None)

    def _answer(self) -> None:
        while (answered := self._answers.get()) is not None:
            with self._lock:
                self.at_once -= 1
            answered(None, None)
