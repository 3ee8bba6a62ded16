"""A timer fires at its time or later, once, in the order of the times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from durabletask.sidecar.engine.commands import RaiseEvent
from tests.builders.engine import EPOCH, EngineDriver, again, end, timer

SECOND = timedelta(seconds=1)


def fired(hub: EngineDriver) -> list[int]:
    return [event.timer_fired.timer_id for event in hub.taken().new]


def test_a_timer_fires_at_its_time() -> None:
    hub = EngineDriver()
    hub.start()
    hub.committer.ready(hub.now)
    hub.decide(timer(1, EPOCH + SECOND))

    hub.now = EPOCH + SECOND - timedelta(microseconds=1)
    assert hub.turn() is None
    assert hub.committer.due(hub.now).turns == ()
    assert hub.committer.next_due(hub.now) == EPOCH + SECOND

    hub.now = EPOCH + SECOND
    assert [ready.instance_id for ready in hub.committer.due(hub.now).turns] == ["a"]
    assert fired(hub) == [1]


def test_what_became_due_is_told_once() -> None:
    hub = EngineDriver()
    hub.start()
    hub.committer.ready(hub.now)
    hub.decide(timer(1, EPOCH + SECOND))
    hub.pass_time(SECOND)

    assert hub.committer.due(hub.now).turns != ()
    assert hub.committer.due(hub.now).turns == ()


def test_the_time_is_passed_on_exactly() -> None:
    """The official worker chains long timers by comparing it."""
    hub = EngineDriver()
    hub.start()
    fire_at = EPOCH + timedelta(seconds=1, microseconds=7)
    hub.decide(timer(1, fire_at))
    hub.pass_time(timedelta(hours=1))

    [event] = hub.taken().new

    assert event.timer_fired.fire_at == fire_at
    assert hub.history()[-1].timer_created.fire_at == fire_at
    assert hub.history()[-1].event_id == 1


def test_a_timer_of_the_past_fires_now() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(timer(1, EPOCH - SECOND))

    assert fired(hub) == [1]


def test_timers_fire_in_the_order_of_their_times() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, EPOCH + 3 * SECOND), timer(2, EPOCH + SECOND), timer(3, EPOCH + SECOND))
    hub.pass_time(5 * SECOND)

    assert fired(hub) == [2, 3, 1]


def test_a_timer_takes_its_place_among_events_by_time() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, EPOCH + SECOND))
    hub.do(RaiseEvent("before"))
    hub.now = EPOCH + 2 * SECOND
    hub.do(RaiseEvent("after"))

    names = [event.event_raised and event.event_raised.name for event in hub.taken().new]

    assert names == ["before", None, "after"]


def test_an_action_that_repeats_a_timer_under_way_changes_nothing() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, EPOCH + SECOND), timer(1, EPOCH + SECOND))
    hub.do(RaiseEvent("go"))
    hub.decide(timer(1, EPOCH + 2 * SECOND))
    hub.pass_time(5 * SECOND)

    assert fired(hub) == [1]


def test_the_turn_that_sees_a_timer_fire_may_set_it_again() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, EPOCH + SECOND))
    hub.pass_time(SECOND)

    hub.decide(timer(1, EPOCH + 3 * SECOND))

    assert hub.history_kinds().count("timer_created") == 2
    hub.pass_time(5 * SECOND)
    assert fired(hub) == [1]


def test_timers_in_the_far_future_are_kept() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(timer(1, datetime.max.replace(tzinfo=UTC)))

    assert hub.committer.next_due(hub.now) == datetime.max.replace(tzinfo=UTC)
    assert hub.turn() is None


def test_an_ended_execution_takes_its_timers_with_it() -> None:
    hub = EngineDriver()
    hub.start("a")
    hub.start("b")
    hub.decide(timer(1, EPOCH + SECOND), end(), to="a")
    hub.decide(timer(1, EPOCH + SECOND), again(), to="b")
    hub.decide(to="b")
    hub.pass_time(2 * SECOND)

    assert hub.turn("a") is None
    assert hub.turn("b") is None
    assert hub.committer.next_due(EPOCH) is None
