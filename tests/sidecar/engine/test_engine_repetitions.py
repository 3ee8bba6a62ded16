"""A worker that asks again for what is under way, or answered and unread, gets it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import RaiseEvent
from tests.builders.engine import EngineDriver, Turn, child, end, kinds, schedule, timer

HOUR = timedelta(hours=1)
BROKEN = messages.TaskFailureDetails(error_message="no")


def turn_with_an_answer_to_come(*actions: Any) -> tuple[EngineDriver, Turn]:
    """A hub, and a turn that was handed out before what these ask for was answered."""
    hub = EngineDriver()
    hub.start()
    hub.decide(*actions)
    hub.do(RaiseEvent("go"))
    return hub, hub.taken()


def test_a_task_whose_result_waits_unread_is_not_run_again() -> None:
    hub, turn = turn_with_an_answer_to_come(schedule(1))
    hub.finish_next('"done"')

    hub.answer(turn, schedule(1))

    assert hub.tasks == []
    assert kinds(hub.taken().new) == ["task_completed"]


def test_a_child_whose_result_waits_unread_is_not_started_again() -> None:
    hub, turn = turn_with_an_answer_to_come(child(1, "kid"))
    hub.decide(end(result='"done"'), to="kid")

    hub.answer(turn, child(1, "kid"))

    assert hub.turn("kid") is None
    assert kinds(hub.taken().new) == ["sub_orchestration_instance_completed"]


def test_a_timer_that_fired_unread_does_not_fire_again() -> None:
    hub, turn = turn_with_an_answer_to_come(timer(1, EngineDriver().now + HOUR))
    hub.pass_time(HOUR)

    hub.answer(turn, timer(1, hub.now + HOUR))

    assert kinds(hub.decide().new) == ["timer_fired"]
    assert hub.state().due_at() is None


def test_the_second_attempt_of_a_retry_has_the_id_of_the_first() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    first = hub.tasks.pop()
    hub.finish(first, failure=BROKEN)

    hub.decide(schedule(1))

    (second,) = hub.tasks
    assert second.task_key != first.task_key
    hub.finish(first, '"late"')
    assert hub.turn() is None
    hub.finish(second, '"good"')
    assert hub.taken().new[-1].task_completed.result == '"good"'
