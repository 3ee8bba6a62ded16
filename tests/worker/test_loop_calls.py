from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from durabletask.worker._loop_calls import LoopCalls

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
