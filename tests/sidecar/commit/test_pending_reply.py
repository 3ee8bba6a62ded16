"""Everybody who waits for a submission learns what became of it, in the moment it is known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durabletask.sidecar.commit.pending_reply import PendingReply
from durabletask.sidecar.engine.transition import ACCEPTED
from durabletask.sidecar.errors import CommitFailedError


async def test_all_who_await_it_have_the_reply() -> None:
    pending = PendingReply()
    waiting = [asyncio.ensure_future(pending) for _ in range(2)]
    await asyncio.sleep(0)

    pending.set_reply(ACCEPTED)

    assert await asyncio.gather(*waiting, pending) == [ACCEPTED] * 3


async def test_all_who_await_it_have_the_error() -> None:
    pending = PendingReply()
    waiting = asyncio.ensure_future(pending)
    await asyncio.sleep(0)

    pending.set_error(CommitFailedError("disk full"))

    for each in (waiting, pending):
        with pytest.raises(CommitFailedError, match="disk full"):
            await each


async def test_one_that_is_cancelled_does_not_cancel_it_for_the_others() -> None:
    pending = PendingReply()
    gone, waiting = (asyncio.ensure_future(pending) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)

    pending.set_reply(ACCEPTED)

    assert await waiting == ACCEPTED
    assert gone.cancelled()


async def test_callbacks_run_before_the_event_loop_goes_on() -> None:
    pending = PendingReply()
    told: list[Any] = []
    pending.call_when_done(lambda: told.append(pending.result()))

    pending.set_reply(ACCEPTED)
    pending.call_when_done(lambda: told.append("late"))

    assert told == [ACCEPTED, "late"]


async def test_a_callback_that_raises_keeps_nobody_from_being_told() -> None:
    pending = PendingReply()
    told: list[str] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: reported.append(found))
    pending.call_when_done(lambda: 1 / 0)
    pending.call_when_done(lambda: told.append("told"))

    pending.set_reply(ACCEPTED)

    assert told == ["told"]
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_there_is_no_result_before_it_is_done() -> None:
    pending = PendingReply()

    assert not pending.done()
    with pytest.raises(asyncio.InvalidStateError):
        pending.result()
