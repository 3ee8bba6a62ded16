"""What becomes of activities."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, messages, methods
from durabletask.task import ActivityContext
from durabletask.worker import ConcurrencyOptions
from tests.builders.worker import activity_item, refusal, settle
from tests.builders.worker_host import HostHarness

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_sync_and_async_activities_return_their_results(harness: HostHarness) -> None:
    @harness.activity
    def double(ctx: ActivityContext, number: int) -> int:
        return number * 2

    @harness.activity
    async def triple(ctx: ActivityContext, number: int) -> int:
        await asyncio.sleep(0)
        return number * 3

    await harness.start()

    doubled, tripled = await harness.call("double", 21), await harness.call("triple", 14)

    assert (doubled.result, tripled.result) == ("42", "42")
    assert (doubled.instance_id, doubled.task_id, doubled.completion_token) == ("one", 1, "t")


async def test_sync_activities_run_beside_the_loop_and_async_ones_in_it(
    harness: HostHarness,
) -> None:
    where = {}

    @harness.activity
    def on_thread(ctx: ActivityContext) -> None:
        where["sync"] = threading.current_thread()

    @harness.activity
    async def on_loop(ctx: ActivityContext) -> None:
        where["async"] = threading.current_thread()

    await harness.start()
    await harness.call("on_thread")
    await harness.call("on_loop")

    assert where["sync"] is not threading.current_thread()
    assert where["async"] is threading.current_thread()


async def test_an_unknown_activity_fails_and_names_what_is_registered(harness: HostHarness) -> None:
    @harness.activity
    def greet(ctx: ActivityContext) -> None: ...

    await harness.start()

    failure = (await harness.call("great")).failure_details

    assert failure is not None
    assert failure.error_type == "durabletask.worker.ActivityNotRegisteredError"
    assert "'greet'" in failure.error_message


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_an_activity_that_wants_to_exit_fails_and_the_worker_goes_on(
    harness: HostHarness, error: BaseException, is_async: bool
) -> None:
    def leave(ctx: ActivityContext) -> None:
        raise error

    async def leave_async(ctx: ActivityContext) -> None:
        leave(ctx)

    @harness.activity
    def stay(ctx: ActivityContext) -> str:
        return "here"

    harness.registry.add_activity(leave_async if is_async else leave, "leave")
    await harness.start()

    left, stayed = await harness.call("leave"), await harness.call("stay")

    assert left.failure_details is not None
    assert type(error).__name__ in left.failure_details.error_type
    assert stayed.result == '"here"'


async def test_sys_exit_fails_the_activity_with_a_text_that_says_so(harness: HostHarness) -> None:
    @harness.activity
    def leave(ctx: ActivityContext) -> None:
        sys.exit("enough")

    await harness.start()

    failure = (await harness.call("leave")).failure_details

    assert failure is not None
    assert "SystemExit" in failure.error_message
    assert "enough" in failure.error_message


async def test_a_result_that_is_too_large_fails_the_activity_and_names_the_limit(
    harness: HostHarness,
) -> None:
    @harness.activity
    def large(ctx: ActivityContext) -> str:
        return "x" * 1000

    details = "Received message larger than max (1040 vs. 1000)"
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("RESOURCE_EXHAUSTED", details))
    await harness.start()
    await harness.call("large")

    failure = (await harness.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).failure_details

    assert failure.error_type == "durabletask.worker.MessageTooLargeError"
    for part in ("'large'", "1,040 bytes", "limit", "1,000"):
        assert part in failure.error_message


class Leaves:
    """Exits the program where others become JSON, or are made from it."""

    def to_json(self) -> None:
        sys.exit(1)

    @classmethod
    def from_json(cls, _value: object) -> Leaves:
        sys.exit(1)


async def take(ctx: ActivityContext, value: Leaves) -> None: ...


async def give(ctx: ActivityContext) -> Leaves:
    return Leaves()


def take_sync(ctx: ActivityContext, value: Leaves) -> None: ...


def give_sync(ctx: ActivityContext) -> Leaves:
    return Leaves()


@pytest.mark.parametrize("activity", [take, give, take_sync, give_sync])
async def test_payloads_that_exit_fail_their_activity_and_the_worker_goes_on(
    harness: HostHarness, activity: Callable[..., Any]
) -> None:
    harness.registry.add_activity(activity, "leave")
    harness.registry.add_activity(lambda _ctx: "here", "stay")
    await harness.start()

    left, stayed = await harness.call("leave", 1), await harness.call("stay")

    assert left.failure_details is not None
    assert left.failure_details.error_type == "builtins.SystemExit"
    assert stayed.result == '"here"'


async def test_the_input_of_a_sync_activity_is_read_on_its_thread(harness: HostHarness) -> None:
    class Order:
        @classmethod
        def from_json(cls, _value: object) -> Order:
            read_in.append(threading.current_thread())
            return cls()

    @harness.activity
    def take(ctx: ActivityContext, order: Any) -> None: ...

    take.__annotations__["order"] = Order
    read_in: list[threading.Thread] = []
    await harness.start()

    await harness.call("take", 1)

    assert read_in != []
    assert threading.current_thread() not in read_in


async def test_a_plain_function_around_an_async_one_is_awaited_on_the_loop(
    harness: HostHarness,
) -> None:
    async def double(ctx: ActivityContext, number: int) -> tuple[int, bool]:
        await asyncio.sleep(0)
        return number * 2, threading.current_thread() is this_thread

    @harness.activity
    def decorated(ctx: ActivityContext, number: int) -> Any:
        return double(ctx, number)

    this_thread = threading.current_thread()
    await harness.start()

    assert (await harness.call("decorated", 21)).result == "[42, true]"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_activities_see_the_context_variables_of_the_program_that_runs_the_worker(
    harness: HostHarness, is_async: bool
) -> None:
    owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")

    def look(ctx: ActivityContext) -> str:
        return owner.get()

    async def look_async(ctx: ActivityContext) -> str:
        return owner.get()

    harness.registry.add_activity(look_async if is_async else look, "look")
    owner.set("the program")
    await harness.start()

    assert (await harness.call("look")).result == '"the program"'


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_context_variables_of_one_activity_are_not_seen_by_the_next(
    harness: HostHarness, is_async: bool
) -> None:
    owner: contextvars.ContextVar[int] = contextvars.ContextVar("owner", default=0)

    def mark(ctx: ActivityContext, number: int) -> int:
        seen = owner.get()
        owner.set(number)
        return seen

    async def mark_async(ctx: ActivityContext, number: int) -> int:
        return mark(ctx, number)

    harness.registry.add_activity(mark_async if is_async else mark, "mark")
    # One at a time, so that the end of one is what begins the next.
    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=1)
    await harness.start()
    for number in ("1", "2", "3"):
        harness.stream.send(activity_item("mark", number))
    await harness.answer(methods.COMPLETE_ACTIVITY_TASK, 3)

    answers = harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)
    assert [answer.result for answer in answers] == ["0", "0", "0"]


async def test_activities_that_cancel_themselves_do_not_use_up_the_worker(
    harness: HostHarness,
) -> None:
    @harness.activity
    async def cancel(ctx: ActivityContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=1)
    await harness.start()

    for _ in range(3):
        failure = (await harness.call("cancel")).failure_details
        assert failure is not None
        assert "CancelledError" in failure.error_type


async def test_a_result_that_cannot_be_encoded_fails_the_activity(harness: HostHarness) -> None:
    harness.registry.add_activity(lambda _ctx: 1, "odd")
    harness.sidecar.refuse(
        methods.COMPLETE_ACTIVITY_TASK, codec.EncodeError("ActivityResponse: odd")
    )
    await harness.start()
    await harness.call("odd")

    failure = (await harness.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).failure_details

    assert "'odd'" in failure.error_message
    assert "ActivityResponse: odd" in failure.error_message
    assert failure.error_type.endswith("EncodeError")


async def test_subclasses_are_told_when_an_activity_begins_and_ends(harness: HostHarness) -> None:
    told: list[str] = []
    harness.overrides["on_activity_started"] = lambda request: told.append(f"{request.name} began")
    harness.overrides["on_activity_completed"] = lambda request: told.append(
        f"{request.name} ended"
    )

    @harness.activity
    def greet(ctx: ActivityContext) -> None:
        told.append("greeting")

    @harness.activity
    async def fail(ctx: ActivityContext) -> None:
        raise ValueError("no")

    await harness.start()
    await harness.call("greet")
    await settle()
    await harness.call("fail")
    await settle()

    assert told == ["greet began", "greeting", "greet ended", "fail began", "fail ended"]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(3)])
async def test_a_subclass_that_fails_at_the_end_of_an_activity_does_not_fail_it(
    harness: HostHarness, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: messages.ActivityRequest) -> None:
        raise error

    harness.overrides["on_activity_completed"] = fail
    harness.registry.add_activity(lambda _ctx: "hello", "greet")
    await harness.start()

    answers = [await harness.call("greet") for _ in range(2)]
    await settle()

    assert [answer.result for answer in answers] == ['"hello"', '"hello"']
    assert harness.sidecar.requests(methods.ABANDON_ACTIVITY_TASK) == []
    assert "'greet'" in caplog.text
    fields = vars(caplog.records[-1])
    assert (fields["instance_id"], fields["task_name"], fields["task_id"]) == ("one", "greet", 1)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_subclass_that_fails_at_the_start_of_an_activity_fails_it(
    harness: HostHarness, is_async: bool
) -> None:
    called: list[str] = []

    def refuse(_request: messages.ActivityRequest) -> None:
        raise PermissionError("not today")

    def greet(ctx: ActivityContext) -> None:
        called.append("greet")

    async def greet_async(ctx: ActivityContext) -> None:
        greet(ctx)

    harness.overrides["on_activity_started"] = refuse
    harness.registry.add_activity(greet_async if is_async else greet, "greet")
    await harness.start()

    failure = (await harness.call("greet")).failure_details

    assert failure is not None
    assert failure.error_message == "not today"
    assert called == []
