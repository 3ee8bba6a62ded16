"""An instance begins once, at its time, and takes its id over only where it may."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import RaiseEvent, StartInstance, Terminate
from durabletask.sidecar.engine.transition import Accepted, AlreadyExists, Stale
from tests.builders.engine import EPOCH, HUB, EngineDriver, Status, child, end, kinds, schedule

TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.TERMINATED})
HOUR = timedelta(hours=1)


def test_a_started_instance_is_pending_and_its_first_turn_begins_with_the_start() -> None:
    hub = EngineDriver()

    hub.start(input='"x"', version="2", tags={"team": "red"}, execution_id="run-1")

    assert hub.status() is Status.PENDING
    turn = hub.taken()
    assert turn.new_kinds == ["orchestrator_started", "execution_started"]
    started = turn.new[0].execution_started
    assert (started.name, started.input, started.version) == ("order", '"x"', "2")
    assert started.tags == {"team": "red"}
    assert started.orchestration_instance.instance_id == "a"
    assert started.orchestration_instance.execution_id == "run-1"
    assert (turn.request.instance_id, turn.request.execution_id) == ("a", "run-1")
    assert turn.request.past_events == []


def test_the_state_tells_what_the_instance_was_started_with() -> None:
    hub = EngineDriver()
    trace = messages.TraceContext(trace_parent="00-1-2-01")

    hub.start(input="1", version="2", tags={"k": "v"}, parent_trace_context=trace)

    origin = hub.state().origin
    assert (origin.name, origin.input, origin.version) == ("order", "1", "2")
    assert dict(origin.tags) == {"k": "v"}
    assert origin.created_at == hub.now
    assert origin.parent_trace_context == trace
    assert origin.execution_id


def test_instances_get_execution_ids_of_their_own() -> None:
    hub = EngineDriver()

    hub.start("a")
    hub.start("b")

    assert hub.state("a").origin.execution_id != hub.state("b").origin.execution_id


@pytest.mark.parametrize("replaceable", [frozenset(), TERMINAL])
def test_a_live_id_is_taken(replaceable: frozenset[int]) -> None:
    hub = EngineDriver()
    hub.start(input="old")

    reply = hub.start(input="new", replaceable=replaceable)

    assert isinstance(reply, AlreadyExists)
    assert "a" in reply.text
    assert hub.state().origin.input == "old"


def test_an_id_of_the_past_is_taken_too_unless_its_status_may_be_replaced() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(end())

    assert isinstance(hub.start(), AlreadyExists)
    assert isinstance(hub.start(replaceable=TERMINAL), Accepted)
    assert hub.status() is Status.PENDING
    assert hub.history() == []


def test_a_replaced_live_instance_leaves_nothing_to_the_new_one() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.decide(schedule(1))
    hub.do(RaiseEvent("late"))
    task = hub.tasks[0]

    hub.start(input="new", replaceable=frozenset({Status.RUNNING}))

    assert isinstance(hub.finish(task, '"old result"'), Stale)
    assert isinstance(hub.answer(turn), Stale)
    assert hub.history() == []
    assert hub.taken().new_kinds == ["orchestrator_started", "execution_started"]


def test_two_executions_under_one_execution_id_do_not_mix_up_their_turns() -> None:
    hub = EngineDriver()
    hub.start(execution_id="same", input="old")
    turn = hub.taken()
    hub.start(execution_id="same", input="new", replaceable=frozenset({Status.PENDING}))

    reply = hub.answer(turn, end(result="old"))

    assert isinstance(reply, Stale)
    assert hub.status() is Status.PENDING


def test_a_scheduled_start_waits_for_its_time() -> None:
    hub = EngineDriver()
    hub.start(scheduled_start=EPOCH + HOUR)

    assert hub.turn() is None
    assert hub.status() is Status.PENDING
    assert hub.committer.next_due(hub.now) == EPOCH + HOUR

    hub.pass_time(HOUR)

    assert hub.taken().new_kinds == ["orchestrator_started", "execution_started"]


def test_an_event_does_not_start_an_instance_before_its_time_nor_keep_it_from_starting() -> None:
    hub = EngineDriver()
    hub.start(scheduled_start=EPOCH + HOUR)
    hub.committer.ready(hub.now)

    commit = hub.commit(("a", RaiseEvent("early")))

    assert commit.notifications.turns == ()
    assert hub.turn() is None
    assert hub.committer.next_due(hub.now) == EPOCH + HOUR
    hub.pass_time(HOUR)
    assert [ready.instance_id for ready in hub.committer.due(hub.now).turns] == ["a"]
    assert kinds(hub.taken().new) == ["execution_started", "event_raised"]


def test_a_start_time_in_the_past_is_now() -> None:
    hub = EngineDriver()

    hub.start(scheduled_start=EPOCH - HOUR)

    started = hub.taken().request.new_events[0]
    assert started.timestamp == hub.now


def test_an_instance_that_waits_for_its_start_can_be_terminated() -> None:
    hub = EngineDriver()
    hub.start(scheduled_start=EPOCH + HOUR)

    hub.do(Terminate())
    hub.pass_time(HOUR)

    assert hub.status() is Status.TERMINATED
    assert hub.turn() is None
    assert hub.committer.next_due(EPOCH) is None


def test_a_parent_learns_that_a_caller_has_replaced_its_child() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"))

    hub.start("kid", replaceable=frozenset({Status.PENDING}))

    [event] = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationReplaced"
    assert "kid" in details.error_message


def test_starting_says_that_the_instance_is_ready() -> None:
    hub = EngineDriver()

    commit = hub.commit(("a", StartInstance("order", version="2")))

    [ready] = commit.notifications.turns
    assert (ready.hub, ready.instance_id, ready.name, ready.version) == (HUB, "a", "order", "2")


def test_a_start_that_is_repeated_makes_one_instance_whatever_it_may_replace() -> None:
    """Its answer may have been lost, and who repeats it names the same execution."""
    hub = EngineDriver()
    anything = frozenset(int(status) for status in Status)
    hub.start(execution_id="mine", input="1", replaceable=anything)
    hub.decide(end(result="1"))

    reply = hub.start(execution_id="mine", input="1", replaceable=anything)

    assert reply == Accepted()
    assert hub.status() is Status.COMPLETED
