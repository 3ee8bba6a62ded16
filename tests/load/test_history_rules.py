"""The rules for one history: a good one passes, and each way to spoil it is found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.load.histories import faults_in
from tests.load.small_run import (
    LATER,
    NOON,
    called,
    child,
    child_completed,
    child_failed,
    completed,
    ended,
    failed,
    fired,
    granted,
    lock,
    raised,
    returned,
    scheduled,
    started,
    timer,
    turn,
)
from tests.load.violations import Kind

BEGIN = (turn(), started())

GOOD = {
    "nothing happens": (*BEGIN, ended()),
    "a task": (*BEGIN, scheduled(1), turn(LATER), completed(1), ended()),
    "a task that fails and is tried again under its id": (
        *(*BEGIN, scheduled(1), failed(1), timer(2), fired(2)),
        *(scheduled(1), completed(1), ended()),
    ),
    "a timer that fires when it is due": (
        *(*BEGIN, timer(1, LATER), turn(LATER), fired(1, LATER), ended()),
    ),
    "a child that fails and is tried again": (
        *(*BEGIN, child(1), child_failed(1), child(1), child_completed(1), ended()),
    ),
    "calls and locks": (*(*BEGIN, lock("s"), granted("s"), called("r"), returned("r"), ended()),),
    "events": (*BEGIN, raised("a"), raised("b"), ended()),
}

BAD = {
    "a start twice": ((*BEGIN, started(), ended()), Kind.DOUBLED, "ExecutionStarted"),
    "no start": ((turn(), ended()), Kind.LOST, "ExecutionStarted"),
    "no turn": ((started(), ended()), Kind.WRONG, "before the first turn"),
    "something before the start": ((turn(), raised("a"), started(), ended()), Kind.WRONG, "before"),
    "a turn before the one before it": (
        (turn(LATER), started(), turn(NOON), ended()),
        Kind.WRONG,
        "goes back",
    ),
    "an end twice": ((*BEGIN, ended(), ended()), Kind.DOUBLED, "ExecutionCompleted"),
    "something after the end": ((*BEGIN, ended(), raised("a")), Kind.WRONG, "after the end"),
    "no end": (BEGIN, Kind.LOST, "ExecutionCompleted"),
    "a task asked for twice": (
        (*BEGIN, scheduled(1), scheduled(1), completed(1), ended()),
        Kind.DOUBLED,
        "task 1",
    ),
    "a task asked for again though it had succeeded": (
        (*BEGIN, scheduled(1), completed(1), scheduled(1), completed(1), ended()),
        Kind.DOUBLED,
        "task 1",
    ),
    "a task completed twice": (
        (*BEGIN, scheduled(1), completed(1), completed(1), ended()),
        Kind.DOUBLED,
        "answer to task 1",
    ),
    "a task failed after it had completed": (
        (*BEGIN, scheduled(1), completed(1), failed(1), ended()),
        Kind.DOUBLED,
        "answer to task 1",
    ),
    "a task completed that nobody asked for": (
        (*BEGIN, completed(1), ended()),
        Kind.WRONG,
        "not asked for",
    ),
    "a task that is never answered": ((*BEGIN, scheduled(1), ended()), Kind.LOST, "task 1"),
    "a timer that never fires": ((*BEGIN, timer(1), ended()), Kind.LOST, "timer 1"),
    "a timer that fires twice": (
        (*BEGIN, timer(1), fired(1), fired(1), ended()),
        Kind.DOUBLED,
        "timer 1",
    ),
    "a timer that fires too early": (
        (*BEGIN, timer(1, LATER), turn(LATER - timedelta(seconds=1)), fired(1, LATER), ended()),
        Kind.WRONG,
        "before it was due",
    ),
    "a child asked for twice": (
        (*BEGIN, child(1), child(1), child_completed(1), ended()),
        Kind.DOUBLED,
        "child 1",
    ),
    "a child completed twice": (
        (*BEGIN, child(1), child_completed(1), child_completed(1), ended()),
        Kind.DOUBLED,
        "child 1",
    ),
    "a child that is never answered": ((*BEGIN, child(1), ended()), Kind.LOST, "child 1"),
    "a call answered twice": (
        (*BEGIN, called("r"), returned("r"), returned("r"), ended()),
        Kind.DOUBLED,
        "call r",
    ),
    "a call that is never answered": ((*BEGIN, called("r"), ended()), Kind.LOST, "call r"),
    "a lock granted twice": (
        (*BEGIN, lock("s"), granted("s"), granted("s"), ended()),
        Kind.DOUBLED,
        "lock s",
    ),
    "a lock that is never granted": ((*BEGIN, lock("s"), ended()), Kind.LOST, "lock s"),
}


@pytest.mark.parametrize("events", GOOD.values(), ids=GOOD)
def test_a_history_in_order_has_no_fault(events) -> None:
    assert list(faults_in("order", events, has_ended=True)) == []


@pytest.mark.parametrize(("events", "kind", "text"), BAD.values(), ids=BAD)
def test_a_history_that_is_wrong_is_found_to_be(events, kind, text) -> None:
    (violation,) = faults_in("order", events, has_ended=True)

    assert violation.kind is kind
    assert violation.of == "order"
    assert text in violation.what


def test_an_instance_that_runs_may_have_something_open() -> None:
    events = (*BEGIN, scheduled(1), timer(2), called("r"))

    assert list(faults_in("order", events, has_ended=False)) == []
