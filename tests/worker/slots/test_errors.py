"""What fails costs its own work item, and neither its slot nor its thread."""

from __future__ import annotations

import pytest

from tests.builders.broken_log import broken_log
from tests.builders.slots import SlotsHarness, item_without_readable_head

ERRORS = [ValueError("broken"), SystemExit(3), KeyboardInterrupt()]


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


@pytest.mark.parametrize("log_error", [OSError("the disk is full"), SystemExit(3)])
@pytest.mark.parametrize("token", ["bad", "a bad one"], ids=["on a thread", "in the loop"])
async def test_a_log_handler_that_raises_costs_neither_slot_nor_thread(
    token: str, log_error: BaseException
) -> None:
    harness = SlotsHarness(log=broken_log(log_error))

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
    harness.slots.close()


async def test_items_that_cannot_be_read_are_dropped_however_many_they_are() -> None:
    harness = SlotsHarness(limit=1)

    harness.slots.take([item_without_readable_head()] * 400)
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
