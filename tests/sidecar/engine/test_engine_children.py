"""A sub-orchestration reports once, to the execution that waits for it, and says how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import ChildCompleted, RaiseEvent, Terminate
from durabletask.sidecar.engine.transition import Accepted
from tests.builders.engine import EngineDriver, Status, child, end, fail, failure, kinds, schedule


def parent_of_kid() -> EngineDriver:
    hub = EngineDriver()
    hub.start(name="order", version="7", tags={"team": "red"})
    hub.decide(child(1, "kid"))
    return hub


def test_a_child_begins_in_the_commit_that_asks_for_it() -> None:
    hub = EngineDriver()
    hub.start(name="order", version="7", tags={"team": "red", "k": "old"}, execution_id="run-1")
    trace = messages.TraceContext(trace_parent="00-1-2-01")

    hub.decide(
        child(
            4, "kid", "ship", input="1", version="2", tags={"k": "new"}, parent_trace_context=trace
        )
    )

    started = hub.taken("kid").new[0].execution_started
    assert (started.name, started.input, started.version) == ("ship", "1", "2")
    assert started.tags == {"team": "red", "k": "new"}
    assert started.parent_trace_context == trace
    parent = started.parent_instance
    assert (parent.task_scheduled_id, parent.name, parent.version) == (4, "order", "7")
    assert parent.orchestration_instance.instance_id == "a"
    assert parent.orchestration_instance.execution_id == "run-1"
    created = hub.history()[-1]
    assert created.event_id == 4
    assert created.sub_orchestration_instance_created.instance_id == "kid"
    assert created.sub_orchestration_instance_created.input == "1"


def test_a_child_without_an_id_is_named_after_its_parent_and_the_action() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(child(10), child(0x12345))

    assert hub.status("a:000a") is Status.PENDING
    assert hub.status("a:12345") is Status.PENDING


def test_the_parent_gets_the_result() -> None:
    hub = parent_of_kid()

    hub.decide(end(result='"sent"'), to="kid")

    [event] = hub.taken().new
    assert event.event_id == -1
    completed = event.sub_orchestration_instance_completed
    assert (completed.task_scheduled_id, completed.result) == (1, '"sent"')


def test_the_parent_gets_the_failure_as_it_is() -> None:
    hub = parent_of_kid()
    details = failure(
        "lost",
        inner_failure=failure("rain"),
        is_non_retriable=True,
        properties={"parcel": "1"},
        stack_trace="line 1",
    )

    hub.decide(end(status=Status.FAILED, failure_details=details), to="kid")

    [event] = hub.taken().new
    assert event.sub_orchestration_instance_failed.failure_details == details
    assert event.sub_orchestration_instance_failed.task_scheduled_id == 1


def test_the_parent_of_a_terminated_child_learns_what_happened() -> None:
    hub = parent_of_kid()

    hub.do(Terminate("too late"), "kid")

    [event] = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationTerminated"
    assert details.error_message == "Sub-orchestration 'kid' was terminated: too late"


def test_a_child_that_fails_without_details_still_gives_its_parent_some() -> None:
    hub = parent_of_kid()

    hub.decide(end(status=Status.FAILED), to="kid")

    details = hub.taken().new[0].sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationFailed"
    assert (
        details.error_message
        == "Sub-orchestration 'kid' failed, and no failure details were reported."
    )


def test_an_id_that_is_in_use_fails_the_call_and_leaves_its_owner_alone() -> None:
    hub = EngineDriver()
    hub.start("kid", input="mine")
    hub.start()

    hub.decide(child(1, "kid"))

    details = hub.taken().new[0].sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationAlreadyExists"
    assert "kid" in details.error_message
    assert hub.state("kid").origin.input == "mine"
    assert kinds(hub.taken("kid").new) == ["execution_started"]


def test_a_retry_replaces_the_child_that_failed() -> None:
    """The official SDK gives all attempts the same action id and the same instance id."""
    hub = parent_of_kid()
    hub.decide(fail(), to="kid")

    hub.decide(child(1, "kid"))
    hub.decide(end(result="2"), to="kid")

    [event] = hub.taken().new
    assert event.sub_orchestration_instance_completed.result == "2"


def test_two_calls_of_one_id_in_one_turn_are_one_child_and_one_failure() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(child(1, "kid"), child(2, "kid"))

    [event] = hub.taken().new
    assert event.sub_orchestration_instance_failed.task_scheduled_id == 2
    assert hub.status("kid") is Status.PENDING


def test_an_action_that_repeats_an_outstanding_child_changes_nothing() -> None:
    hub = parent_of_kid()
    hub.do(RaiseEvent("go"))

    hub.decide(child(1, "kid"))

    assert hub.history_kinds().count("sub_orchestration_instance_created") == 1
    assert hub.turn() is None


def test_a_child_may_finish_after_its_parent() -> None:
    hub = parent_of_kid()
    hub.do(RaiseEvent("go"))
    hub.decide(end())

    hub.decide(end(), to="kid")

    assert (hub.status(), hub.status("kid")) == (Status.COMPLETED, Status.COMPLETED)
    assert hub.turn() is None


def test_a_child_of_a_replaced_parent_reports_to_nobody() -> None:
    hub = parent_of_kid()
    hub.start(replaceable=frozenset({Status.RUNNING}))
    hub.decide(child(1, "other"))

    hub.decide(end(result="1"), to="kid")

    assert hub.turn() is None


def test_a_child_may_report_while_its_parents_turn_is_out() -> None:
    hub = parent_of_kid()
    hub.do(RaiseEvent("go"))
    turn = hub.taken()
    hub.decide(end(result="1"), to="kid")

    hub.answer(turn, schedule(2))

    assert kinds(hub.taken().new) == ["sub_orchestration_instance_completed"]


def test_a_failure_travels_up_a_family_of_three() -> None:
    hub = EngineDriver()
    hub.start("a")
    hub.decide(child(1, "b"), to="a")
    hub.decide(child(1, "c"), to="b")

    hub.decide(fail(text="deep"), to="c")
    [event] = hub.taken("b").new
    details = event.sub_orchestration_instance_failed.failure_details
    hub.decide(end(status=Status.FAILED, failure_details=details), to="b")

    [event] = hub.taken("a").new
    assert event.sub_orchestration_instance_failed.failure_details.error_message == "deep"


def test_an_orchestration_that_calls_itself_by_its_own_id_is_told_so() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(child(1, "a"))

    [event] = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationAlreadyExists"


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(ChildCompleted("another run", 1, "kid"), id="execution"),
        pytest.param(ChildCompleted("run-1", 2, "kid"), id="call"),
        pytest.param(ChildCompleted("run-1", 1, "stranger"), id="child"),
    ],
)
def test_a_report_that_nobody_waits_for_changes_nothing(report: ChildCompleted) -> None:
    hub = EngineDriver()
    hub.start(execution_id="run-1")
    hub.decide(child(1, "kid"))

    hub.do(report)
    hub.do(report, "nobody")

    assert hub.turn() is None
    hub.do(ChildCompleted("run-1", 1, "kid", "1"))
    assert kinds(hub.taken().new) == ["sub_orchestration_instance_completed"]


def finished(**fields: Any) -> ChildCompleted:
    return ChildCompleted(
        **{
            "parent_execution_id": "run-1",
            "task_id": 1,
            "child_id": "kid",
            "result": "1",
            **fields,
        }
    )


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(finished(parent_execution_id="run-0"), id="to-another-execution"),
        pytest.param(finished(task_id=2), id="under-another-action"),
        pytest.param(finished(child_id="other"), id="of-another-child"),
    ],
)
def test_a_report_that_nobody_waits_for_is_dropped(report: ChildCompleted) -> None:
    hub = EngineDriver()
    hub.start(execution_id="run-1")
    hub.decide(child(1, "kid"))
    before = hub.state().progress

    assert isinstance(hub.do(report), Accepted)
    assert hub.state().progress == before

    hub.do(finished())
    assert kinds(hub.taken().new) == ["sub_orchestration_instance_completed"]


def test_a_report_to_nobody_is_dropped() -> None:
    hub = EngineDriver()

    assert isinstance(hub.do(finished(), to="nobody"), Accepted)

    assert hub.committer.instance("default", "nobody") is None


def test_causes_are_kept_as_deep_as_a_worker_can_read_them() -> None:
    hub = parent_of_kid()
    details = None
    for number in range(80):
        details = failure(str(number), inner_failure=details)

    hub.decide(end(status=Status.FAILED, failure_details=details), to="kid")

    received = hub.taken().new[0].sub_orchestration_instance_failed.failure_details
    causes = []
    while received is not None:
        causes.append(received.error_message)
        received = received.inner_failure
    assert causes == [str(number) for number in range(79, 29, -1)]
