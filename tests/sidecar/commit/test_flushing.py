"""A commit waits for the disk on the event loop as long as the disk is quick."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from durabletask.sidecar.commit.flushing import Flushing, FlushPace

QUICK, BETWEEN, SLOW = 0.0001, 0.0008, 0.005


def paced(*durations: float) -> FlushPace:
    """The pace after these flushes."""
    pace = FlushPace()
    for seconds in durations:
        pace.measured(seconds)
    return pace


def test_the_first_flush_is_on_the_loop() -> None:
    assert not paced().is_next_on_thread()


@pytest.mark.parametrize(
    ("durations", "on_thread"),
    [
        ([QUICK] * 40, False),
        ([BETWEEN] * 40, False),
        ([SLOW] * 15, False),
        ([SLOW] * 16, True),
        ([*[SLOW] * 15, BETWEEN], False),
        ([QUICK, *[SLOW] * 15], False),
        ([QUICK, *[SLOW] * 16], True),
        ([*[SLOW] * 16, BETWEEN], True),
        ([*[SLOW] * 16, QUICK], False),
    ],
    ids=lambda it: "" if isinstance(it, list) else str(it),
)
def test_the_quickest_of_the_last_sixteen_decides_and_between_the_limits_it_stays_as_it_is(
    durations: list[float], *, on_thread: bool
) -> None:
    assert paced(*durations).is_next_on_thread() is on_thread


@pytest.mark.parametrize(
    ("durations", "seconds"),
    [([SLOW] * 15, 0), ([*[SLOW] * 7, *[QUICK] * 9], QUICK), ([SLOW] * 16, SLOW)],
    ids=["too few", "mixed", "slow"],
)
def test_a_flush_typically_takes_as_long_as_the_median_of_the_last_sixteen(
    durations: list[float], seconds: float
) -> None:
    assert paced(*durations).typical() == seconds


def test_slow_flushes_are_measured_on_the_loop_now_and_then() -> None:
    pace = paced(*[SLOW] * 16)

    choices = [pace.is_next_on_thread() for _ in range(64)]

    assert [n for n, on_thread in enumerate(choices, 1) if not on_thread] == [32, 64]


def test_a_disk_that_becomes_quick_is_noticed_while_flushes_are_on_the_thread() -> None:
    pace = paced(*[SLOW] * 16)

    for _ in range(200):
        if not pace.is_next_on_thread():
            pace.measured(QUICK)

    assert not any(pace.is_next_on_thread() for _ in range(100))


def test_a_flush_is_done_on_another_thread_which_ends_with_it() -> None:
    flushing = Flushing()
    seen: list[Any] = []

    flushing.start(lambda: seen.append(threading.current_thread())).result()
    flushing.close()

    [thread] = seen
    assert thread is not threading.current_thread()
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [None, OSError("disk")], ids=["stored", "failed"])
def test_a_flush_is_done_where_it_is_when_there_can_be_no_thread(error: Exception | None) -> None:
    flushing = Flushing()
    flushing.close()
    seen: list[Any] = []

    def flush() -> None:
        seen.append(threading.current_thread())
        if error is not None:
            raise error

    future = flushing.start(flush)

    assert future.exception() is error
    assert seen == [threading.current_thread()]
