"""Clients and workers go to a sidecar of their own process, whenever it has their address."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import pytest

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.grpc_options import GrpcChannelOptions
from durabletask.protocol import codec, dialects, in_process, messages, methods
from durabletask.sidecar import ManualClock, Server, Sidecar
from durabletask.transport import grpc_async_transport, grpc_transport, sync_waiting
from durabletask.transport.address import Address
from durabletask.transport.batched_calls import batched_calls_of
from durabletask.transport.errors import (
    InstanceExistsError,
    SidecarError,
    SidecarUnavailableError,
)
from durabletask.transport.in_process_calls import InProcessCalls, address_in_process
from durabletask.transport.limits import ChannelHealth
from durabletask.transport.sync_in_process import InProcessTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.protocol.in_process import InProcessEngine

PATIENCE = 20


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURABLETASK_IN_PROCESS", raising=False)


@pytest.fixture
def address() -> Iterator[str]:
    with Sidecar(port=None) as address:
        yield address


def found(address: str) -> InProcessEngine:
    engine = in_process.find(address)
    assert engine is not None
    return engine


class Counting:
    """An engine in front of another one, which counts the calls."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def call(self, method: Any, *arguments: Any) -> Callable[[], None]:
        self.calls.append(method.name)
        cancel: Callable[[], None] = self._engine.call(method, *arguments)
        return cancel


@pytest.fixture
def counted() -> Iterator[tuple[str, Counting]]:
    """A sidecar with a port, and the calls that reach it without gRPC."""
    with Sidecar() as address:
        engine = found(address)
        counting = Counting(engine)
        in_process.register(address, counting)
        yield address, counting
        in_process.register(address, engine)


def test_a_call_finds_a_sidecar_that_was_started_after_the_client_was_made() -> None:
    with Sidecar() as address:
        port = int(address.rpartition(":")[2])
    with TaskHubGrpcClient(host_address=address) as client:
        with pytest.raises(SidecarUnavailableError):
            client.get_orchestration_state("a")

        with Sidecar(port=port):
            assert client.get_orchestration_state("a") is None
        with Sidecar(port=port):
            counting = Counting(found(address))
            in_process.register(address, counting)
            assert client.get_orchestration_state("a") is None
            in_process.unregister(address, counting)

    assert counting.calls == ["GetInstance"]


@pytest.mark.parametrize(
    "settings",
    [
        {"interceptors": [object()]},
        {"channel_options": GrpcChannelOptions()},
        {"channel": object()},
        {"secure": True},
        {"dialect": dialects.DAPR},
        {"environment": {"DURABLETASK_IN_PROCESS": "0"}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_only_grpc_has_is_reached_over_grpc(settings: Any) -> None:
    usual: Any = {
        "secure": False,
        "channel": None,
        "interceptors": None,
        "channel_options": None,
        "dialect": None,
        "environment": {},
    }

    assert address_in_process("localhost:4001", **usual) is not None
    assert address_in_process("localhost:4001", **{**usual, **settings}) is None


@pytest.mark.parametrize(
    "settings",
    [{"secure_channel": True}, {"channel_options": GrpcChannelOptions()}, {"dialect": "dapr"}],
    ids=lambda settings: next(iter(settings)),
)
def test_an_address_of_this_process_leaves_no_place_for_grpc(settings: Any, address: str) -> None:
    with pytest.raises(ValueError, match="without gRPC"):
        TaskHubGrpcClient(host_address=address, **settings)


def test_where_the_variable_hides_an_address_of_this_process_the_error_says_so(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLETASK_IN_PROCESS", "0")

    with pytest.raises(ValueError, match="DURABLETASK_IN_PROCESS is 0: unset it, or"):
        TaskHubGrpcClient(host_address=address)


def test_the_variable_sends_all_calls_over_grpc(
    counted: tuple[str, Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, counting = counted
    monkeypatch.setenv("DURABLETASK_IN_PROCESS", "0")

    with TaskHubGrpcClient(host_address=address) as client:
        assert client.get_orchestration_state("a") is None

    assert counting.calls == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_reaches_its_parents_sidecar_over_grpc() -> None:
    with Sidecar() as address, TaskHubGrpcClient(host_address=address) as client:
        client.schedule_new_orchestration("order", instance_id="a")
        child = os.fork()
        if child == 0:
            # Nothing but what is asked for: the child has no thread of the parent's.
            os._exit(0 if in_process.find(address) is None else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_errors_are_also_those_of_grpc(address: str) -> None:
    with TaskHubGrpcClient(host_address=address) as client:
        client.schedule_new_orchestration("order", instance_id="a")

        with pytest.raises(grpc.RpcError) as caught:
            client.schedule_new_orchestration("order", instance_id="a")

    error: Any = caught.value
    assert isinstance(error, InstanceExistsError)
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_errors_are_also_those_of_grpcs_asyncio(address: str) -> None:
    async with AsyncTaskHubGrpcClient(host_address=address) as client:
        await client.schedule_new_orchestration("order", instance_id="a")

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.schedule_new_orchestration("order", instance_id="a")

    assert isinstance(caught.value, InstanceExistsError)


def test_a_wait_ends_with_its_timeout(address: str) -> None:
    with TaskHubGrpcClient(host_address=address) as client:
        client.schedule_new_orchestration("order", instance_id="a")

        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_completion("a", timeout=0.01)


class Elsewhere:
    """Stands in for a transport over gRPC; keeps the timeouts of its calls."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def unary(self, *_call: Any, timeout: float | None, metadata: Any) -> None:
        self.timeouts.append(timeout)

    def collect(self, *_call: Any, timeout: float | None, metadata: Any) -> None:
        self.timeouts.append(timeout)


def over_grpc(make: Callable[[], Any]) -> InProcessTransport:
    """A transport to an address that no sidecar of this process has."""
    return InProcessTransport(
        Address("127.0.0.1:1", secure=False),
        make,
        metadata=(),
        patience=0,
        health=ChannelHealth(),
    )


def test_a_call_that_goes_over_grpc_has_the_timeout_that_its_caller_gave() -> None:
    elsewhere: Any = Elsewhere()
    transport = over_grpc(lambda: elsewhere)
    get = messages.GetInstanceRequest(instance_id="a")
    history = messages.StreamInstanceHistoryRequest(instance_id="a")

    transport.unary(methods.GET_INSTANCE, get, timeout=0.3)
    transport.collect(methods.STREAM_INSTANCE_HISTORY, history, timeout=0.3)

    assert elsewhere.timeouts == [0.3, 0.3]


def test_threads_whose_first_calls_coincide_share_one_transport_over_grpc() -> None:
    made: list[Any] = []
    both = threading.Barrier(2)

    def make() -> Any:
        both.wait()
        made.append(Elsewhere())
        return made[-1]

    transport = over_grpc(make)
    call = partial(transport.unary, methods.GET_INSTANCE, messages.GetInstanceRequest())
    first = [threading.Thread(target=call) for _ in range(2)]
    for thread in first:
        thread.start()
    for thread in first:
        thread.join()
    call()

    assert sorted(len(each.timeouts) for each in made) == [0, 3]


def test_a_transport_that_is_closed_while_it_makes_one_over_grpc_does_not_use_it() -> None:
    elsewhere: Any = Elsewhere()

    def make() -> Any:
        transport.close()
        return elsewhere

    transport = over_grpc(make)

    with pytest.raises(RuntimeError, match="closed"):
        transport.unary(methods.GET_INSTANCE, messages.GetInstanceRequest())
    assert elsewhere.timeouts == []


def test_a_call_that_is_not_answered_in_time_is_a_deadline_that_passed(address: str) -> None:
    transport = grpc_transport(address)
    request = messages.CreateInstanceRequest(name="order", instance_id="a")
    transport.unary(methods.START_INSTANCE, request)
    waiting = messages.GetInstanceRequest(instance_id="a")

    with pytest.raises(SidecarUnavailableError) as caught:
        transport.unary(methods.WAIT_FOR_INSTANCE_COMPLETION, waiting, timeout=0.01)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    transport.close()


async def test_the_same_from_an_event_loop(address: str) -> None:
    transport = grpc_async_transport(address)
    request = messages.CreateInstanceRequest(name="order", instance_id="a")
    await transport.unary(methods.START_INSTANCE, request)
    waiting = messages.GetInstanceRequest(instance_id="a")

    with pytest.raises(SidecarUnavailableError) as caught:
        await transport.unary(methods.WAIT_FOR_INSTANCE_COMPLETION, waiting, timeout=0.01)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await transport.close()


class Remembering:
    """An engine whose calls can be cancelled by what refers to their caller."""

    def __init__(self, *, answers_at_once: bool) -> None:
        self.answers_at_once = answers_at_once

    def call(
        self, _method: Any, request: Any, _metadata: Any, answered: Callable[..., None]
    ) -> Callable[[], None]:
        self.answered = answered
        if self.answers_at_once:
            answered(None, None)
        return partial(print, request, answered)


@pytest.mark.parametrize("at_once", [True, False])
def test_an_answered_call_is_not_left_to_the_garbage_collector(*, at_once: bool) -> None:
    calls, engine = InProcessCalls(()), Remembering(answers_at_once=at_once)
    request = messages.GetInstanceRequest(instance_id="a")
    freed = weakref.ref(request)
    gc.disable()
    try:
        calls.call(cast("Any", engine), methods.GET_INSTANCE, request, (), lambda _, __: None)
        if not at_once:
            engine.answered(None, None)
        del request, engine

        assert freed() is None
    finally:
        gc.enable()


def test_a_request_that_has_no_encoding_is_refused(address: str) -> None:
    transport = grpc_transport(address)

    with pytest.raises(codec.EncodeError):
        transport.unary(methods.START_INSTANCE, messages.CreateInstanceRequest(name="\ud800"))

    transport.close()


async def test_the_sidecars_own_loop_cannot_wait_for_it() -> None:
    server = Server(port=None)
    await server.start()
    try:
        with (
            TaskHubGrpcClient(host_address=server.address) as client,
            pytest.raises(RuntimeError, match="sidecar's own event loop"),
        ):
            client.get_orchestration_state("a")
        async with AsyncTaskHubGrpcClient(host_address=server.address) as asynchronous:
            assert await asynchronous.get_orchestration_state("a") is None
    finally:
        await server.stop()


def test_the_sidecars_own_thread_cannot_wait_for_what_it_is_to_run() -> None:
    sidecar = Sidecar(port=None)
    sidecar.start()

    async def run_another() -> None:
        async def nothing() -> None: ...

        sidecar.run(nothing())

    with pytest.raises(RuntimeError, match="own thread"):
        sidecar.run(run_another())
    sidecar.close()


def test_a_wait_that_is_interrupted_cancels_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def get(self, timeout: float) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sync_waiting, "SimpleQueue", Interrupted)
    cancelled: list[bool] = []

    with pytest.raises(KeyboardInterrupt):
        sync_waiting.Waiting().answer(lambda _: lambda: cancelled.append(True), PATIENCE)

    assert cancelled == [True]


def test_closing_a_client_ends_its_calls(address: str) -> None:
    client = TaskHubGrpcClient(host_address=address)
    client.schedule_new_orchestration("order", instance_id="a")
    begun = threading.Event()
    engine = found(address)

    class Telling(Counting):
        def call(self, method: Any, *arguments: Any) -> Callable[[], None]:
            cancel = super().call(method, *arguments)
            begun.set()
            return cancel

    in_process.register(address, Telling(engine))
    errors: list[Exception] = []

    def wait() -> None:
        try:
            client.wait_for_orchestration_completion("a", timeout=PATIENCE)
        except Exception as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    begun.wait(PATIENCE)
    client.close()
    waiting.join()
    in_process.register(address, engine)

    assert "closed" in str(errors)
    with pytest.raises(RuntimeError, match="closed"):
        client.get_orchestration_state("a")


async def test_closing_a_transport_ends_its_streams(address: str) -> None:
    transport = grpc_async_transport(address)
    request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=1)
    stream = transport.stream(methods.GET_WORK_ITEMS, request)

    await transport.close()

    with pytest.raises(SidecarError):
        await anext(stream)


def test_a_stream_that_opens_while_its_transport_is_closed_is_cancelled() -> None:
    calls = InProcessCalls(())
    cancelled: list[str] = []

    class Slow:
        def stream(self, *_: Any) -> Callable[[], None]:
            calls.close()
            return lambda: cancelled.append("stream")

    ended: list[Any] = []
    request = messages.GetWorkItemsRequest()
    engine = cast("Any", Slow())

    calls.stream(engine, methods.GET_WORK_ITEMS, request, (), print, ended.append)

    assert cancelled == ["stream"]
    assert [failure.status for failure in ended] == ["CANCELLED"]


async def test_a_stream_that_is_closed_has_ended(address: str) -> None:
    transport = grpc_async_transport(address)
    request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=1)
    stream = transport.stream(methods.GET_WORK_ITEMS, request)
    reading = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)

    await stream.aclose()

    assert await reading is None
    await transport.close()


def test_a_stream_is_read_from_a_thread(address: str) -> None:
    transport = grpc_transport(address)
    request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=1)
    stream = transport.stream(methods.GET_WORK_ITEMS, request)
    start = messages.CreateInstanceRequest(name="order", instance_id="a")
    transport.unary(methods.START_INSTANCE, start)

    item = codec.decode(messages.WorkItem, next(stream))

    assert item.orchestrator_request is not None
    assert item.orchestrator_request.instance_id == "a"
    stream.close()
    assert next(stream, None) is None
    transport.close()


def test_a_whole_history_is_collected() -> None:
    with Sidecar(port=None, clock=ManualClock()) as address:
        transport = grpc_transport(address)
        start = messages.CreateInstanceRequest(name="order", instance_id="a")
        transport.unary(methods.START_INSTANCE, start)
        transport.unary(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))
        request = messages.StreamInstanceHistoryRequest(instance_id="a")

        chunks = transport.collect(methods.STREAM_INSTANCE_HISTORY, request)

        assert isinstance(chunks, list)
        transport.close()


def test_calls_in_batches_are_offered_while_the_sidecar_is_in_this_process(address: str) -> None:
    transport = grpc_transport(address)
    calls = batched_calls_of(transport)
    assert calls is not None
    answered: list[Any] = []
    done = threading.Event()

    def take(*answer: Any) -> None:
        answered.append(answer)
        done.set()

    calls.call(methods.START_INSTANCE, messages.CreateInstanceRequest(name="\ud800"), take)
    assert isinstance(answered.pop()[1], codec.EncodeError)
    done.clear()
    calls.call(methods.RAISE_EVENT, messages.RaiseEventRequest(instance_id="a", name="x"), take)
    done.wait(PATIENCE)

    [(response, error)] = answered
    assert (response, error.refusal.status) == (None, "NOT_FOUND")
    transport.close()
    calls.call(methods.HELLO, messages.Empty(), take)
    assert isinstance(answered[-1][1], Exception)


def test_the_port_is_open_for_others_all_the_same() -> None:
    with Sidecar() as address:
        host, _, port = address.rpartition(":")

        socket.create_connection((host, int(port))).close()
