"""A batch keeps each operation whole or not at all, and always has a result for each."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.core.entity_batch import from_v2, run_batch
from durabletask.core.settings import Settings
from durabletask.entities import DurableEntity, EntityContext, EntityInstanceId
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.serialization import JsonDataConverter
from tests.builders.core import START
from tests.builders.core_entities import SENDER, batch, outcomes, registry_with, run

OTHER = EntityInstanceId("other", "x")


@dataclass
class Order:
    amount: int


class Counter(DurableEntity):
    limit = 100
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def add(self, amount: int = 1) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        return total

    def reset(self) -> None:
        self.set_state(0)

    def order(self, order: Order) -> str:
        return type(order).__name__

    def echo(self, value: Any) -> Any:
        return [value]

    def add_and_fail(self, amount: int) -> None:
        self.add(amount)
        self.signal_entity(OTHER, "lost")
        self.schedule_new_orchestration("lost")
        raise ValueError("no luck")

    def add_and_tell(self, amount: int) -> str:
        self.signal_entity(OTHER, "added", amount)
        self.add(amount)
        return self.schedule_new_orchestration("report", amount)

    def unwritable(self) -> object:
        self.add(1)
        self.signal_entity(OTHER, "lost")
        return object()

    def leaves(self) -> None:
        raise SystemExit(3)

    async def waits(self) -> None: ...

    def _secret(self) -> str:
        return "a secret"

    @staticmethod
    def double(number: int) -> int:
        return number * 2

    @classmethod
    def named(cls) -> str:
        return cls.__name__


def test_operations_run_in_order_on_one_state() -> None:
    result = run(batch("@counter@a", ("add", "5"), ("add", "2"), ("add", None)), Counter)

    assert outcomes(result) == ["5", "7", "8"]
    assert result.entity_state == "8"


def test_the_state_that_was_stored_is_where_it_begins() -> None:
    assert run(batch("@counter@a", ("add", "5"), state="10"), Counter).entity_state == "15"


def test_a_state_that_is_not_touched_stays_to_the_letter() -> None:
    state = '{"a":  1}'

    assert run(batch("@counter@a", ("named", None), state=state), Counter).entity_state == state


def test_each_operation_has_an_object_of_its_own() -> None:
    Counter.made = 0

    run(batch("@counter@a", ("add", None), ("add", None)), Counter)

    assert Counter.made == 2


def test_a_failed_operation_leaves_nothing_behind_and_the_others_count() -> None:
    result = run(batch("@counter@a", ("add", "1"), ("add_and_fail", "10"), ("add", "2")), Counter)

    assert outcomes(result) == ["1", "builtins.ValueError: no luck", "3"]
    assert result.entity_state == "3"
    assert result.actions == []
    assert result.failure_details is None


def test_a_result_that_cannot_be_written_fails_the_operation_and_undoes_it() -> None:
    result = run(batch("@counter@a", ("unwritable", None), state="4"), Counter)

    (told,) = outcomes(result)
    assert told is not None
    assert told.startswith("builtins.TypeError: ")
    assert result.entity_state == "4"
    assert result.actions == []


def test_an_operation_that_exits_fails_alone() -> None:
    result = run(batch("@counter@a", ("leaves", None), ("add", "2")), Counter)

    assert outcomes(result) == ["builtins.SystemExit: 3", "2"]


def test_nothing_is_an_empty_text_as_the_official_sdk_has_it() -> None:
    assert outcomes(run(batch("@counter@a", ("reset", None)), Counter)) == [""]


def test_delete_leaves_no_state() -> None:
    result = run(batch("@counter@a", ("delete", None), ("add", "1"), state="9"), Counter)
    assert result.entity_state == "1"

    result = run(batch("@counter@a", ("add", "1"), ("delete", '"why"'), state="9"), Counter)
    assert result.entity_state is None


def test_what_operations_ask_for_becomes_actions_in_order() -> None:
    result = run(batch("@counter@a", ("add_and_tell", "1"), ("add_and_tell", "2")), Counter)

    kinds = [which(action) for action in result.actions]
    assert kinds == ["send_signal", "start_new_orchestration"] * 2
    signal, start = result.actions[2].send_signal, result.actions[3].start_new_orchestration
    assert signal == messages.SendSignalAction(instance_id="@other@x", name="added", input="2")
    assert start is not None
    assert (start.name, start.input) == ("report", "2")
    assert outcomes(result)[1] == f'"{start.instance_id}"'


def test_started_orchestrations_have_ids_that_no_other_has() -> None:
    def starts(ctx: EntityContext) -> list[str]:
        return [ctx.schedule_new_orchestration("o") for _ in range(2)]

    def ids(entity: str, token: str) -> list[str]:
        result = run(batch(entity, ("x", None), ("x", None)), starts, token=token)
        started = [action.start_new_orchestration for action in result.actions]
        return [start.instance_id for start in started if start is not None]

    all_ids = [*ids("@starts@a", "t1"), *ids("@starts@a", "t2"), *ids("@starts@b", "t1")]
    assert len(set(all_ids)) == 12

    assert ids("@starts@a", "t1") == all_ids[:4], "the same batch asks for the same"


@pytest.mark.parametrize(
    "due",
    [
        datetime(2026, 5, 1, 12),
        datetime(2026, 5, 1, 12, tzinfo=UTC),
        datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=["naive", "utc", "elsewhere"],
)
def test_signals_may_be_delayed(due: datetime) -> None:
    def later(ctx: EntityContext) -> None:
        ctx.signal_entity(OTHER, "ping", signal_time=due)

    (action,) = run(batch("@later@a", ("x", None)), later).actions

    assert action.send_signal is not None
    assert action.send_signal.scheduled_time == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "operation",
    [
        "missing",
        "_secret",
        "__init__",
        "__class__",
        "_entity_context",
        "entity_context",
        "get_state",
        "set_state",
        "signal_entity",
        "schedule_new_orchestration",
        "",
    ],
)
def test_what_is_no_operation_is_missing(operation: str) -> None:
    result = run(batch("@counter@a", (operation, "1"), state="4"), Counter)

    assert outcomes(result) == [
        f"builtins.AttributeError: Entity '@counter@a' does not have operation '{operation}'"
    ]
    assert result.entity_state == "4"


def test_a_method_that_the_heir_has_defined_anew_is_its_operation() -> None:
    class Store(DurableEntity):
        def set_state(self, state: Any) -> None:
            super().set_state([state])

    assert run(batch("@store@a", ("set_state", "1")), Store).entity_state == "[1]"


def test_an_attribute_that_cannot_be_called_is_no_operation() -> None:
    assert outcomes(run(batch("@counter@a", ("limit", None)), Counter)) == [
        "builtins.TypeError: Entity operation 'limit' is not callable"
    ]


@pytest.mark.parametrize(
    ("operation", "input", "expected"),
    [
        ("add", None, "1"),
        ("add", "", "1"),
        ("add", "3", "3"),
        ("echo", None, "[null]"),
        ("echo", "3", "[3]"),
        ("order", '{"amount": 3}', '"Order"'),
        ("double", "4", "8"),
        ("named", None, '"Counter"'),
    ],
)
def test_methods_get_an_input_if_they_need_one_or_there_is_one(
    operation: str, input: str | None, expected: str
) -> None:
    assert outcomes(run(batch("@counter@a", (operation, input)), Counter)) == [expected]


def with_input(ctx: EntityContext, order: Order) -> list[Any]:
    return [ctx.operation, ctx.entity_id.key, order.amount]


def without_input(ctx: EntityContext) -> str:
    return ctx.operation


def test_a_function_performs_every_operation_itself() -> None:
    result = run(batch("@with_input@k", ("buy", '{"amount": 3}')), with_input)

    assert outcomes(result) == ['["buy", "k", 3]']


def test_a_function_may_leave_out_the_input() -> None:
    assert outcomes(run(batch("@without_input@k", ("set_state", "3")), without_input)) == [
        '"set_state"'
    ]


async def waits(_ctx: EntityContext) -> None: ...


@pytest.mark.parametrize(
    ("entity", "request_"),
    [(Counter, batch("@counter@a", ("waits", None))), (waits, batch("@waits@a", ("x", None)))],
    ids=["method", "function"],
)
def test_an_operation_that_would_have_to_be_awaited_fails_and_says_what_to_do(
    entity: Any, request_: messages.EntityBatchRequest
) -> None:
    (told,) = outcomes(run(request_, entity))

    assert told is not None
    assert "is an `async def` and cannot be awaited" in told
    assert "Make it a plain `def`" in told
    gc.collect()  # would warn of a coroutine that was never awaited


def test_an_entity_that_is_not_registered_fails_each_operation() -> None:
    result = run(batch("@nobody@a", ("add", "1"), ("add", "2"), state="4"), Counter)

    assert len(result.results) == 2
    for told in outcomes(result):
        assert told is not None
        assert told.startswith("durabletask.worker.EntityNotRegisteredError: A 'nobody' entity")
        assert "'counter'" in told
    assert result.entity_state == "4"


def test_an_instance_that_is_no_entity_fails_each_operation() -> None:
    assert outcomes(run(batch("order-1", ("add", "1")), Counter)) == [
        "builtins.ValueError: Entity ID must start with '@'. It is 'order-1'."
    ]


def test_the_result_carries_the_token() -> None:
    assert run(batch("@counter@a", ("add", "1")), Counter, token="lease-7").completion_token == (
        "lease-7"
    )


def test_each_result_tells_when_the_operation_ran() -> None:
    times = iter(START + timedelta(seconds=second) for second in range(4))

    result = run_batch(
        batch("@counter@a", ("add", "1"), ("missing", None)),
        registry_with(Counter),
        Settings(),
        now=lambda: next(times),
        completion_token="",
    )

    success, failure = result.results[0].success, result.results[1].failure
    assert success is not None
    assert success.start_time_utc == START
    assert success.end_time_utc == START + timedelta(seconds=1)
    assert failure is not None
    assert failure.start_time_utc == START + timedelta(seconds=2)
    assert failure.end_time_utc == START + timedelta(seconds=3)


def test_the_exceptions_properties_are_told() -> None:
    class Codes:
        def get_exception_properties(self, exception: Exception) -> dict[str, Any]:
            return {"code": str(exception)}

    settings = Settings(exception_properties_provider=Codes())

    result = run(batch("@counter@a", ("add_and_fail", "1")), Counter, settings=settings)

    assert result.results[0].failure is not None
    assert result.results[0].failure.failure_details is not None
    assert result.results[0].failure.failure_details.properties == {"code": '"no luck"'}


class Shouting(JsonDataConverter):
    def serialize(self, value: Any) -> str | None:
        return super().serialize(value.upper() if isinstance(value, str) else value)


def test_everything_goes_through_the_data_converter() -> None:
    def keeps(ctx: EntityContext, word: str) -> str:
        ctx.set_state(word)
        ctx.signal_entity(OTHER, "ping", word)
        return word

    result = run(
        batch("@keeps@a", ("x", '"word"')), keeps, settings=Settings(data_converter=Shouting())
    )

    assert outcomes(result) == ['"WORD"']
    assert result.entity_state == '"WORD"'
    assert result.actions[0].send_signal is not None
    assert result.actions[0].send_signal.input == '"WORD"'


class Strict(JsonDataConverter):
    def deserialize(self, data: str | None, target_type: Any = None) -> Any:
        assert data != "", "an empty text is no value"
        return super().deserialize(data, target_type)


def test_an_empty_text_is_no_input_and_no_state() -> None:
    result = run(
        batch("@counter@a", ("echo", ""), ("add", ""), state=""),
        Counter,
        settings=Settings(data_converter=Strict()),
    )

    assert outcomes(result) == ["[null]", "1"]
    assert run(batch("@counter@a", ("named", None), state=""), Counter).entity_state is None


CALL = events.entity_operation_called(1, None, "add", "5", request_id="r1", parent=SENDER)
SIGNAL = events.entity_operation_signaled(1, None, "add", "6", request_id="r2")


def test_the_newer_form_of_request_becomes_the_older() -> None:
    request = messages.EntityRequest(
        instance_id="@counter@a", entity_state="1", operation_requests=[CALL, SIGNAL]
    )

    converted, infos = from_v2(request)

    assert converted == messages.EntityBatchRequest(
        instance_id="@counter@a",
        entity_state="1",
        operations=[
            messages.OperationRequest(operation="add", request_id="r1", input="5"),
            messages.OperationRequest(operation="add", request_id="r2", input="6"),
        ],
    )
    assert infos == [
        messages.OperationInfo(request_id="r1", response_destination=SENDER),
        messages.OperationInfo(request_id="r2", response_destination=None),
    ]


def test_a_call_that_tells_no_caller_is_still_performed() -> None:
    call = events.entity_operation_called(1, None, "add", "5", request_id="r1")

    converted, infos = from_v2(messages.EntityRequest(operation_requests=[call]))

    assert [each.operation for each in converted.operations] == ["add"]
    assert infos[0].response_destination == messages.OrchestrationInstance(instance_id="")


def test_an_event_that_is_no_operation_still_gets_its_result() -> None:
    strange = events.timer_fired(1, START)
    request = messages.EntityRequest(
        instance_id="@counter@a", operation_requests=[SIGNAL, strange, SIGNAL]
    )

    converted, infos = from_v2(request)
    told = outcomes(run(converted, Counter))

    assert len(infos) == 3
    assert told[0] == "6"
    assert told[1] is not None
    assert "does not have operation 'timer_fired'" in told[1]
    assert told[2] == "12"


operations = st.lists(
    st.tuples(
        st.sampled_from(["add", "reset", "delete", "add_and_tell", "add_and_fail", "missing"]),
        st.integers(-9, 9),
    ),
    max_size=8,
)


def performed(asked: list[tuple[str, int]]) -> Callable[[str | None], messages.EntityBatchResult]:
    requests = [
        (name, None if name in {"reset", "delete"} else str(amount)) for name, amount in asked
    ]
    return lambda state: run(batch("@counter@a", *requests, state=state), Counter)


@given(operations, st.integers(0, 8))
def test_how_operations_are_cut_into_batches_makes_no_difference(
    asked: list[tuple[str, int]], cut: int
) -> None:
    whole = performed(asked)(None)

    first = performed(asked[:cut])(None)
    second = performed(asked[cut:])(first.entity_state)

    assert second.entity_state == whole.entity_state
    assert len(first.actions) + len(second.actions) == len(whole.actions)
    assert _kinds(first) + _kinds(second) == _kinds(whole)


@given(operations)
def test_failed_operations_might_as_well_not_have_been_sent(asked: list[tuple[str, int]]) -> None:
    fine = [it for it in asked if it[0] not in {"add_and_fail", "missing"}]

    assert performed(asked)(None).entity_state == performed(fine)(None).entity_state
    assert len(performed(asked)(None).actions) == len(performed(fine)(None).actions)


def _kinds(result: messages.EntityBatchResult) -> list[str]:
    return [which(each) for each in result.results]
