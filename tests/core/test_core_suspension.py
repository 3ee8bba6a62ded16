"""A suspended orchestration stands still; resumed, it goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from durabletask.protocol import events, messages
from durabletask.task import ActivityContext, OrchestrationContext, Task
from tests.builders.core import ID, FakeEngine, beginning, kinds, machine_for

Steps = Generator[Task[Any], Any, Any]


def hello(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def works(ctx: OrchestrationContext) -> Steps:
    first = yield ctx.wait_for_external_event("go")
    return [first, (yield ctx.call_activity(hello, input=str(first)))]


def test_events_wait_for_the_end_of_the_suspension() -> None:
    hub = FakeEngine(works, activities=[hello])
    instance = hub.run(works)
    hub.send(events.execution_suspended())
    hub.raise_event("go", 1)
    hub.settle()
    assert instance.decisions[-1].actions == ()

    hub.send(events.execution_resumed())
    hub.settle()

    assert instance.output == '[1, "Hello 1!"]'


def test_what_was_asked_for_before_is_sent_once() -> None:
    """The official SDK asks again at each event that comes in while it is suspended."""
    hub = FakeEngine(works, activities=[hello])
    instance = hub.run(works)
    hub.raise_event("go", 1)
    hub.send(events.execution_suspended())
    for number in range(3):
        hub.raise_event("other", number)
        hub.settle()
    hub.send(events.execution_resumed())
    hub.settle()

    assert [kind for _, kind in instance.asked()] == ["schedule_task", "complete_orchestration"]
    assert instance.output == '[1, "Hello 1!"]'


def test_suspending_twice_needs_one_resumption() -> None:
    hub = FakeEngine(works, activities=[hello])
    instance = hub.run(works)
    hub.send(events.execution_suspended(), events.execution_suspended())
    hub.raise_event("go", 1)
    hub.send(events.execution_resumed())
    hub.settle()

    assert instance.status == "COMPLETED"


def test_what_was_held_is_handed_out_once() -> None:
    async def twice(ctx: OrchestrationContext) -> list[Any]:
        return [await ctx.wait_for_external_event("go") for _ in range(2)]

    hub = FakeEngine(twice)
    instance = hub.run(twice)
    for number in (1, 2):
        hub.send(events.execution_suspended())
        hub.raise_event("go", number)
        hub.send(events.execution_resumed())
        hub.settle()

    assert instance.output == "[1, 2]"


def test_resuming_what_is_not_suspended_changes_nothing() -> None:
    hub = FakeEngine(works, activities=[hello])
    instance = hub.run(works)
    hub.send(events.execution_resumed())
    hub.raise_event("go", 1)
    hub.settle()

    assert instance.status == "COMPLETED"


def test_a_start_may_be_held_too() -> None:
    machine = machine_for(works)
    started, start = beginning("works")

    held = machine.turn([started, events.execution_suspended(), start, events.event_raised("go")])
    resumed = machine.turn([started, events.execution_resumed()])

    assert held.actions == ()
    assert kinds(resumed) == ["schedule_task"]


def test_a_suspended_instance_can_be_terminated() -> None:
    hub = FakeEngine(works, activities=[hello])
    instance = hub.run(works)
    hub.send(events.execution_suspended(), events.event_raised("go"))
    hub.send(events.execution_terminated('"enough"'))
    hub.settle()

    assert (instance.status, instance.output) == ("TERMINATED", '"enough"')
    assert instance.id == ID


def test_code_that_goes_on_at_resumption_is_not_replaying() -> None:
    async def looks(ctx: OrchestrationContext) -> bool:
        await ctx.wait_for_external_event("go")
        return ctx.is_replaying

    machine = machine_for(looks)
    machine.replay([*beginning("looks"), events.execution_suspended(), events.event_raised("go")])
    decision = machine.turn([events.execution_resumed()])

    complete = decision.actions[0].complete_orchestration
    assert complete is not None
    assert complete.orchestration_status is messages.OrchestrationStatus.COMPLETED
    assert complete.result == "false"
