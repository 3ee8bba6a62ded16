from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import methods
from durabletask.worker._slots import Slots
from durabletask.worker._work_items import Completion, EncodedWorkItem, WorkItem
from tests.builders.worker import activity_item, connected_engine, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from durabletask.worker._delivery import Answered


OWNER: contextvars.ContextVar[str] = contextvars.ContextVar("OWNER")
ERRORS = [ValueError("broken"), SystemExit(3), KeyboardInterrupt()]


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
        return Completion(
            job.item,
            methods.COMPLETE_ACTIVITY_TASK,
            token,
            on_finished=lambda: self.finished.append(token),
        )


def item(token: object) -> EncodedWorkItem:
    return EncodedWorkItem(activity_item("greet", token=str(token)), connected_engine())


class SlotsHarness:
    def __init__(self, limit: int = 2, threads: int = 2) -> None:
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
            log=logging.getLogger("test"),
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


@pytest.fixture
async def harness() -> AsyncIterator[SlotsHarness]:
    harness = SlotsHarness()
    yield harness
    harness.slots.close()
    await harness.slots.wait_closed()


async def test_items_are_done_where_they_belong(harness: SlotsHarness) -> None:
    where: dict[str, threading.Thread] = {}

    async def on_loop(token: str) -> None:
        where[token] = threading.current_thread()

    def on_thread(token: str) -> None:
        where[token] = threading.current_thread()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()

    harness.handler.on_loop, harness.handler.on_thread = on_loop, on_thread

    await harness.put("async", "sync")
    await harness.idle()

    assert sorted(harness.completions) == [
        ("CompleteActivityTask", "async"),
        ("CompleteActivityTask", "sync"),
    ]
    assert where["async"] is threading.current_thread()
    assert harness.slots.owns(where["sync"])


async def test_before_the_first_item_they_are_idle(harness: SlotsHarness) -> None:
    await harness.idle()


async def test_no_more_items_are_begun_than_there_are_slots(harness: SlotsHarness) -> None:
    may_end = asyncio.Event()
    harness.handler.on_loop = lambda _token: may_end.wait()  # type: ignore[assignment,return-value]

    await harness.put(*(f"a{n}" for n in range(4)))
    await settle()
    assert harness.handler.prepared == ["a0", "a1"]

    may_end.set()
    await harness.idle()
    assert harness.handler.prepared == ["a0", "a1", "a2", "a3"]


async def test_a_full_queue_makes_the_reader_wait(harness: SlotsHarness) -> None:
    may_end = asyncio.Event()
    harness.handler.on_loop = lambda _token: may_end.wait()  # type: ignore[assignment,return-value]
    await harness.put(*(f"a{n}" for n in range(4)))

    one_more = asyncio.create_task(harness.put("a4"))
    await settle()
    assert not one_more.done()

    may_end.set()
    await asyncio.wait_for(one_more, 10)
    await harness.idle()
    assert len(harness.completions) == 5


async def test_a_slot_is_free_when_its_completion_is_delivered_and_not_before(
    harness: SlotsHarness,
) -> None:
    harness.may_deliver.clear()

    await harness.put(*range(4))
    for _ in range(2):
        await asyncio.wait_for(harness.deliveries.acquire(), 10)
    await settle()
    assert harness.handler.prepared == ["0", "1"]

    harness.may_deliver.set()
    await harness.idle()
    assert len(harness.completions) == 4


@pytest.mark.parametrize("error", ERRORS)
async def test_after_an_error_of_a_handler_only_its_item_is_handed_back(
    harness: SlotsHarness, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_first(token: str) -> None:
        if token == "0":
            raise error

    harness.handler.on_thread = fail_first

    await harness.put(*range(3))
    await harness.idle()

    assert sorted(harness.completions) == [
        ("AbandonTaskActivityWorkItem", "0"),
        ("CompleteActivityTask", "1"),
        ("CompleteActivityTask", "2"),
    ]
    assert "Instance 'one'" in caplog.text


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the disk is full")


@pytest.mark.parametrize("token", ["bad", "a bad one"], ids=["on a thread", "in the loop"])
async def test_a_log_handler_that_raises_costs_neither_slot_nor_thread(
    harness: SlotsHarness, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("test"), "handlers", [BrokenHandler()])

    async def fail(_token: str) -> None:
        raise ValueError("broken")

    def fail_on_thread(token: str) -> None:
        if token == "bad":
            raise ValueError("broken")

    harness.handler.on_loop, harness.handler.on_thread = fail, fail_on_thread

    await harness.put(*[token] * 5, "good")
    await harness.idle()

    handed_back = ("AbandonTaskActivityWorkItem", token)
    assert sorted(harness.completions) == [handed_back] * 5 + [("CompleteActivityTask", "good")]


async def test_items_that_cannot_be_read_are_dropped_however_many_they_are() -> None:
    harness = SlotsHarness(limit=1)
    unreadable = EncodedWorkItem(b"\xff", connected_engine())

    harness.slots.take([unreadable] * 400)
    await harness.put("good")
    await harness.idle()

    assert harness.completions == [("CompleteActivityTask", "good")]
    harness.slots.close()


@pytest.mark.parametrize("error", ERRORS)
async def test_after_an_error_in_the_loop_only_its_item_is_handed_back(
    harness: SlotsHarness, error: BaseException
) -> None:
    async def fail(_token: str) -> None:
        raise error

    harness.handler.on_loop = fail

    await harness.put("a", "c")
    await harness.idle()

    assert sorted(harness.completions) == [
        ("AbandonTaskActivityWorkItem", "a"),
        ("CompleteActivityTask", "c"),
    ]


@pytest.mark.parametrize("error", ERRORS)
async def test_an_item_that_cannot_be_prepared_is_handed_back(
    harness: SlotsHarness, error: BaseException
) -> None:
    harness.handler.unreadable["0"] = error

    await harness.put("0", "1")
    await harness.idle()

    assert sorted(harness.completions) == [
        ("AbandonTaskActivityWorkItem", "0"),
        ("CompleteActivityTask", "1"),
    ]


async def swallow(token: str) -> None:
    """Leave the task cancelled, and the cancellation to the next who waits."""
    current_task().cancel()


async def endure(token: str) -> None:
    """Leave the task counted as cancelled, and raise nothing."""
    current_task().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def give_in(token: str) -> None:
    """Cancel the task and let that through."""
    current_task().cancel()
    await asyncio.sleep(0)


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.mark.parametrize(
    ("cancel_itself", "answered"),
    [
        (swallow, "CompleteActivityTask"),
        (endure, "CompleteActivityTask"),
        (give_in, "AbandonTaskActivityWorkItem"),
    ],
)
async def test_work_that_cancels_itself_is_completed_and_frees_its_slot(
    harness: SlotsHarness, cancel_itself: Callable[[str], Coroutine[Any, Any, Any]], answered: str
) -> None:
    harness.handler.on_loop = cancel_itself

    await harness.put(*(f"a{n}" for n in range(4)))
    await harness.idle()

    assert sorted(harness.completions) == [(answered, f"a{n}") for n in range(4)]


async def test_the_task_that_delivers_is_not_the_one_user_code_cancelled() -> None:
    counts: list[int] = []

    class Counting(SlotsHarness):
        async def deliver(self, *_: object) -> None:
            await asyncio.sleep(0)
            counts.append(current_task().cancelling())

    harness = Counting()
    harness.handler.on_loop = endure

    await harness.put("a")
    await harness.idle()

    assert counts == [0]
    harness.slots.close()


async def test_a_coroutine_that_a_thread_returns_is_awaited_in_the_loop(
    harness: SlotsHarness,
) -> None:
    where: list[threading.Thread] = []

    async def on_loop(token: str) -> None:
        where.append(threading.current_thread())

    def on_thread(token: str) -> None:
        where.append(threading.current_thread())

    harness.handler.on_loop, harness.handler.on_thread = on_loop, on_thread

    await harness.put("b")
    await harness.idle()

    assert harness.completions == [("CompleteActivityTask", "b")]
    assert harness.slots.owns(where[0])
    assert where[1] is threading.current_thread()


async def test_what_is_taken_in_the_loop_needs_no_thread_to_be_awaited(
    harness: SlotsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    harness.handler.on_loop = lambda _token: asyncio.sleep(0)

    harness.slots.take([item("a1"), item("a2")])
    await harness.idle()

    assert sorted(harness.completions) == [
        ("CompleteActivityTask", "a1"),
        ("CompleteActivityTask", "a2"),
    ]


async def test_all_work_sees_the_context_variables_of_the_program_that_made_the_slots() -> None:
    OWNER.set("the program")
    harness = SlotsHarness()
    seen: dict[str, str] = {}

    async def on_loop(token: str) -> None:
        seen[token] = OWNER.get()

    def on_thread(token: str) -> None:
        seen[token + ", on a thread"] = OWNER.get()
        OWNER.set(token)

    harness.handler.on_loop, harness.handler.on_thread = on_loop, on_thread
    OWNER.set("somebody else")

    await harness.put("a", "b", "c")
    await harness.idle()

    assert seen == {
        "a": "the program",
        "b, on a thread": "the program",
        # Still the work that began on the thread.
        "b": "b",
        "c, on a thread": "the program",
    }
    harness.slots.close()


async def test_on_finished_is_called_when_the_completion_is_delivered(
    harness: SlotsHarness,
) -> None:
    harness.may_deliver.clear()
    await harness.put("c")
    await asyncio.wait_for(harness.deliveries.acquire(), 10)
    assert harness.handler.finished == []

    harness.may_deliver.set()
    await harness.idle()

    assert harness.handler.finished == ["c"]


async def test_what_has_not_begun_is_dropped_by_stop_admitting() -> None:
    harness = SlotsHarness(limit=3, threads=1)
    began, may_end = threading.Event(), threading.Event()

    def hold(_token: str) -> None:
        began.set()
        may_end.wait(10)

    harness.handler.on_thread = hold
    await harness.put(*range(6))
    await asyncio.to_thread(began.wait, 10)

    harness.slots.stop_admitting()
    await harness.put("late")
    may_end.set()
    await harness.idle()

    assert harness.completions == [("CompleteActivityTask", "0")]
    harness.slots.close()


async def test_a_reader_that_waits_for_room_is_released_by_stop_admitting(
    harness: SlotsHarness,
) -> None:
    forever = asyncio.Event()
    harness.handler.on_loop = lambda _token: forever.wait()  # type: ignore[assignment,return-value]
    putting = asyncio.create_task(harness.put(*(f"a{n}" for n in range(9))))
    await settle()

    harness.slots.stop_admitting()

    await asyncio.wait_for(putting, 10)
    assert harness.handler.prepared == ["a0", "a1"]


async def test_closing_cancels_what_is_awaited(harness: SlotsHarness) -> None:
    ended: list[str] = []

    async def wait_for_ever(token: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(token)

    harness.handler.on_loop = wait_for_ever
    await harness.put("a")
    await settle()

    harness.slots.close()
    await harness.slots.wait_closed()

    assert ended == ["a"]
    assert harness.completions == []


async def test_what_goes_on_in_spite_of_closing_is_not_completed(harness: SlotsHarness) -> None:
    async def cling(token: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    harness.handler.on_loop = cling
    await harness.put("a")
    await settle()

    harness.slots.close()
    await harness.slots.wait_closed()
    await settle()

    assert harness.completions == []


async def test_close_begins_no_item_that_waited() -> None:
    harness = SlotsHarness(limit=1)
    harness.may_deliver.clear()
    await harness.put("0", "1")
    await asyncio.wait_for(harness.deliveries.acquire(), 10)

    harness.slots.close()
    await settle()

    assert harness.handler.prepared == ["0"]


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


async def test_slots_are_exact_whatever_threads_take_finish_and_answer_at_once() -> None:
    handler, delivery = ScriptedHandler(), CountingDelivery()
    handler.on_thread = delivery.begin
    slots: Slots[Job] = Slots(
        "test", handler, limit=3, threads=8, delivery=delivery, log=logging.getLogger("test")
    )
    start = threading.Barrier(4)

    def take(taker: int) -> None:
        start.wait(10)
        for batch in range(20):
            slots.take([item(f"{taker}/{batch}/{n}") for n in range(10)])

    await asyncio.gather(*(asyncio.to_thread(take, taker) for taker in range(4)))
    await asyncio.wait_for(slots.wait_idle(), 20)

    assert sorted(delivery.tokens) == sorted(handler.finished) == sorted(handler.prepared)
    assert len(set(delivery.tokens)) == 800
    assert delivery.most <= 3
    slots.close()
    delivery.close()


class EagerDelivery(CountingDelivery):
    """Remembers what it is sent in batches, and answers nothing."""

    def send(self, completion: Completion, answered: Answered) -> bool:
        self.tokens.append(completion.request)
        return True


@pytest.mark.parametrize("token", ["b", "c"], ids=["to be awaited", "done"])
async def test_what_a_thread_finishes_after_the_close_is_neither_awaited_nor_sent(
    token: str,
) -> None:
    handler, delivery, awaited = ScriptedHandler(), EagerDelivery(), list[str]()
    began, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hold(_token: str) -> None:
        threads.append(threading.current_thread())
        began.set()
        may_end.wait(10)

    async def on_loop(token: str) -> None:
        awaited.append(token)

    handler.on_thread, handler.on_loop = hold, on_loop
    slots: Slots[Job] = Slots(
        "test", handler, limit=1, threads=1, delivery=delivery, log=logging.getLogger("test")
    )
    slots.take([item(token)])
    await asyncio.to_thread(began.wait, 10)

    slots.close()
    may_end.set()
    await asyncio.to_thread(threads[0].join, 10)
    await settle()

    assert (awaited, delivery.tokens) == ([], [])
    delivery.close()
