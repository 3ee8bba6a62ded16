"""Continue-as-new: what belongs to the execution goes, what came from outside stays."""

from __future__ import annotations

from datetime import timedelta

from durabletask.protocol import events, messages
from durabletask.sidecar.engine.commands import CompleteTurn, RaiseEvent
from tests.builders.engine import (
    HUB,
    EngineDriver,
    Status,
    again,
    child,
    end,
    kinds,
    schedule,
    send,
    timer,
)


def names(hub: EngineDriver, instance_id: str = "a") -> list[str]:
    raised = [event.event_raised for event in hub.taken(instance_id).new]
    return [event.name for event in raised if event is not None]


def test_the_next_execution_begins_with_the_new_input_and_no_history() -> None:
    hub = EngineDriver()
    hub.start(input="1", version="1", tags={"k": "v"})
    old = hub.state().origin

    hub.decide(again("2"))

    new = hub.state().origin
    assert hub.status() is Status.RUNNING
    assert hub.history() == []
    assert (new.input, new.version, dict(new.tags)) == ("2", "1", {"k": "v"})
    assert new.created_at == old.created_at
    assert new.execution_id != old.execution_id
    turn = hub.taken()
    assert turn.request.execution_id == new.execution_id
    [started] = turn.new
    assert started.execution_started.input == "2"
    assert started.execution_started.tags == {"k": "v"}
    orchestration = started.execution_started.orchestration_instance
    assert orchestration.execution_id == new.execution_id


def test_the_worker_may_choose_a_new_version() -> None:
    hub = EngineDriver()
    hub.start(version="1")

    hub.decide(again(new_version="2"))

    assert hub.state().origin.version == "2"
    assert hub.taken().new[0].execution_started.version == "2"


def test_the_parents_span_and_the_custom_status_stay() -> None:
    hub = EngineDriver()
    trace = messages.TraceContext(trace_parent="00-1-2-01")
    hub.start(parent_trace_context=trace)

    hub.decide(again(), custom_status='"1 done"')

    assert hub.state().progress.custom_status == '"1 done"'
    assert hub.taken().new[0].execution_started.parent_trace_context == trace


def test_carried_events_come_first_then_those_that_came_in_since() -> None:
    hub = EngineDriver()
    hub.start()
    hub.do(RaiseEvent("one"))
    hub.do(RaiseEvent("two"))
    turn = hub.taken()
    hub.do(RaiseEvent("three"))

    carried = tuple(event for event in turn.new if event.event_raised is not None)
    hub.answer(turn, again(carry=carried))

    assert hub.taken().new_kinds[:2] == ["orchestrator_started", "execution_started"]
    assert names(hub) == ["one", "two", "three"]


def test_carried_events_keep_their_order_though_one_turn_cannot_hold_them() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(
        again(carry=tuple(events.event_raised(f"e{number}", None) for number in range(1500)))
    )
    first = hub.taken()
    seen = [event for event in first.new if event.event_raised is not None]
    assert len(seen) < 1500

    hub.answer(first, again(carry=tuple(seen)))
    first, second = hub.decide(), hub.decide()

    order = [event.event_raised.name for event in (*first.new[1:], *second.new)]
    assert order == [f"e{number}" for number in range(1500)]


def test_what_else_was_asked_for_in_the_same_turn_goes_out() -> None:
    hub = EngineDriver()
    hub.start("b")
    hub.decide(to="b")
    hub.start()

    hub.decide(send(1, "b", "ping"), child(2, "kid"), again())

    assert names(hub, "b") == ["ping"]
    assert hub.status("kid") is Status.PENDING


def test_an_event_that_an_orchestration_sends_itself_reaches_its_next_execution() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(send(1, "a", "note"), again())

    assert names(hub) == ["note"]


def test_results_that_were_not_read_are_dropped() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), child(2, "kid"), timer(3, hub.now + timedelta(seconds=1)))
    hub.do(RaiseEvent("go"))
    turn = hub.taken()
    hub.finish_next("1")
    hub.decide(end(), to="kid")
    hub.pass_time(timedelta(seconds=2))

    hub.answer(turn, again())

    assert kinds(hub.taken().new) == ["execution_started"]


def test_a_child_of_the_old_execution_goes_on_and_its_result_reaches_nobody() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"))
    hub.do(RaiseEvent("go"))
    hub.decide(again())
    hub.decide(child(1, "other"))

    hub.decide(end(), to="kid")

    assert hub.status("kid") is Status.COMPLETED
    assert hub.turn() is None


def test_the_ids_of_outstanding_work_are_free_again() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), timer(2, hub.now + timedelta(hours=1)), child(3, "kid"))
    hub.do(RaiseEvent("go"))
    hub.decide(again())

    hub.decide(schedule(1), timer(2, hub.now + timedelta(hours=1)), child(3, "kid-2"))

    created = ["task_scheduled", "timer_created", "sub_orchestration_instance_created"]
    assert hub.history_kinds()[2:] == created


def test_a_child_that_continues_as_new_still_reports_to_its_parent() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"))
    hub.decide(again("2"), to="kid")

    hub.decide(end(result="3"), to="kid")

    [event] = hub.taken().new
    assert event.sub_orchestration_instance_completed.result == "3"


def test_a_thousand_executions_leave_no_more_behind_than_one() -> None:
    hub = EngineDriver()
    hub.start(input="0")

    for number in range(1000):
        hub.decide(schedule(1), timer(2, hub.now + timedelta(hours=1)), again(str(number)))

    assert hub.history() == []
    assert len(hub.state().inbox) == 1
    assert list(hub.store.outstanding_tasks()) == []
    assert hub.status() is Status.RUNNING


def test_a_new_execution_voids_the_turns_of_the_old_one() -> None:
    hub = EngineDriver()
    hub.start()

    commit = hub.commit(("a", CompleteTurn(hub.taken().prepared.turn, [again()])))

    assert commit.notifications.void_turns == ((HUB, "a"),)
    assert commit.notifications.ended == ()
    assert [ready.instance_id for ready in commit.notifications.turns] == ["a"]


def test_only_the_first_execution_was_scheduled_for_later() -> None:
    hub = EngineDriver()
    hub.start(scheduled_start=hub.now + timedelta(hours=1))
    hub.pass_time(timedelta(hours=1))

    first = hub.decide(again())

    assert first.new[0].execution_started.scheduled_start_timestamp is not None
    assert hub.taken().new[0].execution_started.scheduled_start_timestamp is None
    assert hub.state().origin.scheduled_start is None
