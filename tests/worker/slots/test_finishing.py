"""When `on_finished` of a completion is called: once it is delivered, or given up by `close`."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from durabletask.worker._slots import Slots
from tests.builders.slots import Job, ScriptedHandler, SlotsHarness, item
from tests.builders.worker import refusal, settle

if TYPE_CHECKING:
    from durabletask.worker._delivery import Answered
    from durabletask.worker._work_items import Completion


async def test_it_is_called_when_the_completion_is_delivered(harness: SlotsHarness) -> None:
    harness.may_deliver.clear()
    await harness.put("c")
    await asyncio.wait_for(harness.deliveries.acquire(), 10)
    assert harness.handler.finished == []

    harness.may_deliver.set()
    await harness.idle()

    assert harness.handler.finished == ["c"]


async def test_closing_gives_up_a_completion_that_is_being_delivered(harness: SlotsHarness) -> None:
    harness.may_deliver.clear()
    await harness.put("c")
    await asyncio.wait_for(harness.deliveries.acquire(), 10)

    harness.slots.close()
    assert harness.handler.finished == ["c"]

    await harness.slots.wait_closed()
    await settle()
    assert harness.handler.finished == ["c"]


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_each_completion_is_given_up_or_delivered_whenever_the_slots_are_closed(
    harness: SlotsHarness, turns_of_the_loop: int
) -> None:
    harness.may_deliver.clear()
    may_end = asyncio.Event()
    harness.handler.on_loop = lambda _token: may_end.wait()
    await harness.put("a")
    await settle()

    may_end.set()
    for _ in range(turns_of_the_loop):
        await asyncio.sleep(0)
    harness.slots.close()
    await harness.slots.wait_closed()
    await settle()

    assert harness.handler.finished == harness.handler.completed


class HoldingDelivery:
    """Takes completions in batches, and answers them when it is told to."""

    def __init__(self) -> None:
        self.answered: list[Answered] = []
        self.has_sent = threading.Event()

    def send(self, completion: Completion, answered: Answered) -> bool:
        self.answered.append(answered)
        self.has_sent.set()
        return True

    async def deliver(self, *_: object) -> None:
        raise AssertionError("after the close nothing is delivered")


@pytest.mark.parametrize("error", [None, refusal("UNAVAILABLE")], ids=["success", "error"])
@pytest.mark.parametrize("is_answered_before", [False, True], ids=["answered after", "before"])
async def test_closing_gives_up_a_completion_in_a_batch_whenever_it_is_answered(
    error: Exception | None, is_answered_before: bool
) -> None:
    handler, delivery = ScriptedHandler(), HoldingDelivery()
    slots: Slots[Job] = Slots(
        "test", handler, limit=1, threads=1, delivery=delivery, log=logging.getLogger("test")
    )
    slots.take([item("c")])
    await asyncio.to_thread(delivery.has_sent.wait, 10)

    if is_answered_before:
        # The event loop has not been told of it yet.
        delivery.answered[0](None, error)
    slots.close()
    assert handler.finished == ["c"]

    if not is_answered_before:
        delivery.answered[0](None, error)
    await settle()
    assert handler.finished == ["c"]
