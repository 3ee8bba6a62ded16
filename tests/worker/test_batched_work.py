"""What becomes of work items that come in batches, on a thread of the connection's."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.settings import Settings
from durabletask.entities import EntityContext
from durabletask.protocol import codec, messages, methods
from durabletask.serialization import JsonDataConverter
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import ConcurrencyOptions
from durabletask.worker._connection import ConnectionState
from tests.builders.batched_calls import BatchingSidecar
from tests.builders.worker import (
    OneInstanceEngine,
    activity_item,
    entity_item,
    health_ping,
    refusal,
    settle,
    unreadable_activity_item,
)
from tests.builders.worker_host import HostHarness, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.builders.batched_calls import ScriptedBatchedStream


class BatchedHarness(HostHarness):
    """A host whose sidecar takes calls in batches."""

    sidecar: BatchingSidecar

    def __init__(self) -> None:
        super().__init__()
        self.sidecar = BatchingSidecar()

    async def connect(self) -> ScriptedBatchedStream:
        starting = asyncio.create_task(self.start())
        stream = await within(self.sidecar.opened_batched())
        starting.cancel()
        return stream

    async def completions(self, count: int) -> list[messages.ActivityResponse]:
        """Wait until so many activities were completed; their completions so far."""
        return await within(self.sidecar.received(methods.COMPLETE_ACTIVITY_TASK, count))


@pytest.fixture
async def harness() -> AsyncIterator[BatchedHarness]:
    harness = BatchedHarness()
    yield harness
    harness.sidecar.let_go()
    if harness.running is not None and not harness.running.done():
        await harness.stop(grace=0)
    await asyncio.to_thread(harness.sidecar.connection.close)
    assert harness.sidecar.connection.errors == []


async def test_completions_go_in_batches(harness: BatchedHarness) -> None:
    @harness.activity
    def double(ctx: ActivityContext, number: int) -> int:
        return number * 2

    stream = await harness.connect()
    stream.send(*(activity_item("double", str(n), token=f"t{n}") for n in range(5)))
    await harness.completions(5)

    answered = harness.sidecar.answered_in_batches(methods.COMPLETE_ACTIVITY_TASK)
    assert sorted((each.completion_token, each.result) for each in answered) == [
        (f"t{n}", str(n * 2)) for n in range(5)
    ]


class NotingConverter(JsonDataConverter):
    """Notes on which threads it runs."""

    def __init__(self, note: Any) -> None:
        super().__init__()
        self._note = note

    def serialize(self, value: Any) -> str | None:
        self._note("serialize")
        return super().serialize(value)

    def deserialize(self, data: str | None, target_type: Any = None) -> Any:
        self._note("deserialize")
        return super().deserialize(data, target_type)


class NotingProvider:
    def __init__(self, note: Any) -> None:
        self._note = note

    def get_exception_properties(self, exception: Exception) -> dict[str, Any] | None:
        self._note("properties of an exception")
        return None


class NotingHandler(logging.Handler):
    def __init__(self, note: Any) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note("log")


async def test_no_user_code_runs_on_the_connections_thread(harness: BatchedHarness) -> None:
    where: dict[str, set[threading.Thread]] = {}

    def note(what: str) -> None:
        where.setdefault(what, set()).add(threading.current_thread())

    log = logging.getLogger("noting")
    log.addHandler(NotingHandler(note))
    harness.overrides["log"] = log
    harness.overrides["settings"] = Settings(
        data_converter=NotingConverter(note), exception_properties_provider=NotingProvider(note)
    )
    harness.overrides["on_activity_started"] = lambda _request: note("started")
    harness.overrides["on_activity_completed"] = lambda _request: note("completed")

    @harness.activity
    def plain(ctx: ActivityContext, number: int) -> int:
        note("plain activity")
        raise ValueError("no")

    @harness.activity
    async def awaited(ctx: ActivityContext, number: int) -> int:
        note("async activity")
        return number

    @harness.orchestrator
    def order(ctx: OrchestrationContext) -> Any:
        note("orchestrator")
        yield ctx.call_activity("plain", input=1)

    def count(ctx: EntityContext, _input: Any) -> None:
        note("entity")

    harness.registry.add_entity(count)
    stream = await harness.connect()
    stream.send(
        b"\xff\xff\xff",
        activity_item("plain", "1"),
        activity_item("awaited", "1"),
        unreadable_activity_item(),
        OneInstanceEngine("order").work_item(),
        entity_item(("add", "1"), id="@count@one"),
    )
    await harness.completions(2)
    await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK)
    await harness.answer(methods.COMPLETE_ENTITY_TASK)
    await harness.answer(methods.ABANDON_ACTIVITY_TASK)
    await harness.stop()

    in_the_loop = {threading.current_thread()}
    assert where["async activity"] == where["completed"] == in_the_loop
    on_threads = ["started", "plain activity", "orchestrator", "entity", "deserialize"]
    assert all(where[each] - in_the_loop for each in on_threads)
    assert {"serialize", "properties of an exception", "log"} <= set(where)
    assert not any(harness.sidecar.connection.thread in each for each in where.values())


async def test_plain_work_needs_no_event_loop(harness: BatchedHarness) -> None:
    """Between the connection and the threads nothing waits for the loop, which is blocked here."""
    all_are_done = threading.Barrier(2)

    @harness.activity
    def last(ctx: ActivityContext) -> None:
        all_are_done.wait(10)

    harness.overrides["on_activity_completed"] = None
    harness.overrides["concurrency"] = ConcurrencyOptions(
        maximum_concurrent_activity_work_items=1, maximum_thread_pool_workers=1
    )
    harness.registry.add_activity(lambda _ctx: None, "first")
    stream = await harness.connect()

    stream.send(activity_item("first"), activity_item("first"), activity_item("last"))
    all_are_done.wait(10)

    await harness.completions(3)


async def test_an_answer_may_come_before_the_call_returns(harness: BatchedHarness) -> None:
    class AtOnce(BatchingSidecar):
        def take_call(self, method: methods.Method, request: Any, answered: Any) -> None:
            answered(method.response_class()(), None)
            super().take_call(method, request, lambda *_: None)

    harness.sidecar = AtOnce()
    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=1)
    harness.registry.add_activity(lambda _ctx: "done", "one")
    stream = await harness.connect()

    stream.send(*(activity_item("one", token=f"t{n}") for n in range(3)))

    assert len(await harness.completions(3)) == 3
    await harness.stop()


async def test_a_slot_is_free_when_the_completion_is_answered_and_not_before(
    harness: BatchedHarness,
) -> None:
    begun: list[str] = []

    @harness.activity
    def note(ctx: ActivityContext) -> None:
        begun.append(ctx.orchestration_id)

    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_concurrent_activity_work_items=2)
    harness.sidecar.is_holding = True
    stream = await harness.connect()

    stream.send(*(activity_item("note", instance=f"i{n}") for n in range(3)))
    await harness.completions(2)
    await harness.sidecar.connection.idle()
    assert sorted(begun) == ["i0", "i1"]

    harness.sidecar.let_go()
    await harness.completions(3)
    assert sorted(begun) == ["i0", "i1", "i2"]


@pytest.mark.parametrize("is_raised", [False, True], ids=["answered", "raised"])
async def test_a_completion_that_fails_is_sent_again_by_itself(
    harness: BatchedHarness, is_raised: bool
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    if is_raised:
        harness.sidecar.call_errors.append(RuntimeError("the connection is closed"))
    else:
        harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("UNAVAILABLE"))
    stream = await harness.connect()

    stream.send(activity_item("one"))
    count = 1 if is_raised else 2
    completions = asyncio.create_task(harness.completions(count))
    while not completions.done():
        await harness.clock.advance(1)

    assert [each.result for each in completions.result()] == ['"done"'] * count
    await harness.stop()


async def test_a_completion_that_cannot_be_encoded_is_replaced_by_a_failure(
    harness: BatchedHarness,
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, codec.EncodeError("odd"))
    stream = await harness.connect()

    stream.send(activity_item("one"))

    _, second = await harness.completions(2)
    assert second.failure_details is not None
    assert "odd" in second.failure_details.error_message


async def test_only_the_first_attempt_counts_among_the_attempts(harness: BatchedHarness) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("INVALID_ARGUMENT"))
    stream = await harness.connect()

    stream.send(activity_item("one", token="the token"))

    abandoned = await harness.answer(methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"
    assert len(await harness.completions(1)) == 1


async def test_messages_that_are_not_work_are_ignored(
    harness: BatchedHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    stream = await harness.connect()

    stream.send()
    stream.send(b"", b"\xff\xff\xff", health_ping(), activity_item("one"))

    await harness.completions(1)
    await harness.sidecar.connection.idle()
    assert [name for name, _ in harness.sidecar.calls] == ["Hello", "CompleteActivityTask"]
    (error,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "could not be decoded" in error.getMessage()


async def test_an_activity_that_cannot_be_read_is_handed_back(harness: BatchedHarness) -> None:
    stream = await harness.connect()

    stream.send(unreadable_activity_item(token="the token"))

    abandoned = await harness.answer(methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"


async def test_work_is_handed_back_when_no_thread_can_be_started(
    harness: BatchedHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    harness.registry.add_activity(lambda _ctx: "done", "one")
    stream = await harness.connect()
    monkeypatch.setattr(threading.Thread, "start", refuse)

    stream.send(activity_item("one"), activity_item("one"))

    await within(harness.sidecar.received(methods.ABANDON_ACTIVITY_TASK, 2))
    monkeypatch.undo()


async def test_what_has_begun_is_answered_before_the_worker_stops(
    harness: BatchedHarness,
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    harness.sidecar.is_holding = True
    stream = await harness.connect()
    stream.send(activity_item("one"))
    await harness.completions(1)

    stopping = asyncio.create_task(harness.stop(grace=30))
    await settle()
    assert not stopping.done()
    stream.send(activity_item("one"))

    harness.sidecar.let_go()
    await within(stopping)
    assert stream.is_closed
    assert len(harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 1


@pytest.mark.parametrize("error", [None, refusal("UNAVAILABLE")], ids=["success", "error"])
async def test_an_answer_that_comes_after_the_stop_changes_nothing(
    harness: BatchedHarness, error: Exception | None
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    harness.sidecar.is_holding = True
    if error is not None:
        harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, error)
    stream = await harness.connect()
    stream.send(activity_item("one"), activity_item("one"))
    await harness.completions(2)

    await harness.stop(grace=0)
    harness.sidecar.let_go()
    await asyncio.to_thread(harness.sidecar.connection.close)
    await harness.clock.advance(60)

    assert len(harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2


async def test_work_that_outlasts_the_stop_is_not_completed(harness: BatchedHarness) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @harness.activity
    def hold(ctx: ActivityContext) -> None:
        threads.append(threading.current_thread())
        has_begun.set()
        may_end.wait(10)

    stream = await harness.connect()
    stream.send(activity_item("hold"))
    await asyncio.to_thread(has_begun.wait, 10)

    await harness.stop(grace=0)
    may_end.set()
    await asyncio.to_thread(threads[0].join, 10)

    assert harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []


@pytest.mark.parametrize("error", [None, refusal("UNAVAILABLE")], ids=["ended", "broken"])
async def test_a_stream_that_ends_is_opened_anew(
    harness: BatchedHarness, error: Exception | None
) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    stream = await harness.connect()

    stream.end(error)
    while len(harness.sidecar.batched_streams) < 2:
        await harness.clock.advance(1)
    again = await harness.sidecar.opened_batched(2)
    again.send(activity_item("one"))
    stream.send(activity_item("one"))

    assert len(await harness.completions(1)) == 1
    assert stream.is_closed
    assert ConnectionState.DISCONNECTED in harness.states
    assert harness.states[-1] is ConnectionState.STREAMING


async def test_batches_end_the_silence(harness: BatchedHarness) -> None:
    harness.registry.add_activity(lambda _ctx: "done", "one")
    stream = await harness.connect()
    await settle()
    silence = harness.clock.waits[-1]
    for count in range(1, 5):
        await harness.clock.advance(silence - 1)
        stream.send(activity_item("one"))
        await harness.completions(count)

    assert len(harness.sidecar.batched_streams) == 1

    await harness.clock.advance(silence)
    await harness.clock.advance(1)
    assert await within(harness.sidecar.opened_batched(2))
