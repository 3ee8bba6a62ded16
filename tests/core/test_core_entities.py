"""Orchestrators call, signal and lock entities; the ids and numbers are those of the official SDK."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durabletask.core.decision import Decision
from durabletask.core.settings import Settings
from durabletask.entities import (
    DurableEntity,
    EntityContext,
    EntityInstanceId,
    EntityOperationFailedException,
)
from durabletask.failures import FailureDetails, from_message
from durabletask.protocol import events, messages
from durabletask.serialization import JsonDataConverter
from durabletask.task import OrchestrationContext, Task, TaskFailedError, when_all
from tests.builders.core import ID, START, Event, beginning, failure, kinds, machine_for
from tests.builders.core_entities import EntityHub

Steps = Generator[Task[Any], Any, Any]

A, B = EntityInstanceId("Counter", "a"), EntityInstanceId("Counter", "b")


@dataclass
class Total:
    amount: int


class Counter(DurableEntity):
    def add(self, amount: int = 1) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        return total

    def total(self) -> Total:
        return Total(self.get_state(int, 0))

    def fail(self, why: str) -> None:
        raise ValueError(why)

    def pass_on(self, amount: int) -> None:
        self.signal_entity(B, "add", amount)
        self.schedule_new_orchestration("started", amount, "started-by-entity")


def adds(ctx: OrchestrationContext) -> Steps:
    first = yield ctx.call_entity(A, "add", 5)
    second = yield ctx.call_entity(A, "add", 2)
    return [first, second]


async def adds_async(ctx: OrchestrationContext) -> list[int]:
    first: int = await ctx.call_entity(A, "add", 5)
    return [first, await ctx.call_entity(A, "add", 2, return_type=int)]


@pytest.mark.parametrize("function", [adds, adds_async])
def test_a_call_completes_with_what_the_operation_returns(function: Callable[..., Any]) -> None:
    hub = EntityHub(function, entities=[Counter])

    assert hub.run(function.__name__).output == "[5, 7]"
    assert hub.states == {"@counter@a": "7"}


def test_an_operation_that_returns_nothing_completes_with_none() -> None:
    class Strict(JsonDataConverter):
        def deserialize(self, data: str | None, target_type: Any = None) -> Any:
            assert data != "", "an empty text is no value"
            return super().deserialize(data, target_type)

    def resets(ctx: OrchestrationContext) -> Steps:
        return [(yield ctx.call_entity(A, "delete"))]

    hub = EntityHub(resets, entities=[Counter], settings=Settings(data_converter=Strict()))

    assert hub.run("resets").output == "[null]"


def test_a_result_is_read_as_the_asked_type() -> None:
    def asks(ctx: OrchestrationContext) -> Steps:
        typed = yield ctx.call_entity(A, "total", return_type=Total)
        plain = yield ctx.call_entity(A, "total")
        return [type(typed).__name__, type(plain).__name__]

    assert EntityHub(asks, entities=[Counter]).run("asks").output == '["Total", "dict"]'


def test_calls_may_run_side_by_side() -> None:
    def fans_out(ctx: OrchestrationContext) -> Steps:
        return (yield when_all([ctx.call_entity(entity, "add", 3) for entity in (A, B, A)]))

    assert EntityHub(fans_out, entities=[Counter]).run("fans_out").output == "[3, 3, 6]"


def test_a_failed_operation_fails_the_call_with_its_cause_inside() -> None:
    seen: list[FailureDetails] = []

    def catches(ctx: OrchestrationContext) -> Steps:
        try:
            yield ctx.call_entity(A, "fail", "no luck")
        except TaskFailedError as error:
            seen.append(error.details)
            return str(error)

    told = "Operation 'fail' on entity '@counter@a' failed with error: no luck"
    assert EntityHub(catches, entities=[Counter]).run("catches").output == f'"{told}"'
    details = seen[0]
    assert details.message == told
    assert details.is_caused_by(EntityOperationFailedException)
    assert not details.is_caused_by(ValueError)
    assert details.inner_failure is not None
    assert details.inner_failure.error_type == "builtins.ValueError"


def test_a_failure_that_is_not_caught_fails_the_orchestration_with_all_causes() -> None:
    def fails(ctx: OrchestrationContext) -> Steps:
        yield ctx.call_entity(A, "fail", "no luck")

    told = EntityHub(fails, entities=[Counter]).run("fails").failure

    types = []
    while told is not None:
        types.append(told.error_type.rpartition(".")[2])
        told = told.inner_failure
    assert types == ["TaskFailedError", "EntityOperationFailedException", "ValueError"]


def test_a_failure_without_details_still_fails_the_call() -> None:
    def fails(ctx: OrchestrationContext) -> Steps:
        yield ctx.call_entity(A, "fail")

    _, machine = after_call(fails)
    failed = messages.EntityOperationFailedEvent(request_id=uuid_at(0))
    decision = machine.turn([messages.HistoryEvent(entity_operation_failed=failed)])

    assert (
        "on entity '@counter@a' failed with error: the entity gave no failure details"
        in failure_of(decision).message
    )


def test_signals_reach_the_entity_and_nothing_comes_back() -> None:
    def signals(ctx: OrchestrationContext) -> str:
        ctx.signal_entity(A, "add", 5)
        ctx.signal_entity(A, "fail", "unheard")
        return "done"

    hub = EntityHub(signals, entities=[Counter])

    assert hub.run("signals").output == '"done"'
    assert hub.states == {"@counter@a": "5"}


def test_an_entity_may_signal_and_start_in_turn() -> None:
    def begins(ctx: OrchestrationContext) -> Steps:
        yield ctx.call_entity(A, "pass_on", 4)

    def started(_ctx: OrchestrationContext, amount: int) -> int:
        return amount

    hub = EntityHub(begins, started, entities=[Counter])
    hub.run("begins")

    assert hub.states["@counter@b"] == "4"
    assert hub.instances["started-by-entity"].output == "4"


def test_a_signal_may_be_delayed() -> None:
    def signals(ctx: OrchestrationContext) -> None:
        ctx.signal_entity(A, "add", 5, ctx.current_utc_datetime + timedelta(hours=1))

    hub = EntityHub(signals, entities=[Counter])
    hub.run("signals")

    assert hub.states == {}
    hub.advance(timedelta(hours=1))
    assert hub.states == {"@counter@a": "5"}


def test_functions_are_entities_too() -> None:
    def tally(ctx: EntityContext, amount: int) -> str:
        ctx.set_state(amount)
        return f"{ctx.operation} {ctx.entity_id}"

    def calls(ctx: OrchestrationContext) -> Steps:
        return (yield ctx.call_entity(EntityInstanceId("TALLY", "a"), "anything", 3))

    hub = EntityHub(calls, entities=[tally])

    assert hub.run("calls").output == '"anything @tally@a"'
    assert hub.states == {"@tally@a": "3"}


def uuid_at(n: int, now: datetime = START) -> str:
    """As the official SDK computes it; written down here a second time on purpose."""
    namespace = uuid.UUID("5bf3dc27-d91d-5ea7-9c3e-9f1f2ae7c309")
    return str(uuid.uuid5(namespace, f"{ID}_{now:%Y-%m-%dT%H:%M:%S.%fZ}_{n}"))


CALLED = events.entity_operation_called(1, "@counter@a", "add", request_id=uuid_at(0))
SIGNALED = events.entity_operation_signaled(1, "@counter@a", "add", request_id=uuid_at(0))
LOCKED = events.entity_lock_requested(1, uuid_at(0), ["@counter@a", "@counter@b"])
UNLOCKED = events.entity_unlock_sent(1, uuid_at(0), "@counter@a")
SCHEDULED = events.task_scheduled(1, "step")


def test_everything_sent_has_the_next_number_and_the_next_uuid() -> None:
    due = datetime(2026, 5, 1, 12)

    def asks(ctx: OrchestrationContext) -> Steps:
        ctx.call_entity(A, "add", 1)
        ctx.signal_entity(B, "add", 2, due)
        ctx.set_custom_status(ctx.new_uuid())
        yield ctx.lock_entities([B])

    decision = machine_for(asks).turn(beginning("asks"))

    assert [action.id for action in decision.actions] == [1, 2, 3]
    called, signaled, locked = (action.send_entity_message for action in decision.actions)
    assert called == messages.SendEntityMessageAction(
        entity_operation_called=messages.EntityOperationCalledEvent(
            request_id=uuid_at(0),
            operation="add",
            input="1",
            parent_instance_id=ID,
            target_instance_id="@counter@a",
        )
    )
    assert signaled == messages.SendEntityMessageAction(
        entity_operation_signaled=messages.EntityOperationSignaledEvent(
            request_id=uuid_at(1),
            operation="add",
            input="2",
            scheduled_time=due.replace(tzinfo=UTC),
            target_instance_id="@counter@b",
        )
    )
    assert decision.custom_status == f'"{uuid_at(2)}"'
    assert locked == messages.SendEntityMessageAction(
        entity_lock_requested=messages.EntityLockRequestedEvent(
            critical_section_id=uuid_at(3), lock_set=["@counter@b"], parent_instance_id=ID
        )
    )


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda ctx: ctx.call_entity("@counter@a", "add"), "entity must be an EntityInstanceId"),
        (lambda ctx: ctx.call_entity(A, Counter.add), "operation must be a str"),
        (lambda ctx: ctx.signal_entity("@c@a", "add"), "entity_id must be an EntityInstanceId"),
        (lambda ctx: ctx.signal_entity(A, None), "operation_name must be a str"),
        (lambda ctx: ctx.signal_entity(A, "add", 1, 5), "signal_time must be a datetime"),
        (lambda ctx: ctx.lock_entities(["@c@a"]), "each of entities must be an EntityInstanceId"),
    ],
)
def test_what_no_message_can_hold_fails_where_it_is_given(ask: Any, told: str) -> None:
    def asks(ctx: OrchestrationContext) -> None:
        ask(ctx)

    details = failure_of(machine_for(asks).turn(beginning("asks")))

    assert details.error_type == "builtins.TypeError"
    assert told in details.message


def failure_of(decision: Decision) -> FailureDetails:
    complete = decision.actions[-1].complete_orchestration
    assert complete is not None
    assert complete.failure_details is not None
    return from_message(complete.failure_details)


def after_call(function: Callable[..., Any], request_id: str | None = None) -> tuple[Any, Any]:
    """The machine after its first turn, the call of which history has recorded."""
    machine = machine_for(function)
    decision = machine.turn(beginning(function.__name__))
    (action,) = decision.actions
    assert action.send_entity_message is not None
    called = action.send_entity_message.entity_operation_called
    assert called is not None
    machine.replay([
        events.entity_operation_called(
            action.id,
            called.target_instance_id,
            called.operation,
            request_id=request_id or called.request_id,
        )
    ])  # fmt: skip
    return called, machine


def test_a_recorded_call_is_not_sent_again() -> None:
    _, machine = after_call(adds)

    assert machine.turn([events.orchestrator_started(START)]).actions == ()


def test_the_answer_comes_under_the_id_that_history_has() -> None:
    """Whoever began the instance may have made its ids in another way."""
    _, machine = after_call(adds, request_id="of another maker")

    decision = machine.turn([events.entity_operation_completed("of another maker", "5")])

    assert kinds(decision) == ["send_entity_message"]


def test_the_grant_comes_under_the_id_that_history_has() -> None:
    def locks(ctx: OrchestrationContext) -> Steps:
        with (yield ctx.lock_entities([A])):
            pass

    machine = machine_for(locks)
    machine.turn(beginning("locks"))
    machine.replay([events.entity_lock_requested(1, "another", ["@counter@a"])])

    decision = machine.turn([events.entity_lock_granted("another")])

    assert decision.ended
    unlock = decision.actions[0].send_entity_message
    assert unlock is not None
    assert unlock.entity_unlock_sent is not None
    assert unlock.entity_unlock_sent.critical_section_id == "another"


@pytest.mark.parametrize(
    ("stranger", "told"),
    [
        (events.entity_operation_completed("unknown", "1"), "entity call #unknown"),
        (events.entity_operation_failed("unknown", failure()), "entity call #unknown"),
        (events.entity_lock_granted("unknown"), "lock request #unknown"),
    ],
)
def test_answers_that_nobody_waits_for_are_left_out_with_a_note(stranger: Event, told: str) -> None:
    _, machine = after_call(adds)

    decision = machine.turn([events.orchestrator_started(START), stranger])

    assert decision.actions == ()
    (note,) = decision.log_entries
    assert note.level == logging.DEBUG
    assert told in note.text


@pytest.mark.parametrize(
    ("grants", "entered"),
    [(["another"], 0), (["another", uuid_at(0)], 1), ([uuid_at(0), uuid_at(0)], 1)],
)
def test_only_the_grant_of_its_own_section_lets_it_in_and_only_once(
    grants: list[str], entered: int
) -> None:
    inside: list[str] = []

    def enters(ctx: OrchestrationContext) -> Steps:
        with (yield ctx.lock_entities([A, B])):
            inside.append(ctx.instance_id)
            yield ctx.wait_for_external_event("never")

    machine = machine_for(enters)
    machine.replay([*beginning("enters"), LOCKED])

    decision = machine.turn([events.entity_lock_granted(grant) for grant in grants])

    assert len(inside) == entered
    assert len(decision.log_entries) == len(grants) - entered
    assert decision.actions == ()


def test_a_repeated_answer_changes_nothing() -> None:
    called, machine = after_call(adds)
    answer = events.entity_operation_completed(called.request_id, "5")

    decision = machine.turn([answer, answer])

    assert kinds(decision) == ["send_entity_message"]
    assert not decision.ended


def test_records_of_what_was_sent_are_taken_while_suspended() -> None:
    """Else the call would be sent again with each event that comes in."""
    machine = machine_for(adds)
    (action,) = machine.turn(beginning("adds")).actions
    machine.replay([
        events.execution_suspended(at=START),
        events.entity_operation_called(action.id, "@counter@a", "add", request_id=uuid_at(0)),
    ])  # fmt: skip

    held = machine.turn([events.entity_operation_completed(uuid_at(0), "5")])
    resumed = machine.turn([events.execution_resumed(at=START)])

    assert held.actions == ()
    assert kinds(resumed) == ["send_entity_message"]


def calls(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_entity(A, "add")


def calls_b(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_entity(B, "add")


def calls_other_operation(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_entity(A, "sub")


def signals(ctx: OrchestrationContext) -> Steps:
    ctx.signal_entity(A, "add")
    yield ctx.wait_for_external_event("go")


def locks(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        yield ctx.wait_for_external_event("go")


def locks_one(ctx: OrchestrationContext) -> Steps:
    yield ctx.lock_entities([A])


def asks_activity(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_activity("step")


def waits(ctx: OrchestrationContext) -> Steps:
    yield ctx.wait_for_external_event("go")


@pytest.mark.parametrize(
    ("recorded", "function", "told"),
    [
        (CALLED, waits, ["call_entity('add' to '@counter@a') with ID=1", "nothing"]),
        (CALLED, signals, ["call_entity('add'", "signal_entity('add'"]),
        (CALLED, asks_activity, ["call_entity('add'", "call_activity('step')"]),
        (CALLED, calls_b, ["'@counter@a'", "'@counter@b'"]),
        (CALLED, calls_other_operation, ["'add'", "'sub'"]),
        (SIGNALED, waits, ["signal_entity('add' to '@counter@a') with ID=1", "nothing"]),
        (SIGNALED, calls, ["signal_entity('add'", "call_entity('add'"]),
        (LOCKED, waits, ["lock_entities(to '@counter@a, @counter@b') with ID=1", "nothing"]),
        (LOCKED, locks_one, ["'@counter@a, @counter@b'", "lock_entities(to '@counter@a')"]),
        (LOCKED, calls, ["lock_entities(", "call_entity("]),
        (UNLOCKED, calls, ["unlock_entities(", "with ID=1", "call_entity("]),
        (SCHEDULED, calls, ["call_activity('step')", "call_entity('add'"]),
        (SCHEDULED, locks, ["call_activity('step')", "lock_entities("]),
    ],
)
def test_changed_code_is_found_out_and_both_methods_are_named(
    recorded: Event, function: Callable[..., Any], told: list[str]
) -> None:
    machine = machine_for(function)
    machine.replay([*beginning(function.__name__), recorded])

    details = failure_of(machine.turn([events.orchestrator_started(START)]))

    assert details.error_type == "durabletask.task.NonDeterminismError"
    for part in told:
        assert part in details.message


def test_a_record_that_does_not_tell_the_target_is_taken_for_the_call() -> None:
    machine = machine_for(calls)
    recorded = events.entity_operation_called(1, None, "add", request_id=uuid_at(0))
    machine.replay([*beginning("calls"), recorded])

    assert machine.turn([events.orchestrator_started(START)]).actions == ()


def left(function: Callable[..., Any], *recorded: Event) -> Decision:
    """What is still asked for by code that has left a section of two entities."""
    machine = machine_for(function)
    section = uuid_at(0)
    machine.replay([*beginning(function.__name__), LOCKED, events.entity_lock_granted(section)])
    machine.replay([events.event_raised("go"), *recorded])
    return machine.turn([events.orchestrator_started(START)])


def locks_then_waits(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        yield ctx.wait_for_external_event("go")
    yield ctx.wait_for_external_event("never")


@pytest.mark.parametrize(
    ("numbers", "unsent"),
    [([], [2, 3]), ([2], [3]), ([2, 3], []), ([3, 2], []), ([-1], []), ([77], [])],
    ids=str,
)
def test_unlocks_are_taken_by_number_or_all_together_under_a_strange_one(
    numbers: list[int], unsent: list[int]
) -> None:
    recorded = [events.entity_unlock_sent(number, uuid_at(0), None) for number in numbers]

    decision = left(locks_then_waits, *recorded)

    assert [action.id for action in decision.actions] == unsent


def test_an_unlock_of_an_unknown_section_is_no_mismatch() -> None:
    """A rewound orchestration is still inside a section whose unlocks its history holds."""
    decision = left(locks_then_waits, events.entity_unlock_sent(9, "unknown", None))

    assert [action.id for action in decision.actions] == [2, 3]


def test_a_mismatch_inside_a_section_still_gives_the_locks_back() -> None:
    machine = machine_for(locks)
    machine.replay([*beginning("locks"), LOCKED, events.entity_lock_granted(uuid_at(0))])

    decision = machine.turn([events.orchestrator_started(START), events.task_scheduled(9, "x")])

    assert kinds(decision) == [
        "send_entity_message",
        "send_entity_message",
        "complete_orchestration",
    ]
    assert failure_of(decision).error_type == "durabletask.task.NonDeterminismError"


def test_a_section_left_in_the_turn_of_the_termination_is_left_all_the_same() -> None:
    machine = machine_for(locks_then_waits)
    machine.replay([*beginning("locks_then_waits"), LOCKED])

    decision = machine.turn([
        events.orchestrator_started(START),
        events.entity_lock_granted(uuid_at(0)),
        events.event_raised("go"),
        events.execution_terminated(),
    ])  # fmt: skip

    assert [action.id for action in decision.actions] == [2, 3, 4]
    assert decision.ended


def test_code_that_goes_on_after_its_records_have_come_is_contradicted_by_none() -> None:
    """Every record of an ended run is still compared, and one run is complete in itself."""
    hub = EntityHub(adds, entities=[Counter])
    instance = hub.run("adds")
    machine = machine_for(adds)

    machine.replay(instance.history)
    decision = machine.turn([events.orchestrator_started(START)])

    assert kinds(decision) == ["complete_orchestration"]
    assert decision.actions[0].complete_orchestration is not None
    assert decision.actions[0].complete_orchestration.result == "[5, 7]"
