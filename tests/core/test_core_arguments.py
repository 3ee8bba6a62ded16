"""What no message can hold is refused where it is asked for, so that the orchestration ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.failures import from_message
from durabletask.protocol import codec
from durabletask.serialization import JsonDataConverter
from durabletask.task import OrchestrationContext, RetryPolicy
from tests.builders.core import FakeEngine, beginning, kinds, machine_for

Asks = Callable[[Any], Any]

LONE = "caf\udce9"


def failure_of(asks: Asks, *, settings: Settings | None = None) -> Any:
    """How an orchestration ends that asks for that."""

    async def flow(ctx: OrchestrationContext) -> None:
        asks(ctx)
        await ctx.wait_for_external_event("never")

    (action,) = machine_for(flow, settings=settings).turn(beginning("flow")).actions
    assert action.complete_orchestration is not None
    assert action.complete_orchestration.failure_details is not None
    return from_message(action.complete_orchestration.failure_details)


WRONG_TYPES: dict[str, Asks] = {
    "a key of tags": lambda ctx: ctx.call_activity("a", tags={1: "n"}),
    "tags['n']": lambda ctx: ctx.call_activity("a", tags={"n": 1}),
    "tags": lambda ctx: ctx.call_activity("a", tags=["n"]),
    "retry_policy": lambda ctx: ctx.call_activity("a", retry_policy={"attempts": 3}),
    "instance_id": lambda ctx: ctx.call_sub_orchestrator("o", instance_id=uuid.UUID(int=7)),
    "version": lambda ctx: ctx.call_sub_orchestrator("o", version=2),
    "new_version": lambda ctx: ctx.continue_as_new(1, new_version=3),
    "event_name": lambda ctx: ctx.send_event("x", 5),
    "name": lambda ctx: ctx.wait_for_external_event(5),
    "fire_at": lambda ctx: ctx.create_timer(5),
    "timeout": lambda ctx: ctx.wait_for_external_event("go", timeout=date(2026, 1, 1)),
}


@pytest.mark.parametrize("argument", WRONG_TYPES)
def test_a_wrong_type_fails_the_instance_and_names_the_argument(argument: str) -> None:
    failure = failure_of(WRONG_TYPES[argument])

    assert failure.error_type == "builtins.TypeError"
    assert failure.message.startswith(f"{argument} must be ")
    assert "(of type " in failure.message


@pytest.mark.parametrize("nothing", [0, False])
def test_a_wrong_type_is_refused_even_if_it_is_false(nothing: Any) -> None:
    failure = failure_of(lambda ctx: ctx.call_sub_orchestrator("o", instance_id=nothing))

    assert failure.message.startswith("instance_id must be ")


@pytest.mark.parametrize(
    "asks",
    [
        lambda ctx: ctx.call_activity(LONE),
        lambda ctx: ctx.call_activity("a", tags={LONE: "n"}),
        lambda ctx: ctx.call_activity("a", tags={"n": LONE}),
        lambda ctx: ctx.call_sub_orchestrator("o", instance_id=LONE),
        lambda ctx: ctx.call_sub_orchestrator("o", version=LONE),
        lambda ctx: ctx.send_event(LONE, "go"),
        lambda ctx: ctx.send_event("other", LONE),
        lambda ctx: ctx.continue_as_new(1, new_version=LONE),
    ],
)
def test_a_lone_surrogate_fails_the_instance(asks: Asks) -> None:
    failure = failure_of(asks)

    assert failure.error_type == "builtins.ValueError"
    assert r"caf\udce9" in failure.message


def test_text_beyond_ascii_is_sent() -> None:
    async def flow(ctx: OrchestrationContext) -> None:
        await ctx.call_activity("größe", tags={"ключ": "値"})

    decision = machine_for(flow).turn(beginning("flow"))

    (action,) = decision.actions
    assert action.schedule_task is not None
    assert (action.schedule_task.name, action.schedule_task.tags) == ("größe", {"ключ": "値"})
    assert codec.encode(action)


def test_a_number_for_a_timer_is_answered_with_the_span_to_write() -> None:
    message = failure_of(lambda ctx: ctx.create_timer(5)).message

    assert "timedelta(seconds=5)" in message


def test_a_wrong_argument_may_be_caught() -> None:
    def catches(ctx: OrchestrationContext) -> str:
        try:
            ctx.call_activity("a", tags={"n": 1})  # type: ignore[dict-item]
        except TypeError:
            return "caught"
        return "missed"

    instance = FakeEngine(catches).run(catches)

    assert instance.output == '"caught"'
    assert kinds(instance.decisions[0]) == ["complete_orchestration"]


class Bytes(JsonDataConverter):
    """As one writes it who calls `orjson.dumps`."""

    def serialize(self, value: Any) -> Any:
        text = super().serialize(value)
        return None if text is None else text.encode()


@pytest.mark.parametrize(
    "asks",
    [
        lambda ctx: ctx.call_activity("a", input=[1]),
        lambda ctx: ctx.set_custom_status("busy"),
        lambda ctx: ctx.continue_as_new(1),
    ],
)
def test_a_converter_that_gives_no_text_fails_the_instance(asks: Asks) -> None:
    failure = failure_of(asks, settings=Settings(data_converter=Bytes()))

    assert failure.error_type == "builtins.TypeError"
    assert "data converter" in failure.message
    assert "bytes" in failure.message


class Moody(JsonDataConverter):
    """Serializes what it is asked for until it does not."""

    def __init__(self) -> None:
        self.refuses = False

    def serialize(self, value: Any) -> str | None:
        if self.refuses:
            raise SystemExit("no more")
        return super().serialize(value)


def test_a_payload_that_was_put_off_and_fails_at_last_fails_the_instance() -> None:
    converter = Moody()

    async def flow(ctx: OrchestrationContext) -> None:
        await ctx.call_activity("step", input="plain")

    machine = machine_for(flow, settings=Settings(data_converter=converter))
    machine.replay(beginning("flow"))
    converter.refuses = True
    decision = machine.turn([])

    assert decision.ended
    (action,) = decision.actions
    assert action.complete_orchestration is not None
    assert action.complete_orchestration.failure_details is not None
    assert action.complete_orchestration.failure_details.error_message == "no more"


def test_a_coefficient_of_any_kind_of_number_delays_a_retry() -> None:
    calls: list[int] = []

    def fails(_ctx: Any, _input: Any) -> None:
        calls.append(1)
        raise LookupError

    async def flow(ctx: OrchestrationContext) -> None:
        policy = RetryPolicy(
            first_retry_interval=timedelta(seconds=1),
            max_number_of_attempts=3,
            backoff_coefficient=Decimal(2),  # type: ignore[arg-type]
        )
        await ctx.call_activity(fails, retry_policy=policy)

    hub = FakeEngine(flow, activities=[fails])
    hub.run(flow)
    hub.advance(timedelta(seconds=3))

    assert len(calls) == 3


@pytest.mark.parametrize(("name", "error"), [(5, TypeError), (LONE, ValueError)])
def test_a_name_no_message_can_hold_is_not_registered(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^name "):
        Registry().add_activity(lambda _ctx: None, name)


def test_a_default_version_must_be_text() -> None:
    with pytest.raises(TypeError, match=r"^default_version must be a str or None, not 2"):
        Settings(default_version=2)  # type: ignore[arg-type]
