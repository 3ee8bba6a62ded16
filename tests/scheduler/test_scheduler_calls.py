"""The headers that clients and worker send, with streams too."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from durabletask.azuremanaged._interceptors import for_asyncio, for_threads
from durabletask.azuremanaged._tokens import AsyncTokens, Tokens
from durabletask.azuremanaged._version import __version__
from durabletask.azuremanaged.client import (
    AsyncDurableTaskSchedulerClient,
    DurableTaskSchedulerClient,
)
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.protocol import messages, methods
from durabletask.transport import grpc_async_transport, grpc_transport
from tests.builders.scheduler import (
    FakeAsyncCredential,
    FakeCredential,
    Issuer,
    ManualTime,
    scheduler,
)
from tests.builders.transport import RawSidecar

HISTORY = "StreamInstanceHistory"
# Far enough away that no clock of a machine comes near its end.
LIFETIME = 10**9


def credential(kind: type[Issuer] = FakeCredential) -> Any:
    return kind(lifetime=LIFETIME)


async def both_kinds_of_call(made: Any) -> None:
    if isinstance(made, AsyncDurableTaskSchedulerClient):
        await made.get_orchestration_state("order-1")
        await made.get_orchestration_history("order-1")
        await made.close()
        return
    with made:
        await asyncio.to_thread(made.get_orchestration_state, "order-1")
        await asyncio.to_thread(made.get_orchestration_history, "order-1")


@pytest.mark.parametrize(
    ("made", "token_credential"),
    [
        (DurableTaskSchedulerClient, FakeCredential),
        (AsyncDurableTaskSchedulerClient, FakeCredential),
        (AsyncDurableTaskSchedulerClient, FakeAsyncCredential),
    ],
)
async def test_each_call_of_a_client_carries_hub_agent_and_token(made, token_credential):
    async with scheduler(streams=(HISTORY,)) as (address, heard):
        asked = credential(token_credential)

        await both_kinds_of_call(
            made(host_address=address, taskhub="orders", token_credential=asked)
        )

    for method in ("GetInstance", HISTORY):
        assert heard.values(method, "taskhub") == ["orders"]
        assert heard.values(method, "x-user-agent") == [f"durabletask-python/{__version__}"]
        assert heard.values(method, "authorization") == ["Bearer secret-1"]
        assert heard.values(method, "workerid") == [None]
    assert asked.scopes == ["https://durabletask.io/.default"]


@pytest.mark.parametrize("made", [DurableTaskSchedulerClient, AsyncDurableTaskSchedulerClient])
async def test_without_a_credential_there_is_no_token(made):
    async with scheduler(streams=(HISTORY,)) as (address, heard):
        await both_kinds_of_call(
            made(host_address=address, taskhub="orders", token_credential=None)
        )

    assert heard.values(HISTORY, "taskhub") == ["orders"]
    assert heard.values(HISTORY, "authorization") == [None]


@pytest.mark.parametrize("made", [DurableTaskSchedulerClient, AsyncDurableTaskSchedulerClient])
async def test_the_scheduler_speaks_its_own_dialect_whatever_the_environment_says(
    made, monkeypatch
):
    monkeypatch.setenv("DURABLETASK_DIALECT", "dapr")
    async with scheduler(streams=(HISTORY,)) as (address, heard):
        await both_kinds_of_call(
            made(host_address=address, taskhub="orders", token_credential=None)
        )

    assert set(heard.calls) == {"GetInstance", HISTORY}


@pytest.mark.parametrize("made", [DurableTaskSchedulerClient, AsyncDurableTaskSchedulerClient])
async def test_the_region_decides_the_tokens_scope(made, monkeypatch):
    monkeypatch.setenv("REGION_NAME", "usgovvirginia")
    async with scheduler(streams=(HISTORY,)) as (address, _):
        asked = credential()

        await both_kinds_of_call(
            made(host_address=address, taskhub="orders", token_credential=asked)
        )

    assert asked.scopes == ["https://durabletask.azure.us/.default"]


async def test_an_exception_of_the_credential_reaches_the_caller():
    async with scheduler() as (address, heard):
        asked = credential()
        asked.failures.append(OSError("log in first"))
        with (
            DurableTaskSchedulerClient(
                host_address=address, taskhub="orders", token_credential=asked
            ) as made,
            pytest.raises(OSError, match="log in first"),
        ):
            await asyncio.to_thread(made.get_orchestration_state, "order-1")

    assert heard.values("GetInstance", "authorization") == []


async def test_an_exception_of_the_credential_reaches_the_caller_in_an_event_loop():
    async with scheduler(streams=(HISTORY,)) as (address, _):
        asked = credential(FakeAsyncCredential)
        asked.failures += [OSError("log in first"), OSError("log in now")]
        async with AsyncDurableTaskSchedulerClient(
            host_address=address, taskhub="orders", token_credential=asked
        ) as made:
            with pytest.raises(OSError, match="log in first"):
                await made.get_orchestration_state("order-1")
            with pytest.raises(OSError, match="log in now"):
                await made.get_orchestration_history("order-1")


class SeenOnTheWay(grpc.UnaryUnaryClientInterceptor):
    """A program's own interceptor: it adds a header and remembers those that it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self.seen += [name for name, _ in details.metadata]
        return continuation(details, request)


async def test_the_callers_interceptors_do_not_see_the_token():
    own = SeenOnTheWay()
    async with scheduler() as (address, heard):
        with DurableTaskSchedulerClient(
            host_address=address,
            taskhub="orders",
            token_credential=credential(),
            interceptors=[own],
        ) as made:
            await asyncio.to_thread(made.get_orchestration_state, "order-1")

    assert own.seen == ["taskhub", "x-user-agent"]
    assert heard.values("GetInstance", "authorization") == ["Bearer secret-1"]


async def test_no_headers_are_added_on_a_given_channel():
    asked = credential()
    async with scheduler() as (address, heard):
        with grpc.insecure_channel(address.removeprefix("http://")) as channel:
            made = DurableTaskSchedulerClient(
                host_address="http://a.durabletask.io",
                taskhub="orders",
                token_credential=asked,
                channel=channel,
            )
            await asyncio.to_thread(made.get_orchestration_state, "order-1")

    assert heard.values("GetInstance", "authorization") == [None]
    assert asked.scopes == []


async def refused_once(token_time: ManualTime, seen: list[str]) -> AsyncIterator[str]:
    """A server that refuses the first attempt, after which the token is due for renewal."""

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.append(dict(context.invocation_metadata())["authorization"])
        if len(seen) == 1:
            token_time.now += 3600
            await context.abort(grpc.StatusCode.UNAVAILABLE, "back soon")
        return b""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((RawSidecar({"GetInstance": handler}, {}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_a_repeated_call_carries_the_present_token():
    time, seen = ManualTime(), list[str]()
    tokens = Tokens(FakeCredential(time), "scope", now=time)
    async for address in refused_once(time, seen):
        transport = grpc_transport(address, interceptors=for_threads(tokens))
        request = messages.GetInstanceRequest(instance_id="order-1")
        await asyncio.to_thread(transport.unary, methods.GET_INSTANCE, request)
        transport.close()

    assert seen == ["Bearer secret-1", "Bearer secret-2"]


async def test_a_repeated_call_of_an_event_loop_carries_the_present_token():
    time, seen = ManualTime(), list[str]()
    tokens = AsyncTokens(FakeAsyncCredential(time), "scope", now=time)
    async for address in refused_once(time, seen):
        transport = grpc_async_transport(address, interceptors=for_asyncio(tokens))
        request = messages.GetInstanceRequest(instance_id="order-1")
        await transport.unary(methods.GET_INSTANCE, request)
        await transport.close()

    assert seen == ["Bearer secret-1", "Bearer secret-2"]


class OfAsyncio(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)


@pytest.mark.parametrize(
    "interceptors", [None, [SeenOnTheWay()], [OfAsyncio()]], ids=["none", "threads", "asyncio"]
)
async def test_the_workers_stream_carries_every_header(interceptors):
    async with scheduler(unary=("Hello",), streams=("GetWorkItems",)) as (address, heard):
        worker = DurableTaskSchedulerWorker(
            host_address=address,
            taskhub="orders",
            token_credential=credential(),
            interceptors=interceptors,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            await worker.until_ready(timeout=20)
            await heard.first["GetWorkItems"].wait()
            worker.stop(grace=0)

    for method in ("Hello", "GetWorkItems"):
        headers = heard.calls[method][0]
        assert headers["taskhub"] == "orders"
        assert headers["x-user-agent"] == f"durabletask-python/{__version__}"
        assert headers["authorization"] == "Bearer secret-1"
        host, pid, unique = headers["workerid"].rsplit(":", 2)
        assert (host, pid) == (socket.gethostname(), str(os.getpid()))
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", unique)
    assert (
        len(set(heard.values("Hello", "workerid") + heard.values("GetWorkItems", "workerid"))) == 1
    )
