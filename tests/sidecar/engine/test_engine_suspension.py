"""A suspended instance is held by the engine: nothing it waits for is lost, nothing is run twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.sidecar.engine.commands import (
    CompleteTurn,
    RaiseEvent,
    Resume,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.transition import NotFound
from tests.builders.engine import EPOCH, EngineDriver, Status, again, end, kinds, schedule, timer

HOUR = timedelta(hours=1)


def running() -> EngineDriver:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    return hub


def test_a_suspended_instance_gets_no_turns() -> None:
    hub = running()

    hub.do(Suspend())
    commit = hub.commit(("a", RaiseEvent("hello")))

    assert hub.status() is Status.SUSPENDED
    assert commit.notifications.turns == ()
    assert hub.turn() is None


def test_a_resumed_instance_gets_what_was_held_behind_the_pair() -> None:
    hub = running()
    hub.do(Suspend("stock-taking"))
    hub.do(RaiseEvent("hello"))
    hub.finish_next('"hi"')

    commit = hub.commit(("a", Resume("done")))

    assert [ready.instance_id for ready in commit.notifications.turns] == ["a"]
    assert hub.status() is Status.RUNNING
    suspended, resumed, *held = hub.taken().new
    assert suspended.execution_suspended.input == "stock-taking"
    assert resumed.execution_resumed.input == "done"
    assert kinds(held) == ["event_raised", "task_completed"]


def test_an_activity_that_completes_while_suspended_is_executed_once() -> None:
    """In other engines every event that arrives meanwhile runs it again."""
    hub = running()
    hub.finish_next("1")
    turn = hub.taken()
    hub.do(Suspend())
    hub.answer(turn, schedule(2))
    for number in range(5):
        hub.do(RaiseEvent(f"e{number}"))
    hub.finish_next("2")
    hub.do(Resume())

    hub.decide()

    assert hub.history_kinds().count("task_scheduled") == 2
    assert hub.history_kinds().count("task_completed") == 2
    assert hub.tasks == []


def test_a_turn_that_is_out_when_the_instance_is_suspended_is_committed() -> None:
    hub = running()
    hub.finish_next()
    turn = hub.taken()
    hub.do(Suspend())

    hub.answer(turn, schedule(2))

    assert hub.status() is Status.SUSPENDED
    assert hub.history_kinds()[-1] == "task_scheduled"
    assert hub.turn() is None


def test_a_turn_that_ends_the_orchestration_ends_it_though_suspended() -> None:
    hub = running()
    hub.finish_next()
    turn = hub.taken()
    hub.do(Suspend())

    hub.answer(turn, end(result="1"))

    assert hub.status() is Status.COMPLETED


def test_suspending_twice_is_suspending_once() -> None:
    hub = running()
    hub.do(Suspend("first"))
    hub.do(Suspend("second"))

    hub.do(Resume())

    assert hub.status() is Status.RUNNING
    assert kinds(hub.taken().new) == ["execution_suspended", "execution_resumed"]
    assert hub.taken().new[0].execution_suspended.input == "first"


def test_resuming_what_is_not_suspended_changes_nothing() -> None:
    """The official worker fails an orchestration that is resumed out of the blue."""
    hub = running()
    before = hub.state().progress

    hub.do(Resume())

    assert hub.state().progress == before
    assert hub.turn() is None


def test_a_reason_that_is_empty_is_none() -> None:
    hub = running()
    hub.do(Suspend(""))
    hub.do(Resume(""))

    suspended, resumed = hub.taken().new

    assert suspended.execution_suspended.input is None
    assert resumed.execution_resumed.input is None


def test_a_pending_instance_is_held_and_starts_as_if_nothing_had_been() -> None:
    hub = EngineDriver()
    hub.start()
    hub.do(Suspend())
    assert (hub.status(), hub.turn()) == (Status.SUSPENDED, None)

    hub.do(Resume())

    assert hub.status() is Status.PENDING
    assert kinds(hub.taken().new) == ["execution_started"]


def test_a_first_turn_that_is_out_while_the_instance_is_held_and_released_counts() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()
    hub.do(Suspend())
    hub.answer(turn, schedule(1))

    hub.do(Resume())

    assert hub.status() is Status.RUNNING


def test_timers_that_come_due_meanwhile_fire_when_the_instance_is_resumed() -> None:
    hub = EngineDriver()
    hub.start()
    hub.committer.ready(hub.now)
    hub.decide(timer(1, EPOCH + HOUR))
    hub.do(Suspend())
    assert hub.committer.next_due(hub.now) is None
    hub.pass_time(2 * HOUR)
    assert hub.committer.due(hub.now).turns == ()

    hub.do(Resume())

    assert kinds(hub.taken().new)[-1] == "timer_fired"


def test_timers_that_are_not_due_yet_fire_in_their_time_after_all() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, EPOCH + HOUR))
    hub.do(Suspend())
    hub.do(Resume())
    hub.decide()

    assert hub.committer.next_due(hub.now) == EPOCH + HOUR


def test_a_suspended_instance_can_be_terminated() -> None:
    hub = running()
    hub.do(Suspend())

    hub.do(Terminate("enough"))

    assert hub.status() is Status.TERMINATED
    assert hub.state().progress.output == "enough"
    assert not hub.state().progress.is_suspended


def test_the_next_execution_of_a_suspended_instance_is_suspended() -> None:
    hub = running()
    hub.finish_next()
    turn = hub.taken()
    hub.do(Suspend())
    hub.answer(turn, again("2"))
    assert (hub.status(), hub.turn()) == (Status.SUSPENDED, None)

    hub.do(Resume())

    assert kinds(hub.taken().new) == ["execution_started"]


def test_suspended_and_resumed_are_never_parted() -> None:
    hub = running()
    hub.commit(*(("a", RaiseEvent(f"e{number}")) for number in range(1000)))
    hub.do(Suspend())
    hub.do(Resume())

    prepared = hub.items.prepare_turn("default", "a", token="t", now=hub.now, room=1)

    assert prepared is not None
    assert len(prepared.turn.consumed) == 2


@pytest.mark.parametrize(
    "command", [Suspend(), Resume(), Terminate()], ids=["suspend", "resume", "terminate"]
)
def test_nobody_cannot_be_managed(command: Suspend | Resume | Terminate) -> None:
    reply = EngineDriver().do(command, "nobody")

    assert isinstance(reply, NotFound)
    assert "nobody" in reply.text


def test_all_in_one_commit_means_the_same_as_one_by_one() -> None:
    hub = EngineDriver()
    hub.commit(("a", StartInstance("order")))
    first = hub.taken().prepared.turn

    hub.commit(
        ("a", CompleteTurn(first, [schedule(1)])),
        ("a", Suspend()),
        ("a", RaiseEvent("held")),
        ("a", Resume()),
    )

    assert kinds(hub.taken().new) == ["execution_suspended", "execution_resumed", "event_raised"]
