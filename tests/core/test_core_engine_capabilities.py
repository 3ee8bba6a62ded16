"""What orchestrators may ask of an engine of Dapr's dialect, and what they are answered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.activity import prepare
from durabletask.core.orchestration import decide, open_machine
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings, dapr_engine
from durabletask.entities import EntityInstanceId
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.task import ActivityContext, OrchestrationContext, RetryPolicy, Task
from tests.builders.core import ID, START, FakeEngine, beginning, failure, kinds, machine_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.core.decision import Decision
    from durabletask.core.machine import OrchestrationMachine

Steps = Any
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
POLICY = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=3)
DAPR = Settings(engine=dapr_engine("a test's engine"))


def retrying(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
    return (yield ctx.call_activity("flaky", retry_policy=POLICY))


def failing(times: int) -> Callable[[ActivityContext], int]:
    attempts: list[int] = []

    def flaky(_ctx: ActivityContext) -> int:
        attempts.append(1)
        if len(attempts) <= times:
            raise ConnectionError("not yet")
        return len(attempts)

    return flaky


def end_of(decision: Decision) -> messages.CompleteOrchestrationAction:
    end = decision.actions[-1].complete_orchestration
    assert end is not None
    return end


def started(*patches: str, name: str | None = None) -> messages.HistoryEvent:
    """Head of a turn, as an engine records it that knows which code took the turn."""
    event = events.orchestrator_started(START)
    assert event.orchestrator_started is not None
    event.orchestrator_started.version = messages.OrchestrationVersion(
        patches=list(patches), name=name
    )
    return event


# Retries.


def test_each_attempt_has_a_number_of_its_own_where_the_engine_answers_a_number_once() -> None:
    hub = FakeEngine(retrying, activities=[failing(2)], settings=DAPR)
    instance = hub.run("retrying")
    hub.advance(DAY)

    assert instance.asked() == [
        (1, "schedule_task"),
        (2, "create_timer"),
        (3, "schedule_task"),
        (4, "create_timer"),
        (5, "schedule_task"),
        (6, "complete_orchestration"),
    ]
    assert instance.output == "3"


def test_a_child_that_is_called_again_has_a_new_number_and_its_old_id() -> None:
    attempts: list[int] = []

    def child(_ctx: OrchestrationContext) -> str:
        attempts.append(1)
        if len(attempts) < 2:
            raise ConnectionError("not yet")
        return "done"

    def parent(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        return (yield ctx.call_sub_orchestrator(child, retry_policy=POLICY))

    hub = FakeEngine(parent, child, settings=DAPR, sessions="warm")
    instance = hub.run("parent")
    hub.advance(DAY)

    called = [a for d in instance.decisions for a in d.actions if a.create_sub_orchestration]
    first, again = (a.id for a in called)
    assert again == first + 2
    ids = [a.create_sub_orchestration.instance_id for a in called]  # type: ignore[union-attr]
    assert ids == 2 * [f"{ID}:{first:04x}"]
    assert instance.output == '"done"'


def test_no_two_executions_have_a_number_in_common() -> None:
    """An engine that answers the one with what the other has asked for does no harm then."""

    def renewed(ctx: OrchestrationContext, generation: int) -> Generator[Task[Any], Any, Any]:
        yield ctx.create_timer(SECOND)
        if generation < 3:
            ctx.continue_as_new(generation + 1)

    hub = FakeEngine(renewed, settings=DAPR)
    instance = hub.run("renewed", 1)
    hub.advance(DAY)

    timers = [a.id for d in instance.decisions for a in d.actions if a.create_timer]
    assert instance.status == "COMPLETED"
    assert len(timers) == len(set(timers))
    assert len({number // 1000 for number in timers}) == 3


@pytest.mark.parametrize("wrote", [DAPR, Settings()], ids=["fresh", "same"])
@pytest.mark.parametrize("reads", [DAPR, Settings()], ids=["by fresh", "by same"])
def test_a_history_with_either_numbers_is_replayed_for_an_engine_of_either_kind(
    wrote: Settings, reads: Settings
) -> None:
    hub = FakeEngine(retrying, activities=[failing(2)], settings=wrote)
    instance = hub.run("retrying")
    hub.advance(2 * SECOND)
    past = [event for event in instance.history if which(event) != "execution_completed"]

    request = messages.OrchestratorRequest(
        instance_id=ID, past_events=past[:-2], new_events=past[-2:]
    )
    decision = decide(request, hub.registry, reads)

    assert end_of(decision).result == "3"


def test_the_attempts_of_a_call_have_one_identity_and_no_other_call_has_it() -> None:
    def twice(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        yield ctx.call_activity("flaky", retry_policy=POLICY)
        yield ctx.call_activity("flaky", retry_policy=POLICY)

    hub = FakeEngine(twice, activities=[failing(2)], settings=DAPR)
    instance = hub.run("twice")
    hub.advance(DAY)

    calls = [a.schedule_task for d in instance.decisions for a in d.actions if a.schedule_task]
    first, again, and_again, second = (call.task_execution_id for call in calls)
    assert first == again == and_again
    assert second not in {first, ""}


def test_an_activity_is_told_the_identity_of_its_call() -> None:
    told: list[str | None] = []

    def asks(ctx: ActivityContext) -> None:
        told.append(ctx.task_execution_id)

    registry = Registry()
    registry.add_activity(asks)
    for id in ("the call's", ""):
        request = messages.ActivityRequest(name="asks", task_execution_id=id)
        prepare(request, registry, Settings()).call()

    assert told == ["the call's", None]


def test_a_result_of_another_call_with_the_same_number_is_left_out() -> None:
    """durabletask-go delivers what an execution asked for to the one that continues it."""

    def calls(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        return (yield ctx.call_activity("flaky"))

    machine = machine_for(calls, settings=DAPR)
    (action,) = machine.turn(beginning("calls")).actions
    assert action.schedule_task is not None

    assert not machine.turn([completed("someone else's", '"old"')]).ended
    decision = machine.turn([completed(action.schedule_task.task_execution_id, '"new"')])

    assert end_of(decision).result == '"new"'


def test_the_identity_that_history_records_is_the_one_that_answers_bear() -> None:
    """Of an instance that another SDK began."""
    machine = machine_for(retrying, settings=DAPR)
    recorded = events.task_scheduled(1, "flaky")
    assert recorded.task_scheduled is not None
    recorded.task_scheduled.task_execution_id = "another SDK's"

    machine.replay([*beginning("retrying"), recorded])
    decision = machine.turn([completed("another SDK's", "7")])

    assert end_of(decision).result == "7"


def completed(execution_id: str, result: str) -> messages.HistoryEvent:
    event = events.task_completed(1, result)
    assert event.task_completed is not None
    event.task_completed.task_execution_id = execution_id
    return event


# Timers and routes.


def test_timers_tell_what_they_are_for_where_the_engine_keeps_it() -> None:
    def waits(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        ctx.create_timer(SECOND)
        ctx.wait_for_external_event("go", timeout=SECOND)
        yield ctx.wait_for_external_event("stay")

    (timer, timeout) = machine_for(waits, settings=DAPR).turn(beginning("waits")).actions

    assert timer.create_timer is not None
    assert timer.create_timer.create_timer is not None
    assert timeout.create_timer is not None
    assert timeout.create_timer.external_event == messages.TimerOriginExternalEvent(name="go")


def test_a_timer_between_attempts_names_the_call() -> None:
    machine = machine_for(retrying, settings=DAPR)
    (call,) = machine.turn(beginning("retrying")).actions
    failed = events.task_failed(1, failure())

    (_, timer) = machine.turn([failed]).actions

    assert call.schedule_task is not None
    assert timer.create_timer is not None
    assert timer.create_timer.activity_retry == messages.TimerOriginActivityRetry(
        task_execution_id=call.schedule_task.task_execution_id
    )


@pytest.mark.parametrize(
    ("router", "told"),
    [
        (messages.TaskRouter(source_app_id="shop"), "shop"),
        (messages.TaskRouter(source_app_id="other", target_app_id="shop"), "shop"),
    ],
    ids=["started here", "started by another app"],
)
def test_actions_bear_the_app_whose_orchestration_it_is(
    router: messages.TaskRouter, told: str
) -> None:
    new = beginning("retrying")
    new[-1].router = router

    (action,) = machine_for(retrying, settings=DAPR).turn(new).actions

    assert action.router == messages.TaskRouter(source_app_id=told)


def test_for_other_engines_nothing_is_added_that_only_dapr_has() -> None:
    new = beginning("retrying")
    new[-1].router = messages.TaskRouter(source_app_id="shop")
    machine = machine_for(retrying)

    (call,) = machine.turn(new).actions
    (_, timer) = machine.turn([events.task_failed(1, failure())]).actions

    assert call.router is None
    assert call.schedule_task is not None
    assert not call.schedule_task.task_execution_id
    assert timer.create_timer is not None
    assert timer.create_timer.activity_retry is None


# Events that another orchestration sent.


def receiver(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
    return (yield ctx.wait_for_external_event("go"))


def test_an_event_that_arrives_as_the_senders_record_is_received() -> None:
    machine = machine_for(receiver, settings=DAPR)
    machine.turn(beginning("receiver"))

    decision = machine.turn([events.event_sent(17, ID, "GO", '"hello"')])

    assert end_of(decision).result == '"hello"'


def test_an_event_sent_to_oneself_is_recorded_first_and_received_then() -> None:
    def to_itself(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        ctx.send_event(ctx.instance_id, "go", data="hello")
        return (yield ctx.wait_for_external_event("go"))

    sent = events.event_sent(1, ID, "go", '"hello"')
    machine = machine_for(to_itself, settings=DAPR)

    machine.replay([*beginning("to_itself"), sent])
    decision = machine.turn([sent])

    assert end_of(decision).result == '"hello"'


def test_a_senders_record_before_the_first_action_says_nothing_about_ones_own_numbers() -> None:
    """It bears the sender's number, and stands further on when the numbers begin."""

    def answers(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        yield ctx.wait_for_external_event("go")
        return (yield ctx.call_activity("reply"))

    start = events.execution_started("answers", instance_id=ID, execution_id="one", at=START)
    past = [events.orchestrator_started(START), start]
    machine = machine_for(answers, settings=DAPR)
    machine.turn(past)
    received = turn(events.event_sent(17, ID, "go"))
    (call,) = machine.turn(received).actions

    rebuilt = machine_for(answers, settings=DAPR)
    rebuilt.replay([*past, *received, events.task_scheduled(call.id, "reply")])
    decision = rebuilt.turn(turn(events.task_completed(call.id, "1")))

    assert end_of(decision).result == "1"


def test_an_event_that_arrives_during_a_suspension_is_held() -> None:
    machine = machine_for(receiver, settings=DAPR)
    machine.turn([*beginning("receiver"), events.execution_suspended()])

    held = machine.turn([events.event_sent(17, ID, "go", "1")])
    decision = machine.turn([events.execution_resumed()])

    assert not held.ended
    assert end_of(decision).result == "1"


def test_what_is_carried_over_to_the_next_run_is_an_event_that_was_raised() -> None:
    def again(ctx: OrchestrationContext) -> Generator[Task[Any], Any, None]:
        yield ctx.wait_for_external_event("first")
        ctx.continue_as_new(None, save_events=True)

    machine = machine_for(again, settings=DAPR)
    machine.turn([*beginning("again"), events.event_sent(17, ID, "kept", "1")])

    decision = machine.turn([events.orchestrator_started(START), events.event_raised("first")])

    assert [which(event) for event in end_of(decision).carryover_events] == ["event_raised"]


def test_on_other_engines_such_a_record_is_one_of_ones_own() -> None:
    machine = machine_for(receiver)
    machine.turn(beginning("receiver"))

    decision = machine.turn([events.event_sent(17, ID, "go", "1")])

    assert end_of(decision).failure_details is not None


# Continuing as new.


def sends_and_continues(ctx: OrchestrationContext, save_events: bool) -> None:
    ctx.send_event("another", "go")
    ctx.continue_as_new(None, save_events=save_events)


def turn(*new: messages.HistoryEvent) -> list[messages.HistoryEvent]:
    return [events.orchestrator_started(START), *new]


def paused(*, save_events: bool = False) -> OrchestrationMachine:
    """A machine whose orchestration has asked for a pause, timer 3, to continue as new."""
    machine = machine_for(sends_and_continues, settings=DAPR)
    decision = machine.turn(beginning("sends_and_continues", "true" if save_events else "false"))
    assert kinds(decision) == ["send_event", "create_timer"]
    assert not decision.ended
    recorded = [events.event_sent(1, "another", "go"), events.timer_created(3, START)]
    machine.replay(recorded)
    return machine


def test_what_else_is_asked_for_leaves_a_turn_before_the_continuation() -> None:
    """Elsewhere it leaves with it; durabletask-go would drop it."""
    machine = paused()

    decision = machine.turn(turn(events.timer_fired(3, START)))

    assert [(it.id, which(it)) for it in decision.actions] == [(2, "complete_orchestration")]
    elsewhere = machine_for(sends_and_continues).turn(beginning("sends_and_continues", "false"))
    assert kinds(elsewhere) == ["send_event", "complete_orchestration"]


def test_an_execution_that_continues_in_its_first_turn_pauses_and_others_do_not() -> None:
    """durabletask-go counts first turns in a row, and gives up after twenty."""

    def at_once(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new(None)

    def later(ctx: OrchestrationContext) -> Generator[Task[Any], Any, None]:
        yield ctx.wait_for_external_event("go")
        ctx.continue_as_new(None)

    waits = machine_for(later, settings=DAPR)
    waits.turn(beginning("later"))

    first = machine_for(at_once, settings=DAPR).turn(beginning("at_once"))
    second = waits.turn(turn(events.event_raised("go")))

    assert kinds(first) == ["create_timer"]
    assert kinds(second) == ["complete_orchestration"]


@pytest.mark.parametrize("save_events", [True, False])
def test_an_event_that_comes_during_the_pause_goes_to_the_next_execution(
    *, save_events: bool
) -> None:
    """Without a pause it would have found the next execution there."""
    machine = paused(save_events=save_events)

    machine.turn(turn(events.event_raised("late")))
    end = end_of(machine.turn(turn(events.timer_fired(3, START))))

    assert end.orchestration_status is messages.OrchestrationStatus.CONTINUED_AS_NEW
    assert [event.event_raised.name for event in end.carryover_events if event.event_raised] == [
        "late"
    ]


def test_an_event_that_comes_with_the_end_of_the_pause_goes_to_the_next_execution() -> None:
    machine = paused()

    end = end_of(machine.turn(turn(events.timer_fired(3, START), events.event_raised("late"))))

    assert [event.event_raised.name for event in end.carryover_events if event.event_raised] == [
        "late"
    ]


def test_a_pause_is_over_when_its_own_timer_fires() -> None:
    machine = paused()

    waiting = machine.turn(turn(events.timer_fired(7, START)))

    assert (kinds(waiting), waiting.ended) == ([], False)
    assert machine.turn(turn(events.timer_fired(3, START))).ended


def test_a_suspension_during_the_pause_holds_the_continuation() -> None:
    machine = paused()

    machine.turn(turn(events.execution_suspended()))
    held = machine.turn(turn(events.timer_fired(3, START)))
    decision = machine.turn(turn(events.execution_resumed()))

    assert not held.ended
    assert end_of(decision).orchestration_status is messages.OrchestrationStatus.CONTINUED_AS_NEW


def test_a_termination_during_the_pause_is_the_end() -> None:
    decision = paused().turn(turn(events.execution_terminated('"enough"')))

    assert decision.ended
    assert end_of(decision).orchestration_status is messages.OrchestrationStatus.TERMINATED


def test_a_call_that_was_to_be_made_again_is_not_during_the_pause() -> None:
    def gives_up(ctx: OrchestrationContext) -> Generator[Task[Any], Any, None]:
        ctx.call_activity("flaky", retry_policy=POLICY)
        yield ctx.wait_for_external_event("go")
        ctx.send_event("another", "go")
        ctx.continue_as_new(None)

    machine = machine_for(gives_up, settings=DAPR)
    machine.turn(beginning("gives_up"))
    machine.replay([events.task_scheduled(1, "flaky")])
    machine.turn(turn(events.task_failed(1, failure())))
    machine.replay([events.timer_created(2, START + SECOND)])
    machine.turn(turn(events.event_raised("go")))
    machine.replay([events.event_sent(3, "another", "go"), events.timer_created(5, START)])

    decision = machine.turn(turn(events.timer_fired(2, START + SECOND)))

    assert kinds(decision) == []


def test_a_replay_of_a_pause_decides_what_the_living_machine_does() -> None:
    def generations(ctx: OrchestrationContext, number: int) -> int | None:
        ctx.send_event("another", "go")
        if number == 3:
            return number
        ctx.continue_as_new(number + 1)
        return None

    hub = FakeEngine(generations, settings=DAPR, sessions="both")
    instance = hub.run("generations", input=0)
    hub.advance(timedelta(0))

    assert instance.output == "3"
    assert instance.generation == 3


# Entities.


ASKS: dict[str, Callable[[OrchestrationContext, EntityInstanceId], Any]] = {
    "call_entity": lambda ctx, id: ctx.call_entity(id, "add"),
    "signal_entity": lambda ctx, id: ctx.signal_entity(id, "add"),
    "lock_entities": lambda ctx, id: ctx.lock_entities([id]),
}


@pytest.mark.parametrize("asked", ASKS)
def test_an_engine_that_would_die_of_it_is_sent_nothing_for_entities(asked: str) -> None:
    def uses(ctx: OrchestrationContext) -> None:
        ASKS[asked](ctx, EntityInstanceId("counter", "one"))

    decision = machine_for(uses, settings=DAPR).turn(beginning("uses"))

    assert kinds(decision) == ["complete_orchestration"]
    told = end_of(decision).failure_details
    assert told is not None
    assert told.error_type == "durabletask.task.UnsupportedByEngineError"
    assert told.error_message.startswith(f"{asked} is not possible on a test's engine. ")


def test_the_code_may_catch_that_there_are_no_entities() -> None:
    def falls_back(ctx: OrchestrationContext) -> str:
        try:
            ctx.signal_entity(EntityInstanceId("counter", "one"), "add")
        except NotImplementedError:
            return "did without"
        return "did not"

    decision = machine_for(falls_back, settings=DAPR).turn(beginning("falls_back"))

    assert end_of(decision).result == '"did without"'


# Patches.


def patched(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
    yield ctx.call_activity("before")
    taken = ctx.is_patched("a patch")
    yield ctx.call_activity("new" if taken else "old")
    return taken, ctx.is_patched("a patch")


def before() -> list[messages.HistoryEvent]:
    return [*beginning("patched"), events.task_scheduled(1, "before")]


def names(decision: Decision) -> list[str]:
    return [action.schedule_task.name for action in decision.actions if action.schedule_task]


def test_a_patch_is_taken_where_the_code_comes_for_the_first_time() -> None:
    machine = machine_for(patched, settings=DAPR)
    machine.replay(before())

    decision = machine.turn([events.orchestrator_started(START), events.task_completed(1)])

    assert names(decision) == ["new"]
    assert decision.patches == ("a patch",)


def test_a_place_that_the_old_code_passed_stays_as_it_was() -> None:
    past = [*before(), events.orchestrator_started(START), events.task_completed(1)]
    machine = machine_for(patched, settings=DAPR)
    machine.replay([*past, events.task_scheduled(2, "old")])

    decision = machine.turn([events.task_completed(2)])

    assert end_of(decision).result == "[false, false]"
    assert decision.patches == ()


def test_a_patch_that_history_records_is_taken_again() -> None:
    past = [*before(), started("a patch"), events.task_completed(1)]
    machine = machine_for(patched, settings=DAPR)
    machine.replay([*past, events.task_scheduled(2, "new")])

    decision = machine.turn([events.task_completed(2)])

    assert end_of(decision).result == "[true, true]"
    # As often as the code asked: Dapr's SDKs tell it so.
    assert decision.patches == ("a patch", "a patch")


def test_a_patch_that_was_taken_on_resuming_is_taken_again() -> None:
    """The code goes on from what was held, before the record of the turn in which it does."""
    past = [*before(), *turn(events.execution_suspended()), *turn(events.task_completed(1))]
    machine = machine_for(patched, settings=DAPR)
    machine.replay([*past, started("a patch"), events.execution_resumed()])
    machine.replay([events.task_scheduled(2, "new")])

    decision = machine.turn([events.task_completed(2)])

    assert end_of(decision).result == "[true, true]"


def test_the_response_tells_which_code_took_the_turn() -> None:
    machine = machine_for(patched, settings=DAPR)
    machine.replay(before())
    decision = machine.turn([events.task_completed(1)])

    response = decision.response(machine, "t")

    assert response.version == messages.OrchestrationVersion(patches=["a patch"])


def test_where_patches_are_not_recorded_asking_for_one_fails() -> None:
    def asks(ctx: OrchestrationContext) -> bool:
        return ctx.is_patched("a patch")

    decision = machine_for(asks).turn(beginning("asks"))

    told = end_of(decision).failure_details
    assert told is not None
    assert told.error_type == "durabletask.task.UnsupportedByEngineError"
    assert "ctx.version" in told.error_message


# Versions with names.


def versioned(settings: Settings, *, latest: str | None = "2") -> OrchestrationMachine:
    registry = Registry()
    for name in ("1", "2"):
        registry.add_version(_returns(name), name, "order", is_latest=name == latest)
    return open_machine(messages.OrchestratorRequest(instance_id=ID), registry, settings)


def _returns(name: str) -> Callable[[OrchestrationContext], Generator[Task[Any], Any, str]]:
    def order(ctx: OrchestrationContext) -> Generator[Task[Any], Any, str]:
        yield ctx.call_activity(f"step of {name}")
        return name

    return order


def test_an_instance_begins_with_the_latest_version_and_tells_so() -> None:
    decision = versioned(DAPR).turn(beginning("order"))

    assert names(decision) == ["step of 2"]
    assert decision.version_name == "2"


def test_an_instance_stays_with_the_version_it_began_with() -> None:
    machine = versioned(DAPR)
    machine.replay(
        [started(name="1"), beginning("order")[-1], events.task_scheduled(1, "step of 1")]
    )

    decision = machine.turn([events.task_completed(1)])

    assert end_of(decision).result == '"1"'
    assert decision.version_name == "1"


def test_an_instance_of_a_version_that_is_missing_is_left_to_another_worker() -> None:
    machine = versioned(DAPR)
    machine.replay(
        [started(name="3"), beginning("order")[-1], events.task_scheduled(1, "step of 3")]
    )

    decision = machine.turn([events.task_completed(1)])

    assert kinds(decision) == ["orchestration_version_not_available"]
    assert decision.ended


def test_it_can_be_terminated_all_the_same() -> None:
    machine = versioned(DAPR)
    machine.replay([started(name="3"), beginning("order")[-1]])

    decision = machine.turn([events.execution_terminated('"enough"')])

    assert end_of(decision).orchestration_status is messages.OrchestrationStatus.TERMINATED


def test_elsewhere_the_version_it_was_scheduled_with_names_it() -> None:
    start = events.execution_started("order", instance_id=ID, version="1", at=START)

    decision = versioned(Settings()).turn([events.orchestrator_started(START), start])

    assert names(decision) == ["step of 1"]


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (None, "durabletask.task.UnsupportedByEngineError"),
        ("3", "durabletask.worker.OrchestratorVersionNotRegisteredError"),
    ],
    ids=["none", "missing"],
)
def test_elsewhere_an_instance_without_a_version_that_is_there_fails(
    version: str | None, error: str
) -> None:
    start = events.execution_started("order", instance_id=ID, version=version, at=START)

    decision = versioned(Settings()).turn([events.orchestrator_started(START), start])

    told = end_of(decision).failure_details
    assert told is not None
    assert told.error_type == error


def test_without_a_latest_version_an_instance_that_names_none_waits() -> None:
    assert kinds(versioned(DAPR, latest=None).turn(beginning("order"))) == [
        "orchestration_version_not_available"
    ]


def test_versions_are_registered_once_and_one_is_the_latest() -> None:
    registry = Registry()
    registry.add_version(_returns("1"), "1", "order", is_latest=True)
    registry.add_orchestrator(_returns("plain"), "plain")

    with pytest.raises(ValueError, match="already has a version '1'"):
        registry.add_version(_returns("1"), "1", "order")
    with pytest.raises(ValueError, match="already has a latest version, '1'"):
        registry.add_version(_returns("2"), "2", "order", is_latest=True)
    with pytest.raises(ValueError, match="'plain' orchestrator already exists"):
        registry.add_version(_returns("2"), "2", "plain")
    with pytest.raises(ValueError, match="'order' orchestrator already exists"):
        registry.add_orchestrator(_returns("3"), "order")
    with pytest.raises(ValueError, match="non-empty version_name"):
        registry.add_version(_returns("2"), "", "order")
    assert registry.orchestrator_names() == ("order", "plain")


@pytest.mark.parametrize(
    "event",
    [
        messages.HistoryEvent(execution_stalled=messages.ExecutionStalledEvent()),
        messages.HistoryEvent(
            detached_orchestration_instance_created=(
                messages.DetachedOrchestrationInstanceCreatedEvent()
            )
        ),
    ],
    ids=which,
)
def test_events_that_only_dapr_has_tell_an_orchestrator_nothing(
    event: messages.HistoryEvent,
) -> None:
    machine = machine_for(receiver, settings=DAPR)

    decision = machine.turn([*beginning("receiver"), event])

    assert decision.log_entries == ()
    assert not decision.ended
