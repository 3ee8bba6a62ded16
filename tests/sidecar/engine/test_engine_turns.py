"""A turn is committed once, whole, in order, and only if it is still the one that is wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.commit.committer import Submission
from durabletask.sidecar.engine.commands import CompleteTurn, RaiseEvent, Resume, Suspend
from durabletask.sidecar.engine.transition import Accepted, Stale
from tests.builders.engine import (
    EPOCH,
    HUB,
    ROOMY,
    EngineDriver,
    Status,
    again,
    end,
    fail,
    failure,
    kinds,
    schedule,
    send,
    timer,
)

ENDINGS = [Status.COMPLETED, Status.FAILED, Status.TERMINATED, Status.CANCELED]


def test_the_first_committed_turn_makes_the_instance_running() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(schedule(1))

    assert hub.status() is Status.RUNNING
    assert hub.history_kinds() == ["orchestrator_started", "execution_started", "task_scheduled"]


def test_preparing_a_turn_changes_nothing() -> None:
    hub = EngineDriver()
    hub.start()

    assert hub.taken().request == hub.taken().request
    assert hub.history() == []
    assert hub.status() is Status.PENDING


def test_a_turn_carries_the_committed_history_and_only_what_is_new() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    hub.finish_next('"hi"')

    turn = hub.taken()

    assert turn.request.past_events == hub.history()
    assert turn.new_kinds == ["orchestrator_started", "task_completed"]


def test_the_history_holds_what_the_worker_was_shown() -> None:
    hub = EngineDriver()
    hub.start()
    first = hub.decide(schedule(1))
    hub.finish_next()

    second = hub.decide()

    shown = [*first.request.new_events, *second.request.new_events]
    assert [event for event in hub.history() if event in shown] == shown
    assert len(hub.history()) == len(shown) + 1


def test_without_news_there_is_no_turn() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))

    assert hub.turn() is None


def test_events_that_come_in_during_a_turn_are_seen_by_the_next_one_in_order() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()
    for name in ("one", "two", "three"):
        hub.do(RaiseEvent(name))

    hub.answer(turn)

    assert [event.event_raised.name for event in hub.taken().new] == ["one", "two", "three"]


def test_completing_a_turn_tells_that_there_is_more_to_do() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()
    hub.do(RaiseEvent("more"))

    commit = hub.commit(("a", CompleteTurn(turn.prepared.turn, ())))

    assert [ready.instance_id for ready in commit.notifications.turns] == ["a"]


def test_a_turn_counts_once() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.decide(schedule(1))
    before = hub.history()

    reply = hub.answer(turn, schedule(2))

    assert isinstance(reply, Stale)
    assert hub.history() == before
    assert len(hub.tasks) == 1


def test_of_two_answers_in_one_commit_the_first_counts() -> None:
    hub = EngineDriver()
    hub.start()
    taken = hub.taken().prepared.turn

    commit = hub.commit(
        ("a", CompleteTurn(taken, [end(result="1")])), ("a", CompleteTurn(taken, [fail()]))
    )

    assert [type(reply) for reply in commit.replies] == [Accepted, Stale]
    assert hub.state().progress.output == "1"


def test_a_refused_turn_still_tells_that_the_instance_has_something_to_do() -> None:
    hub = EngineDriver()
    hub.start()
    stale = hub.taken().prepared.turn
    hub.decide()
    hub.do(RaiseEvent("more"))

    commit = hub.commit(("a", CompleteTurn(stale, ())))

    assert [ready.instance_id for ready in commit.notifications.turns] == ["a"]


def test_a_turn_of_no_instance_is_stale() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()

    assert isinstance(hub.answer(turn, to="nobody"), Stale)


def test_the_orchestrators_clock_never_runs_backwards() -> None:
    hub = EngineDriver()
    hub.start()
    first = hub.decide()
    hub.do(RaiseEvent("go"))
    hub.now = EPOCH - timedelta(hours=1)
    hub.do(RaiseEvent("again"))

    second = hub.turn()
    hub.now = EPOCH + timedelta(milliseconds=3)
    second = second or hub.taken()

    assert second.request.new_events[0].timestamp >= first.request.new_events[0].timestamp


def test_a_turn_takes_a_thousand_events_and_leaves_the_rest_to_the_next() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide()
    hub.commit(*(("a", RaiseEvent(f"e{number}")) for number in range(1500)))

    first = hub.decide()
    second = hub.decide()

    names = [event.event_raised.name for event in (*first.new, *second.new)]
    assert names == [f"e{number}" for number in range(1500)]
    assert len(first.new) == 1000


def test_a_turn_takes_no_more_bytes_than_there_is_room_for_but_always_one_event() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide()
    for name in ("one", "two", "three"):
        hub.do(RaiseEvent(name, "x" * 40_000))

    def batch(room: int) -> int:
        prepared = hub.items.prepare_turn(HUB, "a", token="t", now=hub.now, room=room)
        assert prepared is not None
        return len(prepared.turn.consumed)

    assert batch(100_000) == 2
    assert batch(10) == 1
    assert batch(ROOMY) == 3


@pytest.mark.parametrize("status", ENDINGS)
def test_a_completion_ends_the_instance(status: messages.OrchestrationStatus) -> None:
    hub = EngineDriver()
    hub.start()
    details = failure() if status is Status.FAILED else None

    hub.decide(end(7, '"done"', status=status, failure_details=details))

    progress = hub.state().progress
    assert progress.status is status
    assert (progress.output, progress.failure) == ('"done"', details)
    assert progress.completed_at == hub.now
    completed = hub.history()[-1]
    assert completed.event_id == 7
    assert completed.execution_completed.orchestration_status is status
    assert completed.execution_completed.result == '"done"'


def test_what_comes_along_with_the_completion_is_carried_out_first() -> None:
    hub = EngineDriver()
    hub.start("b")
    hub.decide(to="b")
    hub.start()

    hub.decide(end(3), send(1, "b", "bye"), schedule(2))

    assert hub.history_kinds()[2:] == ["event_sent", "task_scheduled", "execution_completed"]
    assert kinds(hub.taken("b").new) == ["event_raised"]
    assert [task.name for task in hub.tasks] == ["greet"]


def test_the_first_completion_counts() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(end(1, "1"), end(2, "2"), again("3"))

    assert hub.state().progress.output == "1"
    assert hub.history_kinds().count("execution_completed") == 1


def test_nothing_happens_to_an_instance_that_has_ended() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), timer(2, hub.now + timedelta(seconds=1)), end())
    before, history = hub.state().progress, hub.history()
    hub.pass_time(timedelta(hours=1))

    for command in (RaiseEvent("late"), Suspend(), Resume()):
        assert isinstance(hub.do(command), Accepted)
    hub.finish_next('"late"')

    assert hub.turn() is None
    assert len(hub.state().inbox) == 0
    assert hub.history() == history
    after = hub.state().progress
    assert (after.status, after.updated_at) == (before.status, before.updated_at)
    assert hub.committer.next_due(EPOCH) is None


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(messages.OrchestratorAction(id=5), id="none"),
        pytest.param(
            messages.OrchestratorAction(
                id=5, send_entity_message=messages.SendEntityMessageAction()
            ),
            id="not-served",
        ),
        pytest.param(end(5, status=Status.RUNNING), id="no-ending"),
    ],
)
def test_an_action_that_cannot_be_carried_out_fails_the_orchestration_once(
    action: messages.OrchestratorAction,
) -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(schedule(1), action)

    progress = hub.state().progress
    assert progress.status is Status.FAILED
    assert progress.failure is not None
    assert progress.failure.error_type == "UnsupportedAction"
    assert "5" in progress.failure.error_message
    assert hub.history_kinds().count("execution_completed") == 1
    assert hub.tasks == []
    assert hub.turn() is None


def test_a_worker_without_the_version_stalls_the_orchestration_and_does_nothing_else() -> None:
    hub = EngineDriver()
    hub.start()
    lacking = messages.OrchestratorAction(
        id=2,
        orchestration_version_not_available=messages.OrchestrationVersionNotAvailableAction(),
    )

    hub.decide(schedule(1), lacking, end(3))

    assert hub.status() is Status.STALLED
    assert hub.tasks == []
    assert hub.history_kinds() == ["orchestrator_started", "execution_started", "execution_stalled"]


def test_the_custom_status_is_the_workers_word_each_turn() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(custom_status='"packing"')
    assert hub.state().progress.custom_status == '"packing"'

    hub.do(RaiseEvent("go"))
    hub.decide()
    assert hub.state().progress.custom_status is None


def test_the_workers_trace_context_comes_back_with_the_next_turn() -> None:
    hub = EngineDriver()
    hub.start()
    trace = messages.OrchestrationTraceContext(span_id="1", span_start_time=EPOCH)
    hub.decide(trace_context=trace)
    hub.do(RaiseEvent("go"))

    assert hub.taken().request.orchestration_trace_context == trace


def test_a_turn_is_stale_once_another_was_committed_though_its_events_still_wait() -> None:
    """Suspended and resumed overtake them, and a stream may have room for no more."""
    hub = EngineDriver()
    hub.start()
    hub.decide()
    hub.do(RaiseEvent("go"))
    stale = hub.taken()
    hub.do(Suspend())
    hub.do(Resume())
    pair = hub.items.prepare_turn(HUB, "a", token="t", now=hub.now, room=1)
    assert pair is not None
    hub.do(CompleteTurn(pair.turn, ()))

    reply = hub.answer(stale, end())

    assert isinstance(reply, Stale)
    assert kinds(hub.taken().new) == ["event_raised"]


def test_a_turn_of_another_execution_is_stale() -> None:
    hub = EngineDriver()
    hub.start()
    turn = replace(hub.taken().prepared.turn, execution_id="another")

    assert isinstance(hub.do(CompleteTurn(turn, [end()])), Stale)
    assert hub.status() is Status.PENDING


def test_a_worker_that_ends_as_terminated_takes_back_what_it_scheduled_on_the_way() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(schedule(1), end(status=Status.TERMINATED))

    assert hub.tasks == []
    assert list(hub.store.outstanding_tasks()) == []


def test_the_clock_of_an_orchestrator_does_not_stand_still_between_turns() -> None:
    """Workers make ids of it, and a new execution counts its ids from the start."""
    hub = EngineDriver()
    hub.start()
    first = hub.taken()
    command = CompleteTurn(first.prepared.turn, [again("1")])
    # As fast as that: no time passes between the two turns.
    hub.committer.commit([Submission(HUB, "a", command)], now=hub.now, new_id=lambda: "next")

    second = hub.taken()

    times = [turn.request.new_events[0].timestamp for turn in (first, second)]
    assert times[0] < times[1]
