from __future__ import annotations

import asyncio
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.transport.loop_calls import LoopCalls
from durabletask.worker._thread_pool import SLOW_LOOKS, StallWatch, ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable


class Collected:
    """The results so far."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, results: list[Any]) -> None:
        self.results += results
        self._news.set()

    async def count(self, count: int) -> list[Any]:
        while len(self.results) < count:
            self._news.clear()
            await self._news.wait()
        return self.results


def threads(perform: Callable[[Any], Any], collected: Collected, *, count: int) -> ThreadPool[Any]:
    in_loop = LoopCalls()
    return ThreadPool("test", count=count, perform=lambda job: in_loop(collected, [perform(job)]))


async def test_results_come_back_to_the_loop() -> None:
    collected = Collected()
    pool = threads(lambda job: job * 2, collected, count=2)

    for job in range(100):
        pool.submit([job])

    assert sorted(await collected.count(100)) == [job * 2 for job in range(100)]
    pool.close()


async def test_no_more_jobs_run_at_a_time_than_there_are_threads() -> None:
    collected = Collected()
    both_are_in = threading.Barrier(2)
    at_once, most = 0, 0
    lock = threading.Lock()

    def perform(job: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        both_are_in.wait(10)
        with lock:
            at_once -= 1
        return job

    pool = threads(perform, collected, count=2)
    for job in range(20):
        pool.submit([job])
    await collected.count(20)

    assert most == 2
    pool.close()


async def test_no_job_waits_behind_one_that_blocks_while_another_thread_is_free() -> None:
    collected = Collected()
    both_are_in, may_go = threading.Barrier(3), threading.Event()

    def perform(job: str) -> str:
        if job in {"first", "blocker"}:
            both_are_in.wait(10)
        if job == "blocker":
            may_go.wait(10)
        return job

    pool = threads(perform, collected, count=2)
    for job in ("first", "blocker", *"12345678"):
        pool.submit([job])
    await asyncio.to_thread(both_are_in.wait, 10)

    assert sorted(await collected.count(9)) == [*"12345678", "first"]
    may_go.set()
    pool.close()


async def test_the_loop_is_woken_once_for_all_results_that_are_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collected = Collected()
    last_has_begun = threading.Event()
    loop = asyncio.get_running_loop()
    wake_up = loop.call_soon_threadsafe
    wake_ups: list[int] = []

    def count(*told: Any, **more: Any) -> asyncio.Handle:
        wake_ups.append(1)
        return wake_up(*told, **more)

    def perform(job: int) -> int:
        if job == 8:
            last_has_begun.set()
        return job

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    pool = threads(perform, collected, count=1)
    for job in range(9):
        pool.submit([job])
    # It blocks the loop, which is to see no result before the last job has begun.
    last_has_begun.wait(10)

    assert await collected.count(9) == list(range(9))
    assert len(wake_ups) <= 2
    pool.close()


def _meet(others: threading.Barrier, is_awaited: bool | None) -> None:
    if is_awaited:
        others.wait(10)


async def test_each_job_gets_a_thread_while_one_more_is_allowed() -> None:
    """However idle threads and waiting jobs meet, none waits while another could run it."""
    for _ in range(50):
        collected = Collected()
        pool = threads(partial(_meet, threading.Barrier(4)), collected, count=4)
        for _ in range(3):
            pool.submit([None])
            await asyncio.sleep(0)

        for _ in range(4):
            pool.submit([True])

        await collected.count(7)
        pool.close()


async def test_a_job_is_not_kept_when_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = threads(lambda job: job, Collected(), count=1)
    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(RuntimeError, match="new thread"):
        pool.submit([1])

    assert pool.cancel_queued() == []


async def test_queued_jobs_can_be_cancelled() -> None:
    collected = Collected()
    began, may_go = threading.Event(), threading.Event()

    def perform(job: int) -> int:
        began.set()
        may_go.wait(10)
        return job

    pool = threads(perform, collected, count=1)
    for job in range(5):
        pool.submit([job])
    await asyncio.to_thread(began.wait, 10)

    assert pool.cancel_queued() == [1, 2, 3, 4]
    may_go.set()
    assert await collected.count(1) == [0]
    pool.close()


async def test_closed_threads_end_and_are_daemons() -> None:
    collected = Collected()
    workers: list[threading.Thread] = []

    def perform(job: int) -> int:
        workers.append(threading.current_thread())
        return job

    pool = threads(perform, collected, count=1)
    pool.submit([1])
    await collected.count(1)
    pool.close()
    await asyncio.to_thread(workers[0].join, 10)

    assert not workers[0].is_alive()
    assert workers[0].daemon


async def test_the_pool_knows_its_own_threads() -> None:
    collected = Collected()
    workers: list[threading.Thread] = []

    def perform(job: int) -> int:
        workers.append(threading.current_thread())
        return job

    pool = threads(perform, collected, count=1)
    pool.submit([1])
    await collected.count(1)

    assert pool.owns(workers[0])
    assert not pool.owns(threading.current_thread())
    pool.close()


def test_a_result_that_comes_after_its_loop_was_closed_is_dropped_silently() -> None:
    may_go = threading.Event()
    failures: list[Any] = []
    workers: list[threading.Thread] = []

    def perform(job: int) -> int:
        workers.append(threading.current_thread())
        began.set()
        may_go.wait(10)
        return job

    async def leave_early() -> None:
        pool = threads(perform, Collected(), count=1)
        pool.submit([1])
        await asyncio.to_thread(began.wait, 10)
        pool.close()

    began = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", failures.append)
        asyncio.run(leave_early())
        may_go.set()
        workers[0].join(10)

    assert failures == []
    assert not workers[0].is_alive()


class ManualWatch:
    """Looks at a pool when the test says so."""

    def __init__(self) -> None:
        self.looks: list[Callable[[], bool]] = []

    def __call__(self, look: Callable[[], bool]) -> None:
        self.looks.append(look)

    def look(self) -> None:
        self.looks = [look for look in self.looks if look()]


def test_small_jobs_are_all_done_by_one_thread_that_does_not_get_stuck() -> None:
    watch = ManualWatch()
    threads_used: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    pool: ThreadPool[int] = ThreadPool(
        "test",
        count=9,
        perform=lambda _job: threads_used.put(threading.current_thread()),
        watch=watch,
    )

    pool.submit(range(100))
    used = {threads_used.get(timeout=10) for _ in range(50)}
    watch.look()
    used |= {threads_used.get(timeout=10) for _ in range(50)}

    assert len(used) == 1
    pool.close()


def test_as_many_jobs_as_there_are_threads_run_at_once_if_they_block() -> None:
    watch = ManualWatch()
    all_are_in, done = threading.Barrier(100), queue.SimpleQueue[int]()

    def perform(job: int) -> None:
        all_are_in.wait(10)
        done.put(job)

    pool: ThreadPool[int] = ThreadPool("test", count=100, perform=perform, watch=watch)
    pool.submit(range(200))
    while watch.looks:
        watch.look()

    assert {done.get(timeout=10) for _ in range(200)} == set(range(200))
    pool.close()


def test_threads_that_begin_few_jobs_at_two_looks_in_a_row_get_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, may_go = ManualWatch(), threading.Semaphore(0)
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def note_and_start(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)

    def perform(job: int) -> None:
        begun.put(job)
        may_go.acquire(timeout=10)

    monkeypatch.setattr(threading.Thread, "start", note_and_start)
    pool: ThreadPool[int] = ThreadPool("test", count=9, perform=perform, watch=watch)
    pool.submit(range(9))
    assert begun.get(timeout=10) == 0
    watch.look()
    may_go.release()
    assert begun.get(timeout=10) == 1
    assert len(started) == 1

    watch.look()

    assert begun.get(timeout=10) == 2
    assert len(started) == 2
    may_go.release(9)
    pool.close()


def test_while_a_thread_is_on_its_way_no_other_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the interpreter, as others would."""
    watch, on_their_way = ManualWatch(), list[threading.Thread]()
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    pool: ThreadPool[int] = ThreadPool("test", count=9, perform=done.put, watch=watch)

    def note(thread: threading.Thread) -> None:
        on_their_way.append(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", note)

        pool.submit(range(5))
        for _ in range(3):
            watch.look()

    assert len(on_their_way) == 1
    on_their_way[0].start()
    assert [done.get(timeout=10) for _ in range(5)] == list(range(5))
    pool.close()


def test_a_pool_whose_threads_are_all_at_work_is_not_watched() -> None:
    watch, may_go = ManualWatch(), threading.Event()
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()

    def perform(job: int) -> None:
        begun.put(job)
        may_go.wait(10)

    pool: ThreadPool[int] = ThreadPool("test", count=2, perform=perform, watch=watch)
    pool.submit(range(3))
    begun.get(timeout=10)
    for _ in range(SLOW_LOOKS):
        watch.look()
    begun.get(timeout=10)
    watch.look()
    pool.submit([3])

    assert watch.looks == []
    may_go.set()
    pool.close()


def test_behind_a_thread_that_is_known_to_be_stuck_no_job_waits_for_the_watch() -> None:
    watch = ManualWatch()
    has_begun, may_go = threading.Event(), threading.Event()
    done = queue.SimpleQueue[str]()

    def perform(job: str) -> None:
        if job == "blocker":
            has_begun.set()
            may_go.wait(10)
        done.put(job)

    pool: ThreadPool[str] = ThreadPool("test", count=9, perform=perform, watch=watch)
    pool.submit(["blocker"])
    has_begun.wait(10)
    pool.submit(["one behind it"])
    for _ in range(SLOW_LOOKS):
        watch.look()
    assert done.get(timeout=10) == "one behind it"

    for number in range(20):
        pool.submit([f"job {number}"])
        assert done.get(timeout=10) == f"job {number}"

    may_go.set()
    assert done.get(timeout=10) == "blocker"
    pool.close()


def test_a_pool_in_which_no_job_waits_is_not_watched() -> None:
    watch, done = ManualWatch(), queue.SimpleQueue[int]()
    pool: ThreadPool[int] = ThreadPool("test", count=9, perform=done.put, watch=watch)

    pool.submit([1])
    done.get(timeout=10)

    assert watch.looks == []
    pool.close()


def test_the_watch_looks_until_it_is_told_to_stop() -> None:
    watch = StallWatch(interval=0)
    ended = threading.Event()
    looks: list[str] = []

    def three_times() -> bool:
        looks.append("look")
        if len(looks) == 3:
            ended.set()
        return len(looks) < 3

    watch(three_times)
    ended.wait(10)
    looks_again = threading.Event()

    def once() -> bool:
        looks_again.set()
        return False

    watch(once)
    looks_again.wait(10)

    assert looks == ["look"] * 3
    watch.close()
