"""A log handler, filter or formatter that raises costs the record, and no work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.registry import Registry
from durabletask.protocol import codec, messages, methods
from durabletask.worker import (
    ConcurrencyOptions,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
)
from durabletask.worker._orchestrations import OrchestrationHandler, OrchestrationJob
from durabletask.worker._sessions import SessionCache
from durabletask.worker._work_items import Completion
from tests.builders.broken_log import broken_log
from tests.builders.worker import (
    OneInstanceEngine,
    activity_item,
    refusal,
    settle,
    unreadable_activity_item,
    work_item_from,
)
from tests.builders.worker_host import HostHarness, within

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method
    from durabletask.task import ActivityContext
    from tests.builders.broken_log import Part

ERRORS = [OSError("the disk is full"), SystemExit(3)]
every_error = pytest.mark.parametrize("error", ERRORS, ids=["error", "exit"])


@pytest.fixture
async def reported() -> list[dict[str, Any]]:
    """What the event loop reports: the errors that nothing has handled."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: reported.append(told))
    return reported


def break_log(harness: HostHarness, error: BaseException, part: Part = "handler") -> None:
    """Let the host's log raise; the host has one slot of each kind, and the activity `greet`."""

    async def greet(ctx: ActivityContext) -> str:
        return "hello"

    harness.overrides["log"] = broken_log(error, part)
    harness.overrides["concurrency"] = ConcurrencyOptions(1, 1, 1, 1)
    harness.registry.add_activity(greet)


async def called(harness: HostHarness, method: Method, count: int = 1) -> list[Any]:
    """The requests of the first so many calls, letting as much time pass as they take."""

    async def let_time_pass() -> list[Any]:
        while len(harness.sidecar.requests(method)) < count:
            await harness.clock.advance(1)
        return harness.sidecar.requests(method)

    return await within(let_time_pass())


@pytest.mark.parametrize("part", ["handler", "filter", "formatter"])
@every_error
async def test_a_hook_for_the_end_of_an_activity_that_fails_costs_no_activity(
    harness: HostHarness, error: BaseException, part: Part, reported: list[dict[str, Any]]
) -> None:
    def fail(_request: messages.ActivityRequest) -> None:
        raise ValueError("hook")

    break_log(harness, error, part)
    harness.overrides["on_activity_completed"] = fail
    await harness.start()

    completions = [await harness.call("greet") for _ in range(3)]
    await settle()

    assert [each.result for each in completions] == ['"hello"'] * 3
    assert reported == []


@every_error
async def test_a_completion_that_is_lost_is_sent_again(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *[refusal("UNAVAILABLE")] * 2)
    await harness.start()

    harness.stream.send(activity_item("greet"))

    completions = await called(harness, methods.COMPLETE_ACTIVITY_TASK, 3)
    assert [each.result for each in completions] == ['"hello"'] * 3


@every_error
async def test_a_completion_that_cannot_be_encoded_is_replaced_by_a_failure(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, codec.EncodeError("odd"))
    await harness.start()

    harness.stream.send(activity_item("greet"))

    _, failure = await called(harness, methods.COMPLETE_ACTIVITY_TASK, 2)
    assert "odd" in failure.failure_details.error_message


@every_error
async def test_work_whose_completion_is_rejected_is_handed_back(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("PERMISSION_DENIED"))
    await harness.start()

    harness.stream.send(activity_item("greet", token="the token"))

    (abandoned,) = await called(harness, methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"


@every_error
async def test_work_that_cannot_be_read_is_handed_back_and_the_next_is_done(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    await harness.start()

    harness.stream.send(unreadable_activity_item(token="the token"))
    harness.stream.send(activity_item("greet"))

    (abandoned,) = await called(harness, methods.ABANDON_ACTIVITY_TASK)
    (completion,) = await called(harness, methods.COMPLETE_ACTIVITY_TASK)
    assert (abandoned.completion_token, completion.result) == ("the token", '"hello"')


@every_error
async def test_a_message_that_cannot_be_handled_does_not_end_the_stream(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    await harness.start()

    harness.stream.send(b"\xff\xff\xff")

    assert (await harness.call("greet")).result == '"hello"'
    assert len(harness.sidecar.streams) == 1


@every_error
async def test_a_worker_that_cannot_connect_tries_again(
    harness: HostHarness, error: BaseException
) -> None:
    break_log(harness, error)
    harness.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 3)
    starting = asyncio.create_task(harness.start())

    await called(harness, methods.HELLO, 4)

    await within(starting)
    assert (await harness.call("greet")).result == '"hello"'


@every_error
async def test_a_worker_stops_although_its_connection_cannot_be_closed(
    harness: HostHarness, error: BaseException
) -> None:
    async def fail() -> None:
        raise ValueError("not now")

    break_log(harness, error)
    harness.sidecar.close = fail  # type: ignore[method-assign]
    await harness.start()

    await harness.stop(grace=30)


def turn(log_error: BaseException, instance: OneInstanceEngine) -> Completion:
    """What a worker of version 1.0, without any orchestrator, does with the instance."""
    orchestrations = OrchestrationHandler(
        Registry(),
        SessionCache(limit=10, max_bytes=1_000_000),
        broken_log(log_error),
        fetch_history=lambda _instance_id: asyncio.sleep(0, []),
        versioning=VersioningOptions(
            "1.0", None, VersionMatchStrategy.STRICT, VersionFailureStrategy.REJECT
        ),
    )
    job = OrchestrationJob(work_item_from(instance.work_item()))
    completion = orchestrations.perform(job)
    assert isinstance(completion, Completion)
    return completion


@every_error
def test_a_turn_that_notes_something_is_completed(error: BaseException) -> None:
    instance = OneInstanceEngine("unheard-of", version="1.0")

    instance.commit(turn(error, instance).request)

    assert instance.failure is not None


@every_error
def test_an_orchestration_of_another_version_is_handed_back(error: BaseException) -> None:
    completion = turn(error, OneInstanceEngine("any", version="2.0"))

    assert completion.method is methods.ABANDON_ORCHESTRATION_TASK
