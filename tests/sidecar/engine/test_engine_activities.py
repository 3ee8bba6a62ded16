"""An activity is resolved once, by the first outcome of the attempt that is outstanding."""

from __future__ import annotations

from datetime import timedelta

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.commands import CompleteActivity, RaiseEvent, Terminate
from durabletask.sidecar.engine.transition import Accepted, Stale
from tests.builders.engine import (
    HUB,
    EngineDriver,
    Status,
    again,
    end,
    failure,
    kinds,
    schedule,
    timer,
)


def work_item(hub: EngineDriver, task_key: str) -> messages.WorkItem | None:
    raw = hub.items.activity_work_item(HUB, "a", task_key, token="act")
    return None if raw is None else codec.decode(messages.WorkItem, raw)


def test_a_scheduled_activity_is_handed_out_with_all_that_its_worker_needs() -> None:
    hub = EngineDriver()
    hub.start(execution_id="run-1")
    trace = messages.TraceContext(trace_parent="00-1-2-01")

    hub.decide(
        schedule(4, "greet", '"Ann"', version="2", tags={"k": "v"}, parent_trace_context=trace)
    )

    [task] = hub.tasks
    assert (task.name, task.version, task.task_id) == ("greet", "2", 4)
    item = work_item(hub, task.task_key)
    assert item is not None
    assert item.completion_token == "act"
    assert item.activity_request == messages.ActivityRequest(
        name="greet",
        version="2",
        input='"Ann"',
        orchestration_instance=messages.OrchestrationInstance(
            instance_id="a", execution_id="run-1"
        ),
        task_id=4,
        parent_trace_context=trace,
        tags={"k": "v"},
    )
    scheduled = hub.history()[-1]
    assert scheduled.event_id == 4
    assert scheduled.task_scheduled.parent_trace_context == trace
    assert scheduled.task_scheduled.tags == {"k": "v"}


def test_a_result_reaches_the_orchestrator_under_its_action_id() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(4))

    hub.finish_next('"hi"')

    [event] = hub.taken().new
    assert event.event_id == -1
    assert event.timestamp == hub.now
    assert event.task_completed.task_scheduled_id == 4
    assert event.task_completed.result == '"hi"'


def test_no_result_is_not_an_empty_one() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), schedule(2))

    hub.finish_next(None)
    hub.finish_next("")

    assert [event.task_completed.result for event in hub.taken().new] == [None, ""]


def test_failure_details_are_passed_on_unchanged() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    details = failure(
        "out of ink",
        stack_trace="line 1",
        inner_failure=failure("dry"),
        is_non_retriable=True,
        properties={"cartridge": "7"},
    )

    hub.finish(hub.tasks[0], failure=details)

    [event] = hub.taken().new
    assert event.task_failed.failure_details == details
    assert event.task_failed.task_scheduled_id == 1


def test_the_first_outcome_counts() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    [task] = hub.tasks

    assert isinstance(hub.finish(task, "1"), Accepted)
    assert isinstance(hub.finish(task, "2"), Stale)

    [event] = hub.taken().new
    assert event.task_completed.result == "1"
    assert work_item(hub, task.task_key) is None


def test_an_action_that_repeats_an_outstanding_activity_changes_nothing() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), timer(2, hub.now + timedelta(milliseconds=2)))
    hub.pass_time()

    hub.decide(schedule(1), schedule(3), schedule(3))

    assert [task.task_id for task in hub.tasks] == [1, 3]
    assert hub.history_kinds().count("task_scheduled") == 2


def test_a_retry_under_the_same_id_is_an_attempt_of_its_own() -> None:
    """The official SDK gives all attempts of one activity the same action id."""
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    [first] = hub.tasks
    hub.finish(first, failure=failure())

    hub.decide(schedule(1))

    [_, second] = hub.tasks
    assert second.task_id == first.task_id
    assert second.task_key != first.task_key
    assert isinstance(hub.finish(first, '"of attempt 1"'), Stale)
    assert isinstance(hub.finish(second, '"of attempt 2"'), Accepted)
    [event] = hub.taken().new
    assert event.task_completed.result == '"of attempt 2"'


def test_a_result_that_has_arrived_but_was_not_seen_keeps_nobody_from_scheduling_again() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), schedule(2))
    hub.finish(hub.tasks[0], failure=failure())
    turn = hub.taken()
    hub.finish(hub.tasks[1], "2")

    hub.answer(turn, schedule(1))

    assert [task.task_id for task in hub.tasks] == [1, 2, 1]
    assert kinds(hub.taken().new) == ["task_completed"]


def test_activities_of_an_orchestration_that_completed_still_run_and_their_results_are_dropped() -> (
    None
):
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), end())
    [task] = hub.tasks

    assert work_item(hub, task.task_key) is not None
    assert isinstance(hub.finish(task, "1"), Accepted)
    assert hub.status() is Status.COMPLETED
    assert hub.history_kinds()[-1] == "execution_completed"
    assert work_item(hub, task.task_key) is None


def test_termination_takes_activities_back() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    [task] = hub.tasks

    commit = hub.commit(("a", Terminate()))

    assert commit.notifications.withdrawn == ((HUB, "a", task.task_key),)
    assert work_item(hub, task.task_key) is None
    assert isinstance(hub.finish(task, "1"), Stale)


def test_a_result_for_an_older_execution_is_dropped() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    hub.do(RaiseEvent("go"))
    hub.decide(again())
    hub.decide(schedule(1))
    old, _new = hub.tasks

    assert isinstance(hub.finish(old, '"old"'), Stale)

    assert hub.turn() is None


def test_keys_that_nobody_issued_name_no_activity() -> None:
    hub = EngineDriver()
    hub.start(execution_id="run-1")
    hub.decide(schedule(1))
    number = hub.tasks[0].task_key.rpartition(":")[2]

    for key in ("", ":", "run-1:", number, f"other:{number}", "run-1:²", "run-1:" + "9" * 6000):
        assert isinstance(hub.do(CompleteActivity(key, "1")), Stale), key

    assert hub.turn() is None
