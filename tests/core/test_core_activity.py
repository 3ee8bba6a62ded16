"""A request becomes a call, an outcome becomes a response; nothing raises at the worker."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.activity import ActivityCall, Raised, Returned, finish, prepare
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import messages
from tests.builders.core import run_coroutine

if TYPE_CHECKING:
    from durabletask.task import ActivityContext

SETTINGS = Settings()


class Leaves:
    """Exits the program where others become JSON, or are made from it."""

    def to_json(self) -> None:
        sys.exit(1)

    @classmethod
    def from_json(cls, _value: object) -> Leaves:
        sys.exit(1)


@dataclass
class Order:
    item: str
    count: int = 1


def request(name: str, input: str | None = None) -> messages.ActivityRequest:
    return messages.ActivityRequest(
        name=name,
        input=input,
        orchestration_instance=messages.OrchestrationInstance(instance_id="caller"),
        task_id=7,
    )


def prepared(function: Any, input: str | None = None) -> ActivityCall:
    registry = Registry()
    registry.add_activity(function, "it")
    return prepare(request("it", input), registry, SETTINGS)


def outcome_of(call: ActivityCall) -> Returned | Raised:
    try:
        return Returned(call.call())
    except BaseException as error:
        return Raised(error)


def answer(outcome: Returned | Raised) -> messages.ActivityResponse:
    return finish(request("it"), outcome, SETTINGS, completion_token="token")


def details(outcome: Returned | Raised) -> messages.TaskFailureDetails:
    found = answer(outcome).failure_details
    assert found is not None
    return found


def test_the_context_tells_who_called() -> None:
    def who(ctx: ActivityContext) -> tuple[str, int]:
        return ctx.orchestration_id, ctx.task_id

    assert prepared(who).call() == ("caller", 7)


def test_the_input_comes_as_the_annotated_type() -> None:
    def item(_ctx: ActivityContext, order: Order) -> str:
        return order.item

    assert prepared(item, '{"item": "tea"}').call() == "tea"


def test_an_input_without_annotation_comes_as_it_is() -> None:
    assert prepared(lambda _ctx, value: value, "[1, 2]").call() == [1, 2]


def test_no_input_is_none() -> None:
    assert prepared(lambda _ctx, value: value).call() is None


class Service:
    def method(self, _ctx: Any, value: int) -> int:
        return value + 1

    async def async_method(self, _ctx: Any, value: int) -> int:
        return value + 1

    async def __call__(self, _ctx: Any, value: int) -> int:
        return value + 1


async def coroutine(_ctx: Any, value: int) -> int:
    return value + 1


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (Service().method, False),
        (Service().async_method, True),
        (Service(), True),
        (coroutine, True),
        (functools.partial(coroutine), True),
        (functools.partial(lambda _ctx, value: value + 1), False),
    ],
)
def test_every_callable_is_called_its_way(function: Any, *, is_async: bool) -> None:
    call = prepared(function, "1")

    assert call.is_async is is_async
    assert (run_coroutine(call.call()) if is_async else call.call()) == 2


def test_the_response_names_what_it_answers() -> None:
    response = answer(Returned({"a": 1}))

    assert response.instance_id == "caller"
    assert response.task_id == 7
    assert response.completion_token == "token"
    assert response.result == '{"a": 1}'
    assert response.failure_details is None


def test_a_failure_keeps_its_type_and_cause() -> None:
    def broken(_ctx: ActivityContext) -> None:
        raise LookupError("no such order") from ValueError("bad key")

    told = details(outcome_of(prepared(broken)))

    assert told.error_type == "builtins.LookupError"
    assert told.error_message == "no such order"
    assert "in broken" in (told.stack_trace or "")
    assert told.inner_failure is not None
    assert told.inner_failure.error_type == "builtins.ValueError"


def test_a_missing_activity_is_its_own_failure() -> None:
    call = prepare(request("gone"), Registry(), SETTINGS)

    told = details(outcome_of(call))

    assert told.error_type == "durabletask.worker.ActivityNotRegisteredError"
    assert "'gone'" in told.error_message


def test_an_unreadable_input_fails_the_activity() -> None:
    told = details(outcome_of(prepared(lambda _ctx, value: value, "{not json")))

    assert "JSONDecodeError" in told.error_type


def test_a_result_that_is_not_json_fails_the_activity() -> None:
    response = answer(Returned({1, 2}))

    assert response.result is None
    assert response.failure_details is not None
    assert "set" in response.failure_details.error_message


def test_exiting_fails_the_activity_and_says_so() -> None:
    def leaves(_ctx: ActivityContext) -> None:
        sys.exit(3)

    told = details(outcome_of(prepared(leaves)))

    assert told.error_type == "builtins.SystemExit"
    assert "Activity 'it' raised SystemExit(3)" in told.error_message
    assert "the worker goes on" in told.error_message
    assert "in leaves" in (told.stack_trace or "")


def test_an_exit_with_a_constructor_of_its_own_is_reported_too() -> None:
    class Odd(BaseException):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one, two)

    assert "Odd" in details(Raised(Odd(1, 2))).error_type


def test_preparing_runs_nothing_of_the_users() -> None:
    def take(_ctx: ActivityContext, value: Leaves) -> None: ...

    async def take_async(_ctx: ActivityContext, value: Leaves) -> None: ...

    assert not prepared(take, "1").is_async
    assert prepared(take_async, "1").is_async


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_input_that_exits_while_it_is_read_fails_the_activity(*, is_async: bool) -> None:
    def take(_ctx: ActivityContext, value: Leaves) -> None: ...

    async def take_async(_ctx: ActivityContext, value: Leaves) -> None: ...

    call = prepared(take_async if is_async else take, "1")

    with pytest.raises(SystemExit) as exited:
        run_coroutine(call.call()) if is_async else call.call()

    assert "Activity 'it' raised SystemExit(1)" in details(Raised(exited.value)).error_message


def test_a_result_that_exits_while_it_is_written_fails_the_activity() -> None:
    told = details(Returned(Leaves()))

    assert told.error_type == "builtins.SystemExit"
    assert "Activity 'it' raised SystemExit(1)" in told.error_message


def test_an_exit_whose_text_exits_is_reported_too() -> None:
    class Stubborn(SystemExit):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert "Stubborn" in details(Raised(Stubborn())).error_type
