"""A failed orchestration tries again what failed, and goes on with all the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durabletask.protocol import events, messages
from durabletask.sidecar.engine.commands import Purge, RaiseEvent, Rewind, Terminate
from durabletask.sidecar.engine.transition import ACCEPTED, FailedPrecondition, NotFound
from tests.builders.engine import EngineDriver, Status, child, end, fail, kinds, schedule, timer
from tests.builders.engine_entities import answer, call, holder, lock, returned, run, taken

HOUR = timedelta(hours=1)


def failed(*actions: Any) -> EngineDriver:
    """A hub whose orchestration asked for these and then failed on an activity."""
    hub = EngineDriver()
    hub.start(execution_id="first")
    hub.decide(*actions, schedule(50, "fragile"))
    hub.finish(hub.tasks.pop(), failure=messages.TaskFailureDetails(error_message="no"))
    hub.decide(fail())
    return hub


def rewound(hub: EngineDriver, to: str = "a", *, execution_id: str = "second") -> Any:
    """Let a worker rewind the instance, by the official rules."""
    turn = hub.taken(to)
    failures = {
        event.task_failed.task_scheduled_id
        for event in turn.request.past_events
        if event.task_failed is not None
    }
    history = [event for event in turn.request.past_events if _is_kept(event, failures)]
    for event in history:
        if event.execution_started is not None:
            event.execution_started.orchestration_instance.execution_id = execution_id
    hub.answer(turn, rewinding(history), to=to)
    return turn


def _is_kept(event: Any, failures: set[int]) -> bool:
    dropped = (
        event.task_failed,
        event.sub_orchestration_instance_failed,
        event.execution_completed,
    )
    is_failed = event.task_scheduled is not None and event.event_id in failures
    return not is_failed and all(each is None for each in dropped)


def rewinding(history: list[Any]) -> Any:
    action = messages.RewindOrchestrationAction(new_history=history)
    return messages.OrchestratorAction(id=-1, rewind_orchestration=action)


def test_the_turn_that_rewinds_has_nothing_else_in_it() -> None:
    hub = failed()
    hub.do(Rewind("mended"))
    hub.do(RaiseEvent("go"))

    turn = hub.taken()

    assert kinds(turn.request.new_events) == ["orchestrator_started", "execution_rewound"]
    assert turn.request.new_events[1].execution_rewound.reason == "mended"
    assert kinds(turn.request.past_events)[-1] == "execution_completed"


def test_a_rewound_instance_runs_again_and_has_not_ended() -> None:
    hub = failed()

    hub.do(Rewind())

    progress = hub.state().progress
    assert progress.status is Status.RUNNING
    assert progress.completed_at is None
    assert progress.failure is None


def test_the_new_history_takes_the_place_of_the_old_one() -> None:
    hub = failed()
    hub.do(Rewind())

    rewound(hub)

    assert hub.history_kinds() == [
        "orchestrator_started",
        "execution_started",
        "orchestrator_started",
    ]
    assert hub.state().origin.execution_id == "second"
    assert hub.state().progress.history_length == 3


def test_the_next_turn_has_its_start_alone_and_what_came_meanwhile() -> None:
    hub = failed()
    hub.do(Rewind())
    hub.do(RaiseEvent("go"))

    rewound(hub)

    assert kinds(hub.taken().request.new_events) == ["orchestrator_started", "event_raised"]


def test_a_turn_is_due_though_nothing_has_happened() -> None:
    hub = failed()
    hub.do(Rewind())

    rewound(hub)

    assert kinds(hub.taken().request.new_events) == ["orchestrator_started"]
    hub.decide(schedule(50, "fragile"))
    hub.finish_next('"mended"')
    hub.decide(end(result='"done"'))
    assert hub.status() is Status.COMPLETED


@pytest.mark.parametrize("ending", [end(result="1"), None], ids=["completed", "running"])
def test_only_what_has_failed_is_rewound(ending: Any) -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(*([] if ending is None else [ending]))

    reply = hub.do(Rewind())

    assert isinstance(reply, FailedPrecondition)
    assert "only an instance that has FAILED" in reply.text


def test_nobody_is_rewound_who_does_not_exist() -> None:
    assert isinstance(EngineDriver().do(Rewind(), "nobody"), NotFound)


def test_an_activity_that_a_worker_is_still_at_is_not_run_again() -> None:
    hub = failed(schedule(1, "slow"))
    (slow,) = hub.tasks
    hub.do(Rewind())

    rewound(hub)

    assert hub.tasks == [slow, slow] or hub.tasks == [slow]
    assert [row.key for row in hub.state().tasks.values()] == [slow.task_key]
    hub.finish(slow, '"late"')
    assert kinds(hub.taken().new) == ["task_completed"]


def test_an_activity_whose_result_was_dropped_is_run_again() -> None:
    hub = failed(schedule(1, "slow"))
    hub.finish_next('"nobody heard"')
    hub.do(Rewind())

    rewound(hub)

    (again,) = hub.tasks
    assert (again.name, again.task_id) == ("slow", 1)
    hub.finish(again, '"heard"')
    assert hub.taken().new[-1].task_completed.result == '"heard"'


def test_a_timer_that_was_under_way_fires() -> None:
    hub = EngineDriver()
    fire_at = hub.now + HOUR
    hub.start()
    hub.decide(timer(1, fire_at), fail())
    hub.do(Rewind())
    rewound(hub)
    hub.decide()

    hub.pass_time(HOUR)

    assert hub.taken().new[0].timer_fired.fire_at == fire_at


def test_a_call_of_an_entity_that_was_under_way_is_answered() -> None:
    hub = failed(call(1, "r1"))
    run(hub)
    hub.do(Rewind())

    rewound(hub)

    assert taken(hub).request_ids == ["r1"]
    run(hub, "@counter@a", returned("2"))
    assert hub.taken().new[-1].entity_operation_completed.output == "2"


def test_a_call_that_an_entity_has_not_run_yet_is_run_once_and_answers_the_new_execution() -> None:
    hub = failed(call(1, "r1"), call(2, "r2"))
    hub.do(Rewind())

    rewound(hub)

    assert run(hub).request_ids == ["r1", "r2"]
    answers = [event.entity_operation_completed for event in hub.taken().new]
    assert [each.request_id for each in answers] == ["r1", "r2"]


def test_a_call_that_is_at_a_worker_answers_the_new_execution() -> None:
    hub = failed(call(1, "r1"))
    given = taken(hub)
    hub.do(Rewind())
    rewound(hub)

    assert answer(hub, given, returned("2")) == ACCEPTED

    assert hub.taken().new[-1].entity_operation_completed.output == "2"


def test_a_critical_section_that_was_not_left_is_entered_again() -> None:
    hub = failed(lock(1, "s", "@counter@a"))
    assert holder(hub) is None
    hub.do(Rewind())

    rewound(hub)

    assert holder(hub) == "a"


def family_that_failed() -> EngineDriver:
    hub = EngineDriver()
    hub.start(name="parent", execution_id="first")
    hub.decide(child(1, "kid"))
    hub.decide(fail(text="kid's"), to="kid")
    hub.decide(fail(text="parent's"))
    return hub


def test_a_child_that_failed_is_rewound_and_reports_to_the_new_execution() -> None:
    hub = family_that_failed()
    hub.do(Rewind("mended"))

    rewound(hub)

    turn = rewound(hub, "kid", execution_id="kid's second")
    event = turn.request.new_events[1].execution_rewound
    assert (event.reason, event.parent_execution_id) == ("mended", "second")
    hub.decide(end(result='"good"'), to="kid")
    assert hub.taken().new[-1].sub_orchestration_instance_completed.result == '"good"'


def test_a_child_that_was_purged_is_made_again() -> None:
    hub = family_that_failed()
    hub.do(Purge(), "kid")
    hub.do(Rewind())

    rewound(hub)

    started = hub.taken("kid").new[0].execution_started
    assert started.parent_instance.orchestration_instance.execution_id == "second"


def test_a_child_that_ended_while_nobody_waited_reports_now() -> None:
    hub = EngineDriver()
    hub.start(execution_id="first")
    hub.decide(child(1, "kid"), fail())
    hub.decide(end(result='"early"'), to="kid")
    hub.do(Rewind())

    rewound(hub)

    assert hub.taken().new[-1].sub_orchestration_instance_completed.result == '"early"'


def test_a_child_that_lives_is_left_alone_and_reports_to_the_new_execution() -> None:
    hub = EngineDriver()
    hub.start(execution_id="first")
    hub.decide(child(1, "kid"), fail())
    hub.do(Rewind())

    rewound(hub)
    hub.decide()

    hub.decide(end(result='"late"'), to="kid")
    assert hub.taken().new[-1].sub_orchestration_instance_completed.result == '"late"'


def test_a_live_instance_that_took_the_childs_id_fails_the_call() -> None:
    hub = family_that_failed()
    hub.do(Purge(), "kid")
    hub.start("kid", "stranger")
    hub.do(Rewind())

    rewound(hub)

    details = hub.taken().new[-1].sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationAlreadyExists"
    assert hub.state("kid").origin.name == "stranger"


def test_a_worker_that_cannot_rewind_fails_the_instance_and_says_so() -> None:
    hub = failed()
    hub.do(Rewind())

    hub.decide()

    assert hub.status() is Status.FAILED
    failure = hub.state().progress.failure
    assert failure is not None
    assert failure.error_type == "RewindNotSupported"
    assert hub.do(Rewind()) == ACCEPTED


def test_a_rewind_that_nobody_asked_for_fails_the_instance_once() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(rewinding([]))

    assert hub.status() is Status.FAILED
    assert hub.turn() is None


def test_an_instance_that_is_about_to_be_rewound_can_be_terminated() -> None:
    hub = failed()
    hub.do(Rewind())
    turn = hub.taken()

    hub.do(Terminate())
    hub.answer(turn, rewinding([]))

    assert hub.status() is Status.TERMINATED
    assert hub.turn() is None


def test_a_child_that_nobody_waits_for_is_not_part_of_a_rewind() -> None:
    hub = failed(child(1, "mail", tags={"FireAndForget": ""}))
    hub.decide(end(result='"sent"'), to="mail")
    hub.do(Rewind())

    rewound(hub)

    assert hub.status("mail") is Status.COMPLETED
    assert kinds(hub.taken().request.new_events) == ["orchestrator_started"]


@pytest.mark.parametrize("lock_set", [(), ("no entity",)], ids=["none", "no entity"])
def test_a_history_whose_locks_cannot_be_asked_for_fails_the_instance(
    lock_set: tuple[str, ...],
) -> None:
    hub = failed()
    hub.do(Rewind())
    turn = hub.taken()
    history = [event for event in turn.request.past_events if event.execution_completed is None]
    history.append(events.entity_lock_requested(7, "s", lock_set))

    hub.answer(turn, rewinding(history))

    assert hub.status() is Status.FAILED
    failure = hub.state().progress.failure
    assert failure is not None
    assert failure.error_type == "UnsupportedAction"


def test_the_reason_that_a_worker_gives_for_not_rewinding_is_kept() -> None:
    hub = failed()
    hub.do(Rewind())

    hub.decide(fail(text="the locks are lost"))

    failure = hub.state().progress.failure
    assert failure is not None
    assert failure.error_message == "the locks are lost"
