"""Calls that come as values: each is answered once, however it ends, and with the reason."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.commit.pending_reply import PendingReply
from durabletask.sidecar.in_process import Engine
from durabletask.sidecar.instrumentation import NoInstrumentation
from durabletask.sidecar.service.call_runner import CallRunner
from durabletask.sidecar.service.calls import Submitted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from durabletask.protocol.in_process import Failure

PATIENCE = 20
UNARY = methods.WAIT_FOR_INSTANCE_START
COMMIT = methods.START_INSTANCE
STREAM = methods.GET_WORK_ITEMS
each_kind = pytest.mark.parametrize("method", [UNARY, COMMIT, STREAM], ids=lambda each: each.name)


class Endless:
    """A service none of whose calls ends by itself."""

    def __init__(self) -> None:
        self.begun = 0
        service = SimpleNamespace(
            unary={UNARY: self._wait},
            submitting={COMMIT: self._store},
            in_batches={STREAM: self._stream},
            submit_together=lambda submit: submit(),
        )
        self.counted: list[str] = []
        instrumentation = NoInstrumentation()
        cast("Any", instrumentation).rpc_finished = lambda _, status, __: self.counted.append(
            status
        )
        self.runner = CallRunner(cast("Any", service), instrumentation)

    async def _wait(self, _request: Any, _caller: Any) -> Any:
        self.begun += 1
        await asyncio.get_running_loop().create_future()

    def _store(self, _request: Any, _caller: Any) -> Submitted:
        self.begun += 1
        return Submitted(messages.Empty(), PendingReply())

    @asynccontextmanager
    async def _stream(self, _request: Any, _caller: Any) -> AsyncIterator[Any]:
        self.begun += 1
        yield lambda _: asyncio.get_running_loop().create_future()


class Answers(list[str]):
    """The statuses with which one call was answered."""

    def add(self, _response: Any, failure: Failure | None) -> None:
        self.append("OK" if failure is None else failure.status)


def begin(calls: CallRunner | Engine, method: Any, answers: Answers) -> Callable[[], object]:
    request = method.request_class()()
    if method is STREAM:
        received: Any = lambda _: None  # noqa: E731 - as short as it is empty
        return calls.stream(method, request, (), received, lambda end: answers.add(None, end))
    return calls.call(method, request, (), answers.add)


async def turns(count: int = 10) -> None:
    """Let the event loop do what is to be done now."""
    for _ in range(count):
        await asyncio.sleep(0)


@each_kind
@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_cancelled_call_is_answered_once_as_cancelled(method: Any, has_begun: bool) -> None:
    service, answers = Endless(), Answers()
    cancel = begin(service.runner, method, answers)
    await turns(10 if has_begun else 0)

    cancel()
    cancel()
    await turns()

    assert answers == service.counted == ["CANCELLED"]


@each_kind
@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_call_under_way_when_the_sidecar_stops_is_answered_once_as_unavailable(
    method: Any, has_begun: bool
) -> None:
    service, answers = Endless(), Answers()
    cancel = begin(service.runner, method, answers)
    await turns(10 if has_begun else 0)

    await service.runner.stop(0)
    cancel()
    await turns()

    assert answers == service.counted == ["UNAVAILABLE"]


@each_kind
async def test_a_runner_that_is_closed_begins_no_call(method: Any) -> None:
    service, answers = Endless(), Answers()
    service.runner.close()

    begin(service.runner, method, answers)
    await turns()

    assert (answers, service.begun) == (["UNAVAILABLE"], 0)


async def test_a_call_that_is_cancelled_while_it_is_answered_is_answered_once() -> None:
    async def hello(_request: Any, _caller: Any) -> Any:
        await asyncio.sleep(0)
        return messages.Empty()

    service = SimpleNamespace(unary={methods.HELLO: hello}, submitting={}, in_batches={})
    runner, answers = CallRunner(cast("Any", service)), Answers()

    def answered(response: Any, failure: Failure | None) -> None:
        answers.add(response, failure)
        cancel()

    cancel = runner.call(methods.HELLO, messages.Empty(), (), answered)
    await turns()

    assert answers == ["OK"]


@each_kind
async def test_a_call_in_process_may_be_cancelled_while_the_sidecar_stops(method: Any) -> None:
    service, answers = Endless(), Answers()
    engine = Engine(service.runner, None)
    cancel = begin(engine, method, answers)
    await turns()
    stopping = asyncio.create_task(engine.stop(grace=1000))
    await turns()

    await asyncio.to_thread(cancel)
    async with asyncio.timeout(PATIENCE):
        await stopping if method is not COMMIT else await turns()
    stopping.cancel()

    assert answers == ["CANCELLED"]


@each_kind
async def test_a_call_in_process_is_refused_while_the_sidecar_stops(method: Any) -> None:
    service, answers = Endless(), Answers()
    engine = Engine(service.runner, None)
    begin(engine, UNARY, Answers())
    stopping = asyncio.create_task(engine.stop(grace=1000))
    await turns()

    cancel = begin(engine, method, answers)
    cancel()
    await turns()
    stopping.cancel()

    assert (answers, service.begun) == (["UNAVAILABLE"], 1)


@each_kind
async def test_a_call_in_process_that_is_cancelled_before_it_begins_is_answered_once(
    method: Any,
) -> None:
    service, answers = Endless(), Answers()
    engine = Engine(service.runner, None)

    def begin_and_cancel() -> None:
        begin(engine, method, answers)()

    # The loop is kept busy until the call is cancelled.
    thread = threading.Thread(target=begin_and_cancel)
    thread.start()
    thread.join()
    await turns()
    await engine.stop(0)

    assert (answers, service.begun) == (["CANCELLED"], 0)
