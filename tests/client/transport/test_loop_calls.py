from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from durabletask.transport.loop_calls import LoopCalls

OWNER: contextvars.ContextVar[str] = contextvars.ContextVar("OWNER")


async def test_calls_are_made_in_the_loop_in_their_order() -> None:
    calls = LoopCalls()
    made: list[tuple[int, threading.Thread]] = []

    def ask() -> None:
        for number in range(5):
            calls(lambda number: made.append((number, threading.current_thread())), number)

    await asyncio.to_thread(ask)
    await asyncio.sleep(0)

    assert made == [(number, threading.current_thread()) for number in range(5)]


async def test_the_loop_is_woken_once_for_all_calls_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    wake_ups: list[Any] = []
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call, **_: wake_ups.append(call))
    calls = LoopCalls()

    def ask() -> None:
        for _ in range(5):
            calls(list)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)

    assert len(wake_ups) == 1


async def test_calls_see_the_context_variables_of_the_program_and_not_of_the_thread() -> None:
    OWNER.set("the program")
    calls = LoopCalls()
    seen: list[str] = []
    called = asyncio.Event()

    def ask() -> None:
        OWNER.set("the thread")
        calls(lambda: seen.append(OWNER.get()))
        calls(called.set)

    await asyncio.to_thread(ask)
    await called.wait()
    OWNER.set("another task")
    calls(lambda: seen.append(OWNER.get()))
    await asyncio.sleep(0)

    assert seen == ["the program", "the program"]


def test_in_a_loop_that_is_closed_nothing_is_called() -> None:
    async def make() -> LoopCalls:
        return LoopCalls()

    calls = asyncio.run(make())
    made: list[int] = []

    calls(made.append, 1)

    assert made == []


async def test_what_has_to_be_done_at_once_is_done_in_the_loop_and_keeps_its_place() -> None:
    calls = LoopCalls()
    done: list[str] = []

    calls.at_once(done.append, "first")
    assert done == ["first"]
    await asyncio.to_thread(calls.at_once, done.append, "second")
    calls(done.append, "third")
    calls.at_once(done.append, "fourth")
    await asyncio.sleep(0)

    assert done == ["first", "second", "third", "fourth"]


async def test_a_function_that_raises_costs_no_other_call() -> None:
    loop = asyncio.get_running_loop()
    reported: list[Any] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    calls = LoopCalls()
    made: list[int] = []

    calls(made.append, 1)
    calls(int, "none")
    calls(made.append, 2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert made == [1, 2]
    assert [type(each) for each in reported] == [ValueError]


def test_calls_that_a_loop_did_not_make_before_it_was_closed_are_dropped_with_the_next() -> None:
    dropped: list[int] = []

    async def make() -> LoopCalls:
        return LoopCalls(dropped=dropped.append)

    loop = asyncio.new_event_loop()
    calls = loop.run_until_complete(make())
    calls(print, 1)
    loop.close()

    calls(print, 2)

    assert dropped == [1, 2]


def test_calls_that_several_threads_find_in_a_closed_loop_are_dropped_once_each() -> None:
    dropped: list[int] = []
    together = threading.Barrier(4)

    async def make() -> LoopCalls:
        return LoopCalls(dropped=dropped.append)

    calls = asyncio.run(make())

    def ask(first: int) -> None:
        together.wait(10)
        for number in range(first, first + 250):
            calls.at_once(print, number)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(0, 1000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(dropped) == [*range(1000)]
