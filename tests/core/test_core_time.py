"""Timers, retries and the clock go by what history says, never by what time it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.determinism import ReplayClock, nth_uuid
from durabletask.core.pending_calls import delay_after
from durabletask.core.settings import Settings, dapr_engine
from durabletask.protocol import events
from durabletask.task import (
    ActivityContext,
    OrchestrationContext,
    RetryableTask,
    RetryPolicy,
    Task,
    TaskCancelledError,
    TaskFailedError,
)
from tests.builders.core import START, FakeEngine, Instance, beginning, failure, machine_for

if TYPE_CHECKING:
    from durabletask.core.machine import OrchestrationMachine

Steps = Generator[Task[Any], Any, Any]
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
_DAPR = Settings(engine=dapr_engine("a test's engine"))


def timers_of(instance: Instance) -> list[tuple[int, datetime | None]]:
    return [
        (action.id, action.create_timer.fire_at)
        for decision in instance.decisions
        for action in decision.actions
        if action.create_timer is not None
    ]


def test_the_clock_is_naive_utc_and_moves_with_the_turns() -> None:
    def naps(ctx: OrchestrationContext) -> Steps:
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(hours=1))
        return [str(before), str(ctx.current_utc_datetime - before)]

    hub = FakeEngine(naps)
    hub.run(naps)
    hub.advance(DAY)

    assert hub.instances["an-instance"].output == '["2026-01-01 00:00:00", "1:00:00"]'


@pytest.mark.parametrize(
    "when",
    [
        timedelta(hours=1),
        datetime(2026, 1, 1, 1),
        datetime(2026, 1, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=["span", "naive", "utc", "elsewhere"],
)
def test_a_timer_takes_a_span_or_any_kind_of_time(when: datetime | timedelta) -> None:
    def naps(ctx: OrchestrationContext) -> Steps:
        yield ctx.create_timer(when)

    assert timers_of(FakeEngine(naps).run(naps)) == [(1, START + timedelta(hours=1))]


def test_a_long_timer_runs_in_pieces() -> None:
    def sleeps(ctx: OrchestrationContext) -> Steps:
        yield ctx.create_timer(10 * DAY)
        return str(ctx.current_utc_datetime)

    hub = FakeEngine(sleeps)
    instance = hub.run(sleeps)
    hub.advance(20 * DAY)

    assert timers_of(instance) == [(n, START + DAY * d) for n, d in enumerate([3, 6, 9, 10], 1)]
    assert instance.output == '"2026-01-11 00:00:00"'


def test_a_late_piece_does_not_make_the_next_one_late() -> None:
    def sleeps(ctx: OrchestrationContext) -> Steps:
        yield ctx.create_timer(10 * DAY)

    machine = machine_for(sleeps)
    machine.turn(beginning("sleeps"))
    machine.replay([events.timer_created(1, START + 3 * DAY)])
    decision = machine.turn(
        [
            events.orchestrator_started(START + 3.5 * DAY),
            events.timer_fired(1, START + 3 * DAY),
        ]
    )

    assert decision.actions[0].create_timer is not None
    assert decision.actions[0].create_timer.fire_at == START + 6 * DAY


@pytest.mark.parametrize("interval", [None, timedelta(0)])
def test_a_long_timer_may_run_in_one_piece(interval: timedelta | None) -> None:
    def sleeps(ctx: OrchestrationContext) -> Steps:
        yield ctx.create_timer(10 * DAY)

    instance = FakeEngine(sleeps, settings=Settings(maximum_timer_interval=interval)).run(sleeps)

    assert timers_of(instance) == [(1, START + 10 * DAY)]


def test_a_timer_cancelled_in_the_same_turn_is_never_asked_for() -> None:
    def changes_its_mind(ctx: OrchestrationContext) -> Steps:
        timer = ctx.create_timer(DAY)
        timer.cancel()
        try:
            yield timer
        except TaskCancelledError:
            return "cancelled"

    instance = FakeEngine(changes_its_mind).run(changes_its_mind)

    assert instance.asked() == [(2, "complete_orchestration")]
    assert instance.output == '"cancelled"'


def test_a_timer_cancelled_later_fires_for_nobody() -> None:
    async def waits(ctx: OrchestrationContext) -> str:
        timer = ctx.create_timer(DAY)
        await ctx.wait_for_external_event("go")
        timer.cancel()
        await ctx.wait_for_external_event("go")
        return str(ctx.current_utc_datetime)

    hub = FakeEngine(waits)
    instance = hub.run(waits)
    hub.raise_event("go")
    hub.settle()
    hub.advance(2 * DAY)
    hub.raise_event("go")
    hub.settle()

    assert instance.output == '"2026-01-03 00:00:00"'


@pytest.mark.parametrize(
    ("span", "year"), [(timedelta.max, 9999), (timedelta.min, 1970)], ids=["after", "before"]
)
def test_a_timer_beyond_the_calendar_is_due_as_near_as_it_goes(span: timedelta, year: int) -> None:
    def waits(ctx: OrchestrationContext) -> Steps:
        yield ctx.create_timer(span)

    machine = machine_for(waits, settings=Settings(maximum_timer_interval=None))
    decision = machine.turn(beginning("waits"))

    assert decision.actions[0].create_timer is not None
    assert decision.actions[0].create_timer.fire_at is not None
    assert decision.actions[0].create_timer.fire_at.year == year


def failing(times: int) -> Callable[[ActivityContext], str]:
    attempts: list[int] = []

    def flaky(_ctx: ActivityContext) -> str:
        attempts.append(1)
        if len(attempts) <= times:
            raise ConnectionError("not yet")
        return f"after {len(attempts)} attempts"

    return flaky


def retrying(policy: RetryPolicy, rest: timedelta = timedelta(0)) -> Callable[..., Steps]:
    def stubborn(ctx: OrchestrationContext) -> Steps:
        result = yield ctx.call_activity("flaky", retry_policy=policy)
        if rest:
            yield ctx.create_timer(rest)
        return result

    return stubborn


def test_a_retry_reuses_its_number_and_its_timer_takes_a_new_one() -> None:
    policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=3)
    hub = FakeEngine(retrying(policy), activities=[failing(2)])
    instance = hub.run("stubborn")
    hub.advance(DAY)

    assert instance.asked() == [
        (1, "schedule_task"),
        (2, "create_timer"),
        (1, "schedule_task"),
        (3, "create_timer"),
        (1, "schedule_task"),
        (4, "complete_orchestration"),
    ]
    assert instance.output == '"after 3 attempts"'


def test_after_the_last_attempt_the_failure_is_raised() -> None:
    policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
    hub = FakeEngine(retrying(policy), activities=[failing(5)])
    instance = hub.run("stubborn")
    hub.advance(DAY)

    assert instance.failure is not None
    assert instance.failure.message == "an-instance: Activity task #1 failed: not yet"
    assert len([it for it in instance.asked() if it[1] == "schedule_task"]) == 2


def test_the_wait_between_attempts_grows_up_to_its_limit() -> None:
    policy = RetryPolicy(
        first_retry_interval=SECOND,
        max_number_of_attempts=9,
        backoff_coefficient=2,
        max_retry_interval=5 * SECOND,
    )

    waits = [delay_after(attempt, policy).total_seconds() for attempt in range(1, 6)]

    assert waits == [1, 2, 4, 5, 5]


def test_no_wait_is_too_long_to_compute() -> None:
    policy = RetryPolicy(
        first_retry_interval=SECOND, max_number_of_attempts=10**6, backoff_coefficient=10
    )

    assert delay_after(10**6, policy) == timedelta.max
    assert ReplayClock().after(timedelta.max).year == 9999


def test_a_call_with_a_policy_is_a_task_that_tells_it() -> None:
    policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
    told: list[RetryPolicy] = []

    def asks(ctx: OrchestrationContext) -> None:
        assert not isinstance(ctx.call_activity("flaky"), RetryableTask)
        for call in (
            ctx.call_activity("flaky", retry_policy=policy),
            ctx.call_sub_orchestrator("child", retry_policy=policy),
        ):
            assert isinstance(call, RetryableTask)
            told.append(call.retry_policy)

    machine_for(asks).turn(beginning("asks"))

    assert told == [policy, policy]


def test_no_wait_for_another_attempt_begins_after_the_retry_timeout() -> None:
    """One that began before it ends as planned: the last attempt starts at 3 seconds."""
    policy = RetryPolicy(
        first_retry_interval=SECOND, max_number_of_attempts=9, retry_timeout=2.5 * SECOND
    )
    hub = FakeEngine(retrying(policy), activities=[failing(9)])
    instance = hub.run("stubborn")
    hub.advance(DAY)

    assert instance.status == "FAILED"
    assert [fire_at for _, fire_at in timers_of(instance)] == [
        START + n * SECOND for n in (1, 2, 3)
    ]


def test_the_retry_timeout_is_judged_as_it_was_then_when_replayed_much_later() -> None:
    """The official SDK compares with the wall clock and fails the instance here."""
    policy = RetryPolicy(
        first_retry_interval=SECOND, max_number_of_attempts=3, retry_timeout=1.5 * SECOND
    )
    hub = FakeEngine(retrying(policy, rest=DAY), activities=[failing(1)], sessions="cold")
    instance = hub.run("stubborn")
    hub.advance(2 * DAY)

    assert instance.output == '"after 2 attempts"'


def test_a_retried_child_keeps_its_id() -> None:
    attempts: list[str] = []

    def child(ctx: OrchestrationContext) -> str:
        attempts.append(ctx.instance_id)
        if len(attempts) < 2:
            raise ConnectionError("not yet")
        return "at last"

    def parent(ctx: OrchestrationContext) -> Steps:
        policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
        return (yield ctx.call_sub_orchestrator(child, retry_policy=policy))

    hub = FakeEngine(parent, child, sessions="warm")
    instance = hub.run(parent)
    hub.advance(DAY)

    assert instance.output == '"at last"'
    assert attempts == ["an-instance:0001"] * 2


@pytest.mark.parametrize("settings", [Settings(), _DAPR], ids=["same number", "new number"])
@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "replayed"])
def test_a_retried_child_keeps_the_id_that_the_engine_gave_it(
    settings: Settings, is_warm: bool
) -> None:
    def parent(ctx: OrchestrationContext) -> Steps:
        policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
        return (yield ctx.call_sub_orchestrator("child", retry_policy=policy))

    def machine() -> OrchestrationMachine:
        return machine_for(parent, settings=settings)

    running, history = machine(), beginning("parent")
    (asked,) = running.turn(history).actions
    failed = [
        events.sub_orchestration_instance_created(asked.id, "child", instance_id="given"),
        events.orchestrator_started(at=START),
        events.sub_orchestration_instance_failed(asked.id, failure()),
    ]
    (waits,) = running.turn(failed).actions
    assert waits.create_timer is not None
    fire_at = waits.create_timer.fire_at
    assert fire_at is not None
    history += [*failed, events.timer_created(waits.id, fire_at)]
    fired = [
        events.orchestrator_started(at=fire_at),
        events.timer_fired(waits.id, fire_at),
    ]
    if is_warm:
        fired = [history[-1], *fired]
    else:
        running = machine()
        running.replay(history)

    (again,) = running.turn(fired).actions

    assert again.create_sub_orchestration is not None
    assert again.create_sub_orchestration.instance_id == "given"


def test_a_long_wait_between_attempts_runs_in_pieces_too() -> None:
    policy = RetryPolicy(first_retry_interval=4 * DAY, max_number_of_attempts=2)
    hub = FakeEngine(retrying(policy), activities=[failing(1)])
    instance = hub.run("stubborn")
    hub.advance(5 * DAY)

    assert timers_of(instance) == [(2, START + 3 * DAY), (3, START + 4 * DAY)]
    assert instance.output == '"after 2 attempts"'


def test_failing_for_good_can_be_handled() -> None:
    policy = RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=1)

    async def careful(ctx: OrchestrationContext) -> str:
        try:
            return await ctx.call_activity("flaky", retry_policy=policy, return_type=str)
        except TaskFailedError as error:
            return error.details.error_type

    assert (
        FakeEngine(careful, activities=[failing(1)]).run(careful).output
        == '"builtins.ConnectionError"'
    )


def test_uuids_are_those_of_every_durable_task_sdk() -> None:
    """Computed apart: SHA-1 over namespace 5bf3dc27-d91d-5ea7-9c3e-9f1f2ae7c309 and the text."""
    now = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)

    assert nth_uuid("abc", now, 0) == "d7a581df-1100-5acb-8132-0472b4bf1bb9"
    assert nth_uuid("abc", now, 1) != nth_uuid("abc", now, 0)


def test_uuids_are_new_at_each_call_and_the_same_on_replay() -> None:
    async def identifies(ctx: OrchestrationContext) -> list[str]:
        first = [ctx.new_uuid(), ctx.new_uuid()]
        await ctx.create_timer(SECOND)
        return [*first, ctx.new_uuid()]

    hub = FakeEngine(identifies)
    instance = hub.run(identifies)
    hub.advance(DAY)

    assert instance.output is not None
    assert len(set(instance.output.split(", "))) == 3
