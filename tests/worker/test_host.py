from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from builders.worker import (
    ManualClock,
    OneInstance,
    ScriptedSidecar,
    activity_item,
    health_ping,
    refusal,
    settle,
    setup_of,
    unreadable_call,
    unreadable_turn,
)
from durabletask.core.registry import Registry
from durabletask.protocol import codec, messages, methods
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import ConcurrencyOptions
from durabletask.worker._host import LAST_WORDS, Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from durabletask.worker._connection import Link

T = TypeVar("T")


class Bench:
    """A host between a scripted sidecar and a test's functions."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sidecar = ScriptedSidecar()
        self.registry = Registry()
        self.links: list[Link] = []
        self.told: dict[str, Any] = {}
        self.running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        setup = setup_of(self.registry, self.sidecar, self.clock, **self.told)
        self.host = Host(setup, on_link=lambda link, _error: self.links.append(link))
        self.running = asyncio.create_task(self.host.run())
        self.stream = await self.sidecar.opened()

    def activity(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        self.registry.add_activity(fn)
        return fn

    def orchestrator(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        self.registry.add_orchestrator(fn)
        return fn

    async def call(self, name: str, input: Any = None) -> messages.ActivityResponse:
        """Have the activity called, and wait for its answer."""
        before = len(self.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK))
        self.stream.send(activity_item(name, json.dumps(input)))
        return await self.answer(methods.COMPLETE_ACTIVITY_TASK, before + 1)

    async def answer(self, method: methods.Method, count: int = 1) -> Any:
        return (await within(self.sidecar.received(method, count)))[count - 1]

    async def stop(self, grace: float | None = None) -> None:
        assert self.running is not None
        self.host.ask_to_stop(grace)
        await within(self.running)


async def within(waiting: Awaitable[T]) -> T:
    """Against hangs only: no test is decided by it."""
    return await asyncio.wait_for(waiting, 20)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    if bench.running is not None and not bench.running.done():
        await bench.stop(grace=0)


# What becomes of activities.


async def test_sync_and_async_activities_return_their_results(bench: Bench) -> None:
    @bench.activity
    def double(ctx: ActivityContext, number: int) -> int:
        return number * 2

    @bench.activity
    async def triple(ctx: ActivityContext, number: int) -> int:
        await asyncio.sleep(0)
        return number * 3

    await bench.start()

    doubled, tripled = await bench.call("double", 21), await bench.call("triple", 14)

    assert (doubled.result, tripled.result) == ("42", "42")
    assert (doubled.instance_id, doubled.task_id, doubled.completion_token) == ("one", 1, "t")


async def test_sync_activities_run_beside_the_loop_and_async_ones_in_it(bench: Bench) -> None:
    where = {}

    @bench.activity
    def on_thread(ctx: ActivityContext) -> None:
        where["sync"] = threading.current_thread()

    @bench.activity
    async def on_loop(ctx: ActivityContext) -> None:
        where["async"] = threading.current_thread()

    await bench.start()
    await bench.call("on_thread")
    await bench.call("on_loop")

    assert where["sync"] is not threading.current_thread()
    assert where["async"] is threading.current_thread()


async def test_an_unknown_activity_fails_and_names_what_is_registered(bench: Bench) -> None:
    @bench.activity
    def greet(ctx: ActivityContext) -> None: ...

    await bench.start()

    failure = (await bench.call("great")).failure_details

    assert failure is not None
    assert failure.error_type == "durabletask.worker.ActivityNotRegisteredError"
    assert "'greet'" in failure.error_message


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_an_activity_that_wants_to_exit_fails_and_the_worker_goes_on(
    bench: Bench, error: BaseException, is_async: bool
) -> None:
    def leave(ctx: ActivityContext) -> None:
        raise error

    async def leave_async(ctx: ActivityContext) -> None:
        leave(ctx)

    @bench.activity
    def stay(ctx: ActivityContext) -> str:
        return "here"

    bench.registry.add_activity(leave_async if is_async else leave, "leave")
    await bench.start()

    left, stayed = await bench.call("leave"), await bench.call("stay")

    assert left.failure_details is not None
    assert type(error).__name__ in left.failure_details.error_type
    assert stayed.result == '"here"'


async def test_sys_exit_fails_the_activity_with_a_text_that_says_so(bench: Bench) -> None:
    @bench.activity
    def leave(ctx: ActivityContext) -> None:
        sys.exit("enough")

    await bench.start()

    failure = (await bench.call("leave")).failure_details

    assert failure is not None
    assert "SystemExit" in failure.error_message
    assert "enough" in failure.error_message


async def test_a_result_that_is_too_large_fails_the_activity_and_names_the_limit(
    bench: Bench,
) -> None:
    @bench.activity
    def large(ctx: ActivityContext) -> str:
        return "x" * 1000

    details = "Received message larger than max (1040 vs. 1000)"
    bench.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("RESOURCE_EXHAUSTED", details))
    await bench.start()
    await bench.call("large")

    failure = (await bench.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).failure_details

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
    bench: Bench, activity: Callable[..., Any]
) -> None:
    bench.registry.add_activity(activity, "leave")
    bench.registry.add_activity(lambda _ctx: "here", "stay")
    await bench.start()

    left, stayed = await bench.call("leave", 1), await bench.call("stay")

    assert left.failure_details is not None
    assert left.failure_details.error_type == "builtins.SystemExit"
    assert stayed.result == '"here"'


async def test_the_input_of_a_sync_activity_is_read_on_its_thread(bench: Bench) -> None:
    class Order:
        @classmethod
        def from_json(cls, _value: object) -> Order:
            read_in.append(threading.current_thread())
            return cls()

    @bench.activity
    def take(ctx: ActivityContext, order: Any) -> None: ...

    take.__annotations__["order"] = Order
    read_in: list[threading.Thread] = []
    await bench.start()

    await bench.call("take", 1)

    assert read_in != []
    assert threading.current_thread() not in read_in


async def test_a_plain_function_around_an_async_one_is_awaited_on_the_loop(bench: Bench) -> None:
    async def double(ctx: ActivityContext, number: int) -> tuple[int, bool]:
        await asyncio.sleep(0)
        return number * 2, threading.current_thread() is this_thread

    @bench.activity
    def decorated(ctx: ActivityContext, number: int) -> Any:
        return double(ctx, number)

    this_thread = threading.current_thread()
    await bench.start()

    assert (await bench.call("decorated", 21)).result == "[42, true]"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_activities_see_the_context_variables_of_the_program_that_runs_the_worker(
    bench: Bench, is_async: bool
) -> None:
    owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")

    def look(ctx: ActivityContext) -> str:
        return owner.get()

    async def look_async(ctx: ActivityContext) -> str:
        return owner.get()

    bench.registry.add_activity(look_async if is_async else look, "look")
    owner.set("the program")
    await bench.start()

    assert (await bench.call("look")).result == '"the program"'


async def test_activities_that_cancel_themselves_do_not_use_up_the_worker(bench: Bench) -> None:
    @bench.activity
    async def cancel(ctx: ActivityContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    bench.told["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=1)
    await bench.start()

    for _ in range(3):
        failure = (await bench.call("cancel")).failure_details
        assert failure is not None
        assert "CancelledError" in failure.error_type


async def test_a_result_that_cannot_be_encoded_fails_the_activity(bench: Bench) -> None:
    bench.registry.add_activity(lambda _ctx: 1, "odd")
    bench.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, codec.EncodeError("ActivityResponse: odd"))
    await bench.start()
    await bench.call("odd")

    failure = (await bench.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).failure_details

    assert "'odd'" in failure.error_message
    assert "ActivityResponse: odd" in failure.error_message
    assert failure.error_type.endswith("EncodeError")


async def test_subclasses_are_told_when_an_activity_begins_and_ends(bench: Bench) -> None:
    told: list[str] = []
    bench.told["activity_started"] = lambda request: told.append(f"{request.name} began")
    bench.told["activity_completed"] = lambda request: told.append(f"{request.name} ended")

    @bench.activity
    def greet(ctx: ActivityContext) -> None:
        told.append("greeting")

    @bench.activity
    async def fail(ctx: ActivityContext) -> None:
        raise ValueError("no")

    await bench.start()
    await bench.call("greet")
    await settle()
    await bench.call("fail")
    await settle()

    assert told == ["greet began", "greeting", "greet ended", "fail began", "fail ended"]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(3)])
async def test_a_subclass_that_fails_at_the_end_of_an_activity_takes_nothing_away(
    bench: Bench, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: messages.ActivityRequest) -> None:
        raise error

    bench.told["activity_completed"] = fail
    bench.registry.add_activity(lambda _ctx: "hello", "greet")
    await bench.start()

    answers = [await bench.call("greet") for _ in range(2)]
    await settle()

    assert [answer.result for answer in answers] == ['"hello"', '"hello"']
    assert bench.sidecar.requests(methods.ABANDON_ACTIVITY_TASK) == []
    assert "'greet'" in caplog.text


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_subclass_that_fails_at_the_start_of_an_activity_fails_it(
    bench: Bench, is_async: bool
) -> None:
    called: list[str] = []

    def refuse(_request: messages.ActivityRequest) -> None:
        raise PermissionError("not today")

    def greet(ctx: ActivityContext) -> None:
        called.append("greet")

    async def greet_async(ctx: ActivityContext) -> None:
        greet(ctx)

    bench.told["activity_started"] = refuse
    bench.registry.add_activity(greet_async if is_async else greet, "greet")
    await bench.start()

    failure = (await bench.call("greet")).failure_details

    assert failure is not None
    assert failure.error_message == "not today"
    assert called == []


# What becomes of orchestrations.


async def finish(bench: Bench, *instances: OneInstance) -> None:
    """Give the instances their turns, in turns, until they have ended."""
    taken = 0
    while waiting := [instance for instance in instances if not instance.has_ended]:
        for instance in waiting:
            bench.stream.send(instance.work_item())
            taken += 1
            instance.commit(await bench.answer(methods.COMPLETE_ORCHESTRATOR_TASK, taken))


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_an_orchestration_is_decided_warm_or_replayed(bench: Bench, sessions: int) -> None:
    @bench.orchestrator
    async def chain(ctx: OrchestrationContext) -> list[int]:
        return [await ctx.call_activity("step") for _ in range(3)]

    bench.told["max_cached_orchestrations"] = sessions
    await bench.start()
    instance = OneInstance("chain")

    await finish(bench, instance)

    assert instance.result == "[1, 2, 3]"


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_context_variables_of_one_instance_are_not_seen_by_another(
    bench: Bench, sessions: int
) -> None:
    owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")

    @bench.orchestrator
    async def mark(ctx: OrchestrationContext) -> list[str]:
        seen = [owner.get()]
        owner.set(ctx.instance_id)
        await ctx.call_activity("step")
        return [*seen, owner.get()]

    # One thread for all turns, so that a leak would show.
    bench.told["concurrency"] = ConcurrencyOptions(maximum_concurrent_orchestration_work_items=1)
    bench.told["max_cached_orchestrations"] = sessions
    await bench.start()
    instances = [OneInstance("mark", instance=name) for name in ("one", "two")]

    await finish(bench, *instances)

    assert [instance.result for instance in instances] == [
        '["nobody", "one"]',
        '["nobody", "two"]',
    ]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_context_variables_of_one_activity_are_not_seen_by_the_next(
    bench: Bench, is_async: bool
) -> None:
    owner: contextvars.ContextVar[int] = contextvars.ContextVar("owner", default=0)

    def mark(ctx: ActivityContext, number: int) -> int:
        seen = owner.get()
        owner.set(number)
        return seen

    async def mark_async(ctx: ActivityContext, number: int) -> int:
        return mark(ctx, number)

    bench.registry.add_activity(mark_async if is_async else mark, "mark")
    # One at a time, so that the end of one is what begins the next.
    bench.told["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=1)
    await bench.start()
    for number in ("1", "2", "3"):
        bench.stream.send(activity_item("mark", number))
    await bench.answer(methods.COMPLETE_ACTIVITY_TASK, 3)

    answers = bench.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)
    assert [answer.result for answer in answers] == ["0", "0", "0"]


async def test_a_turn_runs_where_there_is_no_event_loop(bench: Bench) -> None:
    @bench.orchestrator
    def look(ctx: OrchestrationContext) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "none"
        return "one"

    await bench.start()
    instance = OneInstance("look")

    await finish(bench, instance)

    assert instance.result == '"none"'


async def test_a_turn_does_not_wait_behind_activities(bench: Bench) -> None:
    all_are_busy, may_end = threading.Barrier(3), threading.Event()

    @bench.activity
    def hold(ctx: ActivityContext) -> None:
        all_are_busy.wait(20)
        may_end.wait(20)

    @bench.orchestrator
    def hello(ctx: OrchestrationContext) -> str:
        return "hello"

    bench.told["concurrency"] = ConcurrencyOptions(maximum_thread_pool_workers=2)
    await bench.start()
    for _ in range(5):
        bench.stream.send(activity_item("hold"))
    await asyncio.to_thread(all_are_busy.wait, 20)
    instance = OneInstance("hello")

    await finish(bench, instance)

    assert instance.result == '"hello"'
    may_end.set()
    all_are_busy.abort()


async def test_the_sidecar_is_told_the_limits(bench: Bench) -> None:
    bench.told["concurrency"] = ConcurrencyOptions(3, 5)

    await bench.start()

    assert bench.stream.request == messages.GetWorkItemsRequest(
        max_concurrent_orchestration_work_items=5, max_concurrent_activity_work_items=3
    )


# What becomes of nonsense and of broken connections.


@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        (b"\xff\xff\xff", ["cannot be read"]),
        (b"", []),
        (health_ping(), []),
        (
            codec.encode(messages.WorkItem(entity_request=messages.EntityBatchRequest("@c@1"))),
            ["entity_request"],
        ),
    ],
    ids=["bytes", "nothing", "ping", "entity"],
)
async def test_what_is_no_work_for_this_worker_is_left_alone(
    bench: Bench, nonsense: bytes, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @bench.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await bench.start()
    bench.stream.send(nonsense)

    assert (await bench.call("greet")).result == '"hello"'
    assert [name for name, _ in bench.sidecar.calls] == ["Hello", "CompleteActivityTask"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == len(told)
    for record, text in zip(errors, told, strict=True):
        assert text in record.getMessage()
        assert record.exc_info is None


async def test_a_work_item_that_cannot_be_read_is_handed_back(bench: Bench) -> None:
    await bench.start()

    bench.stream.send(unreadable_turn(token="the token"))

    abandoned = await bench.answer(methods.ABANDON_ORCHESTRATION_TASK)
    assert abandoned.completion_token == "the token"


async def test_an_activity_that_cannot_be_read_is_handed_back(bench: Bench) -> None:
    await bench.start()

    bench.stream.send(unreadable_call(token="the token"))

    abandoned = await bench.answer(methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"


async def test_a_worker_whose_stream_breaks_heals_and_still_answers_what_it_had(
    bench: Bench,
) -> None:
    may_end = asyncio.Event()

    @bench.activity
    async def hold(ctx: ActivityContext) -> str:
        await may_end.wait()
        return "held"

    @bench.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await bench.start()
    bench.stream.send(activity_item("hold"))
    await settle()

    bench.stream.fail(refusal("UNAVAILABLE", "connection reset"))
    await settle()
    await bench.clock.advance(1)
    bench.stream = await within(bench.sidecar.opened(2))

    assert (await bench.call("greet")).result == '"hello"'
    may_end.set()
    assert (await bench.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).result == '"held"'


# How it ends.


async def test_an_idle_worker_stops_without_waiting_for_anything(bench: Bench) -> None:
    await bench.start()

    await bench.stop(grace=30)

    assert bench.clock.time() == 0
    assert bench.stream.is_closed
    assert bench.sidecar.times_closed == 1


async def test_what_has_begun_is_finished_and_the_stream_held_until_then(bench: Bench) -> None:
    may_end = asyncio.Event()

    @bench.activity
    async def hold(ctx: ActivityContext) -> str:
        await may_end.wait()
        return "held"

    await bench.start()
    bench.stream.send(activity_item("hold"))
    await settle()

    stopping = asyncio.create_task(bench.stop(grace=30))
    await settle()
    assert not bench.stream.is_closed

    may_end.set()
    await within(stopping)
    assert (await bench.answer(methods.COMPLETE_ACTIVITY_TASK)).result == '"held"'
    assert bench.stream.is_closed


async def test_what_outlasts_the_grace_is_given_up_and_not_answered(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    was_cancelled = []

    @bench.activity
    async def hold(ctx: ActivityContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.append(True)
            raise

    await bench.start()
    bench.stream.send(activity_item("hold"))
    await settle()

    stopping = asyncio.create_task(bench.stop(grace=30))
    await settle()
    await bench.clock.advance(29)
    assert not stopping.done()
    await bench.clock.advance(1)
    await within(stopping)

    assert was_cancelled == [True]
    assert bench.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []
    assert "work in flight" in caplog.text


async def test_a_thread_that_never_returns_does_not_keep_the_worker(bench: Bench) -> None:
    may_end = threading.Event()
    began: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()

    @bench.activity
    def hold(ctx: ActivityContext) -> None:
        began.put(threading.current_thread())
        may_end.wait(20)

    await bench.start()
    bench.stream.send(activity_item("hold"))
    thread = await asyncio.to_thread(began.get)

    await bench.stop(grace=0)
    assert thread.is_alive()

    may_end.set()
    await asyncio.to_thread(thread.join, 20)
    await settle()
    assert bench.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []


async def test_orchestrations_that_wait_are_closed_without_an_event_loop(bench: Bench) -> None:
    closed_in: list[str] = []

    @bench.orchestrator
    async def wait(ctx: OrchestrationContext) -> None:
        try:
            await ctx.call_activity("never")
        finally:
            closed_in.append(threading.current_thread().name)

    await bench.start()
    bench.stream.send(OneInstance("wait").work_item())
    await bench.answer(methods.COMPLETE_ORCHESTRATOR_TASK)

    await bench.stop()

    assert len(closed_in) == 1
    assert closed_in[0] != threading.current_thread().name


async def test_a_finally_block_that_never_ends_does_not_keep_the_worker(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    is_closing, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @bench.orchestrator
    async def cling(ctx: OrchestrationContext) -> None:
        try:
            await ctx.call_activity("never")
        finally:
            loop.call_soon_threadsafe(is_closing.set)
            may_end.wait(20)

    await bench.start()
    bench.stream.send(OneInstance("cling").work_item())
    await bench.answer(methods.COMPLETE_ORCHESTRATOR_TASK)
    await bench.clock.advance(60)

    stopping = asyncio.create_task(bench.stop(grace=30))
    await within(is_closing.wait())
    await bench.clock.advance(29)
    assert not stopping.done()
    assert bench.sidecar.times_closed == 1

    await bench.clock.advance(1)
    await within(stopping)
    assert "left alone" in caplog.text
    may_end.set()


async def test_an_activity_that_will_not_be_cancelled_does_not_keep_the_worker(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    @bench.activity
    async def cling(ctx: ActivityContext) -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    await bench.start()
    bench.stream.send(activity_item("cling"))
    await settle()

    stopping = asyncio.create_task(bench.stop(grace=0))
    try:
        await settle()
        assert bench.sidecar.times_closed == 1
        await bench.clock.advance(LAST_WORDS / 2)
        assert not stopping.done()

        await bench.clock.advance(LAST_WORDS / 2)
        await within(stopping)
    finally:
        # Or it would cling to the test as well.
        may_end.set()
    assert "left alone" in caplog.text
    await settle()
    assert bench.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []


def test_a_program_that_ends_its_loop_leaves_its_activities_to_be_done_again() -> None:
    """`asyncio.run` then cancels all tasks at once, those of the activities among them."""
    sidecar, registry = ScriptedSidecar(), Registry()

    async def hold(ctx: ActivityContext) -> None:
        await asyncio.Event().wait()

    async def program() -> None:
        registry.add_activity(hold)
        host = Host(setup_of(registry, sidecar, ManualClock()), on_link=lambda *_: None)
        running.append(asyncio.create_task(host.run()))
        (await sidecar.opened()).send(activity_item("hold"))
        await settle()

    running: list[asyncio.Task[None]] = []
    asyncio.run(program())

    assert running[0].cancelled()
    assert [name for name, _ in sidecar.calls] == ["Hello"]


async def test_a_worker_that_is_cancelled_gives_up_at_once(bench: Bench) -> None:
    @bench.activity
    async def hold(ctx: ActivityContext) -> None:
        await asyncio.Event().wait()

    await bench.start()
    bench.stream.send(activity_item("hold"))
    await settle()

    assert bench.running is not None
    bench.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(bench.running)

    assert bench.stream.is_closed
    assert bench.sidecar.times_closed == 1


async def test_an_answer_under_way_when_the_worker_stops_is_still_delivered(bench: Bench) -> None:
    @bench.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    bench.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("UNAVAILABLE"))
    await bench.start()
    await bench.call("greet")

    stopping = asyncio.create_task(bench.stop(grace=30))
    await settle()
    await bench.clock.advance(1)
    await within(stopping)

    assert len(bench.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2
