"""How many work items are at work at a time, and which wait."""

from __future__ import annotations

import asyncio
import logging
import threading

from durabletask.worker._slots import Slots
from tests.builders.slots import CountingDelivery, Job, ScriptedHandler, SlotsHarness, item
from tests.builders.worker import settle


async def test_before_the_first_item_they_are_idle(harness: SlotsHarness) -> None:
    await harness.idle()


async def test_no_more_items_are_begun_than_there_are_slots(harness: SlotsHarness) -> None:
    may_end = asyncio.Event()
    harness.handler.on_loop = lambda _token: may_end.wait()

    await harness.put(*(f"a{n}" for n in range(4)))
    await settle()
    assert harness.handler.prepared == ["a0", "a1"]

    may_end.set()
    await harness.idle()
    assert harness.handler.prepared == ["a0", "a1", "a2", "a3"]


async def test_a_full_queue_makes_the_reader_wait(harness: SlotsHarness) -> None:
    may_end = asyncio.Event()
    harness.handler.on_loop = lambda _token: may_end.wait()
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
    # The last are told in the event loop that they are finished, or here.
    slots.close()
    delivery.close()

    assert sorted(delivery.tokens) == sorted(handler.finished) == sorted(handler.prepared)
    assert len(set(delivery.tokens)) == 800
    assert delivery.most <= 3
