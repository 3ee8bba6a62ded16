"""Where work items are done, on a thread or in the event loop, and in which context."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from tests.builders.slots import SlotsHarness, item

OWNER: contextvars.ContextVar[str] = contextvars.ContextVar("OWNER")


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
