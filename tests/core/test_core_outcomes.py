"""An orchestration ends once; after that none of its code runs, whatever still comes in."""

from __future__ import annotations

import sys
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from durabletask.core.orchestration import decide
from durabletask.core.settings import Settings
from durabletask.failures import FailureDetails
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.task import ActivityContext, OrchestrationContext, Task, TaskFailedError
from tests.builders.core import ID, START, FakeEngine, beginning, kinds, machine_for, registry_of

Steps = Generator[Task[Any], Any, Any]


def hello(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def completion(decision: Any) -> messages.CompleteOrchestrationAction:
    found = decision.actions[-1].complete_orchestration
    assert found is not None
    result: messages.CompleteOrchestrationAction = found
    return result


def test_a_result_that_is_not_json_fails_with_the_official_type() -> None:
    def returns_a_set(_ctx: OrchestrationContext) -> Any:
        return {1, 2}

    failure = FakeEngine(returns_a_set).run(returns_a_set).failure

    assert failure is not None
    assert failure.error_type == (
        "durabletask.internal.json_encode_output_exception.JsonEncodeOutputException"
    )
    assert "'set'" in failure.message
    assert "forget" not in failure.message
    assert failure.inner_failure is not None
    assert failure.inner_failure.error_type == "builtins.TypeError"


class Exits:
    """As one writes it who takes a hook for the place to stop a program."""

    @classmethod
    def to_json(cls, _value: object) -> None:
        sys.exit("enough")

    @classmethod
    def from_json(cls, _value: object) -> None:
        sys.exit("enough")


def test_a_result_that_exits_while_it_is_written_fails_the_instance() -> None:
    def flow(_ctx: OrchestrationContext) -> Exits:
        return Exits()

    failure = FakeEngine(flow).run(flow).failure

    assert failure is not None
    assert failure.error_type.endswith("JsonEncodeOutputException")
    assert failure.inner_failure is not None
    assert failure.inner_failure.error_type == "builtins.SystemExit"


def test_an_input_that_exits_while_it_is_read_fails_the_instance() -> None:
    def flow(_ctx: OrchestrationContext, _input: Exits) -> None: ...

    failure = FakeEngine(flow).run(flow, 1).failure

    assert failure is not None
    assert failure.error_type == "builtins.SystemExit"


@pytest.mark.parametrize("answer", ["a result", "an event"])
def test_an_answer_that_exits_while_it_is_read_fails_the_instance(answer: str) -> None:
    async def flow(ctx: OrchestrationContext) -> None:
        if answer == "a result":
            await ctx.call_activity(hello, input="Ada", return_type=Exits)
        await ctx.wait_for_external_event("go", data_type=Exits)

    hub = FakeEngine(flow, activities=[hello])
    hub.start(flow)
    hub.raise_event("go", 1)
    hub.settle()

    failure = hub.instances[ID].failure
    assert failure is not None
    assert failure.error_type == "builtins.SystemExit"


@pytest.mark.parametrize("wrap", [lambda task: task, lambda task: [task]], ids=["task", "list"])
def test_returning_a_task_asks_whether_a_wait_was_forgotten(wrap: Any) -> None:
    def forgets(ctx: OrchestrationContext) -> Any:
        return wrap(ctx.call_activity(hello, input="Ada"))

    failure = FakeEngine(forgets, activities=[hello]).run(forgets).failure

    assert failure is not None
    assert "Did you forget `yield` or `await`?" in failure.message


def test_details_that_users_made_up_and_no_message_can_hold_fail_the_instance() -> None:
    def flow(_ctx: OrchestrationContext) -> None:
        raise TaskFailedError("lost", FailureDetails("m", "t", None, properties={"p": {(1, 2): 3}}))

    failure = FakeEngine(flow).run(flow).failure

    assert failure is not None
    assert failure.error_type == "builtins.TypeError"


def test_an_unknown_orchestrator_fails_and_says_what_there_is() -> None:
    def flow(_ctx: OrchestrationContext) -> None: ...

    failure = FakeEngine(flow).run("flaw").failure

    assert failure is not None
    assert failure.error_type == "durabletask.worker.OrchestratorNotRegisteredError"
    assert "'flow'" in failure.message


def test_an_unreadable_input_fails_the_instance() -> None:
    def flow(_ctx: OrchestrationContext, _input: Any) -> None: ...

    decision = machine_for(flow).turn(beginning("flow", "{not json"))

    details = completion(decision).failure_details
    assert details is not None
    assert "JSONDecodeError" in details.error_type


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("when", ["at once", "after a wait"])
def test_exiting_fails_the_instance(error: BaseException, when: str) -> None:
    def leaves(ctx: OrchestrationContext) -> Steps:
        if when == "after a wait":
            yield ctx.call_activity(hello, input="Ada")
        raise error

    failure = FakeEngine(leaves, activities=[hello]).run(leaves).failure

    assert failure is not None
    assert failure.error_type == f"builtins.{type(error).__name__}"


async def exits(_ctx: OrchestrationContext) -> None:
    sys.exit("enough")


def test_sys_exit_in_a_coroutine_fails_the_instance() -> None:
    failure = FakeEngine(exits).run(exits).failure

    assert failure is not None
    assert (failure.error_type, failure.message) == ("builtins.SystemExit", "enough")


def test_what_was_asked_for_before_a_failure_is_still_done() -> None:
    def fails(ctx: OrchestrationContext) -> None:
        ctx.send_event("other", "sorry")
        raise LookupError

    assert kinds(FakeEngine(fails).run(fails).decisions[0]) == [
        "send_event",
        "complete_orchestration",
    ]


def test_terminating_ends_at_once_and_drops_what_was_not_sent() -> None:
    async def works(ctx: OrchestrationContext) -> None:
        await ctx.call_activity("one")
        await ctx.call_activity("two")

    machine = machine_for(works)
    machine.turn(beginning("works"))
    machine.replay([events.task_scheduled(1, "one")])
    decision = machine.turn([events.task_completed(1), events.execution_terminated('"enough"')])

    assert decision.ended
    assert kinds(decision) == ["complete_orchestration"]
    assert completion(decision).orchestration_status is messages.OrchestrationStatus.TERMINATED
    assert completion(decision).result == '"enough"'


def test_no_code_runs_after_the_end() -> None:
    steps: list[str] = []

    async def works(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_external_event("go")
        steps.append("went on")

    for late in (
        events.event_raised("go"),
        events.task_completed(1),
        events.timer_fired(1, START),
    ):
        machine = machine_for(works)
        machine.turn([*beginning("works"), events.execution_terminated(), late])

    assert steps == []


def test_a_completion_stands_against_a_later_termination() -> None:
    def done(_ctx: OrchestrationContext) -> str:
        return "done"

    decision = machine_for(done).turn([*beginning("done"), events.execution_terminated('"no"')])

    assert completion(decision).result == '"done"'


def restarting(*, save_events: bool = False, new_version: str | None = None) -> Any:
    def restarts(ctx: OrchestrationContext, count: int) -> Steps:
        if count == 3:
            return count
        yield ctx.call_activity(hello, input="Ada")
        ctx.continue_as_new(count + 1, save_events=save_events, new_version=new_version)
        return None

    return restarts


def test_continuing_as_new_starts_over_with_the_new_input() -> None:
    restarts = restarting()

    instance = FakeEngine(restarts, activities=[hello]).run(restarts, 1)

    assert instance.output == "3"
    assert instance.inputs == ["1", "2", "3"]
    assert [it.actions[-1].id for it in instance.decisions if it.ended] == [2, 2, 1]


def test_a_new_version_goes_with_it() -> None:
    restarts = restarting(new_version="2")
    hub = FakeEngine(restarts, activities=[hello])

    instance = hub.run(restarts, 2)

    ends = [completion(it) for it in instance.decisions if it.ended]
    assert [it.new_version for it in ends] == ["2", None]


@pytest.mark.parametrize("batch", [None, 1], ids=["in one turn", "one a turn"])
def test_events_nobody_has_read_are_carried_over_in_order(batch: int | None) -> None:
    async def tally(ctx: OrchestrationContext, seen: list[str]) -> list[str]:
        name = "a" if len(seen) % 2 == 0 else "B"
        seen = [*seen, await ctx.wait_for_external_event(name, data_type=str)]
        if len(seen) < 5:
            ctx.continue_as_new(seen, save_events=True)
        return seen

    hub = FakeEngine(tally, batch=batch)
    hub.start(tally, [])
    for name in ("a", "b", "a", "b", "a"):
        hub.raise_event(name, f"{name}{hub.instances[ID].generation}")
    hub.settle()

    assert hub.instances[ID].output == '["a0", "b0", "a0", "b0", "a0"]'


def test_carried_events_keep_their_name_and_their_order_across_names() -> None:
    async def restarts(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_external_event("go")
        ctx.continue_as_new(None, save_events=True)

    decision = machine_for(restarts).turn(
        [
            *beginning("restarts"),
            events.event_raised("B", "1"),
            events.event_raised("a", "2"),
            events.event_raised("go"),
            events.event_raised("b", "3"),
        ]
    )

    carried = [it.event_raised for it in completion(decision).carryover_events]
    assert [(it.name, it.input) for it in carried if it] == [("B", "1"), ("a", "2"), ("b", "3")]


def test_events_after_the_end_are_carried_over_whoever_had_waited() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.wait_for_external_event("a")
        ctx.continue_as_new(None, save_events=True)

    decision = machine_for(restarts).turn([*beginning("restarts"), events.event_raised("a", "1")])

    assert [it.event_raised and it.event_raised.input for it in carried(decision)] == ["1"]


def carried(decision: Any) -> list[messages.HistoryEvent]:
    return completion(decision).carryover_events


def test_events_are_dropped_unless_asked_for() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new(None)

    decision = machine_for(restarts).turn([*beginning("restarts"), events.event_raised("a")])

    assert completion(decision).carryover_events == []


def test_only_the_first_continue_as_new_counts_and_code_stops_at_its_next_wait() -> None:
    steps: list[str] = []

    def restarts(ctx: OrchestrationContext) -> Steps:
        ctx.continue_as_new("first")
        ctx.continue_as_new("second")
        ctx.send_event("other", "bye")
        finished = ctx.create_timer(timedelta(days=1))
        finished.cancel()
        steps.append("before the wait")
        yield finished
        steps.append("after the wait")

    decision = machine_for(restarts).turn(beginning("restarts"))

    assert kinds(decision) == ["send_event", "complete_orchestration"]
    assert completion(decision).result == '"first"'
    assert steps == ["before the wait"]


def test_timers_of_a_run_that_is_over_are_not_started() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.create_timer(timedelta(days=1))
        ctx.continue_as_new(None)

    assert kinds(machine_for(restarts).turn(beginning("restarts"))) == ["complete_orchestration"]


def test_raising_after_continue_as_new_is_noted_and_continues() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new("on")
        raise LookupError("too late")

    decision = machine_for(restarts).turn(beginning("restarts"))

    assert completion(decision).result == '"on"'
    assert "too late" in decision.log_entries[0].text


class MuteError(Exception):
    def __repr__(self) -> str:
        raise LookupError


def test_what_is_raised_after_continue_as_new_need_not_be_printable() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new("on")
        raise MuteError("hush")

    decision = machine_for(restarts).turn(beginning("restarts"))

    assert completion(decision).result == '"on"'
    assert "hush" in decision.log_entries[0].text


def test_termination_stops_a_loop_of_continue_as_new() -> None:
    def restarts(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new(None)

    decision = machine_for(restarts).turn(
        [*beginning("restarts"), events.execution_terminated('"stop"')]
    )

    assert completion(decision).orchestration_status is messages.OrchestrationStatus.TERMINATED
    assert len(decision.actions) == 1


def cleaning(log: list[Any]) -> Any:
    def cleans(ctx: OrchestrationContext) -> Steps:
        try:
            yield ctx.wait_for_external_event("never")
        finally:
            log.append(("cleaned up", ctx.is_replaying))
            ctx.call_activity("clean up")

    return cleans


def test_closing_runs_finally_blocks_once_as_if_replaying() -> None:
    log: list[Any] = []
    machine = machine_for(cleaning(log))
    machine.turn(beginning("cleans"))
    assert log == []

    machine.close()
    machine.close()

    assert log == [("cleaned up", True)]


def test_what_finally_blocks_ask_for_after_termination_is_not_done() -> None:
    log: list[Any] = []

    decision = machine_for(cleaning(log)).turn(
        [*beginning("cleans"), events.execution_terminated()]
    )

    assert log == [("cleaned up", True)]
    assert kinds(decision) == ["complete_orchestration"]


def test_a_cold_decision_leaves_nothing_behind() -> None:
    log: list[Any] = []
    request = messages.OrchestratorRequest(instance_id=ID, new_events=beginning("cleans"))

    decision = decide(request, registry_of(cleaning(log)), Settings())

    assert log == [("cleaned up", True)]
    assert decision.actions == ()


@pytest.mark.parametrize("how", ["waits", "raises", "exits", "waits in a coroutine"])
def test_closing_never_raises(how: str) -> None:
    def stubborn(ctx: OrchestrationContext) -> Steps:
        try:
            yield ctx.wait_for_external_event("never")
        finally:
            if how == "raises":
                raise RuntimeError
            if how == "exits":
                sys.exit()
            yield ctx.wait_for_external_event("never ever")
            yield ctx.wait_for_external_event("never ever ever")

    async def stubborn_async(ctx: OrchestrationContext) -> None:
        try:
            await ctx.wait_for_external_event("never")
        finally:
            await ctx.wait_for_external_event("never ever")

    function = stubborn_async if how == "waits in a coroutine" else stubborn
    machine = machine_for(function)
    machine.turn(beginning(function.__name__))

    machine.close()

    assert machine.turn([events.event_raised("never")]).actions == ()


def test_the_response_answers_the_request() -> None:
    def done(ctx: OrchestrationContext) -> str:
        ctx.set_custom_status("nearly")
        return "done"

    machine = machine_for(done)
    decision = machine.turn(beginning("done"))
    response = decision.response(machine, "token")

    assert response.instance_id == ID
    assert response.completion_token == "token"
    assert response.custom_status == '"nearly"'
    assert [which(it) for it in response.actions] == ["complete_orchestration"]
