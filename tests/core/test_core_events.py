"""External events reach whoever waits, or are kept until somebody does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durabletask.protocol import events
from durabletask.task import OrchestrationContext, TaskCancelledError, when_all
from tests.builders.core import ID, FakeEngine, Instance, beginning, machine_for

HOUR = timedelta(hours=1)


@dataclass
class Approval:
    by: str


async def collect(ctx: OrchestrationContext, count: int) -> list[Any]:
    return [await ctx.wait_for_external_event("Number") for _ in range(count)]


@pytest.mark.parametrize("batch", [None, 1], ids=["in one turn", "one a turn"])
def test_events_are_handed_out_in_order_whatever_their_case(batch: int | None) -> None:
    hub = FakeEngine(collect, batch=batch)
    hub.start(collect, 3)
    for number, name in enumerate(("number", "NUMBER", "Number")):
        hub.raise_event(name, number)
    hub.settle()

    assert hub.instances[ID].output == "[0, 1, 2]"


def test_names_are_compared_by_casefold() -> None:
    async def waits(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_external_event("STRASSE", data_type=str)

    hub = FakeEngine(waits)
    hub.start(waits)
    hub.raise_event("straße", "here")
    hub.settle()

    assert hub.instances[ID].output == '"here"'


def test_events_before_anyone_waits_are_kept() -> None:
    async def late(ctx: OrchestrationContext) -> list[Any]:
        await ctx.create_timer(HOUR)
        return [await ctx.wait_for_external_event(name) for name in ("b", "a", "a")]

    hub = FakeEngine(late)
    hub.start(late)
    hub.raise_event("a", 1)
    hub.raise_event("b", 2)
    hub.raise_event("A", 3)
    hub.settle()
    hub.advance(HOUR)

    assert hub.instances[ID].output == "[2, 1, 3]"


def test_waiters_are_served_in_the_order_they_came() -> None:
    async def twice(ctx: OrchestrationContext) -> list[Any]:
        first, second = (ctx.wait_for_external_event("go") for _ in range(2))
        return await when_all([second, first])

    hub = FakeEngine(twice)
    hub.start(twice)
    hub.raise_event("go", "for the first")
    hub.raise_event("go", "for the second")
    hub.settle()

    assert hub.instances[ID].output == '["for the second", "for the first"]'


def test_the_payload_comes_as_the_asked_type() -> None:
    async def waits(ctx: OrchestrationContext) -> str:
        return (await ctx.wait_for_external_event("approval", data_type=Approval)).by

    hub = FakeEngine(waits)
    hub.start(waits)
    hub.raise_event("approval", Approval("Ada"))
    hub.settle()

    assert hub.instances[ID].output == '"Ada"'


def test_an_unreadable_payload_fails_the_wait_for_it() -> None:
    async def waits(ctx: OrchestrationContext) -> str:
        try:
            await ctx.wait_for_external_event("go")
        except ValueError:
            return "unreadable"
        return "readable"

    machine = machine_for(waits)
    machine.turn(beginning("waits"))
    decision = machine.turn([events.event_raised("go", "{not json")])

    assert decision.actions[0].complete_orchestration is not None
    assert decision.actions[0].complete_orchestration.result == '"unreadable"'


def test_a_cancelled_wait_takes_no_event() -> None:
    async def changes_its_mind(ctx: OrchestrationContext) -> list[Any]:
        given_up, kept = (ctx.wait_for_external_event("go", timeout=HOUR) for _ in range(2))
        given_up.cancel()
        try:
            await given_up
        except TaskCancelledError:
            return ["cancelled", await kept]
        return []

    hub = FakeEngine(changes_its_mind)
    instance = hub.run(changes_its_mind)
    hub.raise_event("go", 1)
    hub.settle()

    assert instance.output == '["cancelled", 1]'
    assert instance.asked() == [(2, "create_timer"), (3, "complete_orchestration")]


async def impatient(ctx: OrchestrationContext) -> list[Any]:
    try:
        got = await ctx.wait_for_external_event("approval", timeout=HOUR)
    except TimeoutError as error:
        got = str(error)
    return [got, await ctx.wait_for_external_event("approval")]


def approved(*after: timedelta) -> Instance:
    hub = FakeEngine(impatient)
    instance = hub.run(impatient)
    for number, span in enumerate(after):
        hub.advance(span)
        hub.raise_event("approval", number)
        hub.settle()
    return instance


def test_an_event_in_time_beats_the_timeout() -> None:
    assert approved(HOUR / 2, HOUR).output == "[0, 1]"


def test_an_event_too_late_is_for_the_next_waiter() -> None:
    assert approved(2 * HOUR).output == (
        "[\"the event 'approval' was not raised before 2026-01-01 01:00:00.000000 UTC\", 0]"
    )


def test_a_wait_that_is_served_at_once_needs_no_timer() -> None:
    async def late(ctx: OrchestrationContext) -> Any:
        await ctx.wait_for_external_event("start")
        return await ctx.wait_for_external_event("approval", timeout=HOUR)

    hub = FakeEngine(late)
    hub.start(late)
    hub.raise_event("approval", 1)
    hub.raise_event("start")
    hub.settle()

    assert hub.instances[ID].asked() == [(1, "complete_orchestration")]
    assert hub.instances[ID].output == "1"


def test_sending_an_event_is_an_action_that_nobody_waits_for() -> None:
    def sends(ctx: OrchestrationContext) -> str:
        ctx.send_event("other", "ping", data={"from": ctx.instance_id})
        return "sent"

    instance = FakeEngine(sends).run(sends)

    sent = instance.decisions[0].actions[0].send_event
    assert sent is not None
    assert sent.instance is not None
    assert (sent.instance.instance_id, sent.name) == ("other", "ping")
    assert sent.data == f'{{"from": "{ID}"}}'
    assert instance.output == '"sent"'


@pytest.mark.parametrize(
    ("target", "name", "text"),
    [
        ("", "ping", "instance_id cannot be empty"),
        (" ", "ping", "instance_id cannot be empty"),
        ("other", "", "event_name cannot be empty"),
        ("@counter@1", "ping", "signal_entity"),
    ],
)
def test_sending_to_nowhere_is_refused(target: str, name: str, text: str) -> None:
    def sends(ctx: OrchestrationContext) -> None:
        ctx.send_event(target, name)

    instance = FakeEngine(sends).run(sends)

    assert instance.failure is not None
    assert instance.failure.error_type == "builtins.ValueError"
    assert text in instance.failure.message


def test_one_instance_reaches_another() -> None:
    async def receiver(ctx: OrchestrationContext) -> Any:
        return await ctx.wait_for_external_event("ping")

    def sender(ctx: OrchestrationContext) -> None:
        ctx.send_event("the-receiver", "PING", data=7)

    hub = FakeEngine(receiver, sender)
    hub.start(receiver, id="the-receiver")
    hub.run(sender)

    assert hub.instances["the-receiver"].output == "7"
