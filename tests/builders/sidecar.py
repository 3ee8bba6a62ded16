"""A sidecar under test, and a client and worker that talk to it in raw protocol messages.

`Peer` is part of no SDK: it sends what a test tells it to send.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, messages, methods, oneofs
from durabletask.sidecar.server import Server
from tests.builders.flushes import host_on_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.protocol.methods import Method
    from durabletask.sidecar.clock import Clock
    from tests.builders.in_process_channel import InProcessChannel

# Against hangs only: no test waits for it to pass.
PATIENCE = 20


@asynccontextmanager
async def serving(
    path: Any = None, *, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Peer]:
    """A sidecar on a free port of this event loop, and a peer that is connected to it."""
    options.setdefault("make_host", host_on_loop)
    server = Server(path, clock=clock, **options)
    await server.start()
    try:
        async with connected(server.address) as peer:
            peer.server = server
            yield peer
    finally:
        await server.stop()


@asynccontextmanager
async def connected(address: str, *, hub: str | None = None) -> AsyncIterator[Peer]:
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A test that starts a second sidecar must not be handed the first one's connection.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(address, options) as channel:
        yield Peer(channel, hub)


class Proxy:
    """Stands between a sidecar and its peers, and may stop passing anything on."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._is_silent = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def fall_silent(self) -> None:
        """Swallow all that comes, as a network does whose cable was pulled."""
        self._is_silent = True

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, int(self._port))
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pass_on(source, sink)))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if not self._is_silent:
                    sink.write(data)
        finally:
            sink.close()


@asynccontextmanager
async def proxied(peer: Peer) -> AsyncIterator[Proxy]:
    """Another way to the sidecar of this peer, which can be cut."""
    proxy = Proxy(peer.server.address)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


class Peer:
    """One connection to a sidecar."""

    server: Server

    def __init__(
        self, channel: grpc.aio.Channel | InProcessChannel, hub: str | None = None
    ) -> None:
        self.channel = channel
        self._metadata = (("taskhub", hub),) if hub else ()

    async def call(self, method: Method, request: Any = None, *, patience: float = PATIENCE) -> Any:
        """Send a message, return the response; a refusal raises grpc.aio.AioRpcError."""
        if request is None:
            request = method.request_class()()
        raw = await self.send(method, codec.encode(request, dialects.TASKHUB), patience=patience)
        return codec.decode(method.response_class(), raw, dialects.TASKHUB)

    async def send(self, method: Method, raw: bytes, *, patience: float = PATIENCE) -> bytes:
        """Send bytes as they are."""
        call: Any = self.channel.unary_unary(method.path)
        response: bytes = await call(raw, timeout=patience, metadata=self._metadata)
        return response

    async def refusal(self, method: Method, request: Any) -> tuple[grpc.StatusCode, str]:
        """Status and text of a call that must not succeed."""
        raw = request if isinstance(request, bytes) else codec.encode(request, dialects.TASKHUB)
        try:
            await self.send(method, raw)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError(f"{method.name} was accepted")

    async def begin(self, method: Method, request: Any) -> asyncio.Task[Any]:
        """Make a call that is answered later; when this returns, the sidecar has it."""
        call = asyncio.create_task(self.call(method, request))
        # Calls of one connection arrive in their order, so once a later one has been
        # answered this one has arrived. The first of the two lets its task begin.
        for _ in range(2):
            await self.call(methods.HELLO)
        return call

    def of_hub(self, hub: str) -> Peer:
        """The same connection, for another task hub."""
        return Peer(self.channel, hub)

    async def start(self, name: str = "order", instance_id: str = "a", **fields: Any) -> str:
        request = messages.CreateInstanceRequest(name=name, instance_id=instance_id, **fields)
        response = await self.call(methods.START_INSTANCE, request)
        return str(response.instance_id)

    async def state(self, instance_id: str = "a") -> Any:
        """The instance's state, None when there is no such instance."""
        request = messages.GetInstanceRequest(instance_id=instance_id, get_inputs_and_outputs=True)
        response = await self.call(methods.GET_INSTANCE, request)
        return response.orchestration_state if response.exists else None

    async def completed(self, instance_id: str = "a") -> Any:
        """Wait until the instance has ended; its state."""
        request = messages.GetInstanceRequest(instance_id=instance_id, get_inputs_and_outputs=True)
        response = await self.call(methods.WAIT_FOR_INSTANCE_COMPLETION, request)
        return response.orchestration_state if response.exists else None

    async def raise_event(self, name: str, input: str | None = None, to: str = "a") -> None:
        request = messages.RaiseEventRequest(instance_id=to, name=name, input=input)
        await self.call(methods.RAISE_EVENT, request)

    def work(
        self, *, max_message: int | str | None = None, headers: Any = (), **request: Any
    ) -> Items:
        """Ask for work items, as Microsoft's workers do: with a field that shows whose it is."""
        request.setdefault("max_concurrent_orchestration_work_items", 100)
        announced = (("x-durabletask-max-message", str(max_message)),) if max_message else ()
        raw = codec.encode(messages.GetWorkItemsRequest(**request), dialects.TASKHUB)
        call: Any = self.channel.unary_stream(methods.GET_WORK_ITEMS.path)
        return Items(call(raw, metadata=(*self._metadata, *announced, *headers)))

    async def stream(self, method: Method, request: Any, *, patience: float = PATIENCE) -> Any:
        """All messages of a stream that ends by itself."""
        call: Any = self.channel.unary_stream(method.path)
        raw = codec.encode(request, dialects.TASKHUB)
        responses = call(raw, timeout=patience, metadata=self._metadata)
        return [
            codec.decode(method.response_class(), each, dialects.TASKHUB)
            async for each in responses
        ]

    async def decide(self, item: Any, *actions: Any, **response: Any) -> None:
        """Complete a turn with these actions."""
        request = item.orchestrator_request
        message = messages.OrchestratorResponse(
            instance_id=request.instance_id,
            actions=list(actions),
            completion_token=item.completion_token,
        )
        for name, value in response.items():
            setattr(message, name, value)
        await self.call(methods.COMPLETE_ORCHESTRATOR_TASK, message)

    async def finish(self, item: Any, result: str | None = None, **response: Any) -> None:
        """Complete an activity with a result."""
        request = item.activity_request
        message = messages.ActivityResponse(
            instance_id=request.orchestration_instance.instance_id,
            task_id=request.task_id,
            result=result,
            completion_token=item.completion_token,
        )
        for name, value in response.items():
            setattr(message, name, value)
        await self.call(methods.COMPLETE_ACTIVITY_TASK, message)


class Items:
    """A worker's stream of work items."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def opened(self) -> None:
        """Wait until the sidecar has admitted the worker."""
        await self._call.initial_metadata()

    async def next(self) -> Any:
        """The next work item that is not a ping; None when the sidecar ended the stream."""
        while True:
            item = await self.next_of_any_kind()
            if item is None or oneofs.which(item) != "health_ping":
                return item

    async def next_of_any_kind(self) -> Any:
        raw = await self._call.read()
        if raw is grpc.aio.EOF:
            return None
        return codec.decode(messages.WorkItem, raw, dialects.TASKHUB)

    async def status(self) -> grpc.StatusCode:
        """How the stream ended, once it has."""
        code: grpc.StatusCode = await self._call.code()
        return code

    async def details(self) -> str:
        """What the sidecar said about how the stream ended, once it has."""
        details: str | None = await self._call.details()
        return details or ""

    def cancel(self) -> None:
        self._call.cancel()


def schedule(id: int, name: str = "greet", input: str | None = None) -> Any:
    task = messages.ScheduleTaskAction(name=name, input=input)
    return messages.OrchestratorAction(id=id, schedule_task=task)


def event(name: str, to: str = "target", id: int = 9) -> Any:
    target = messages.OrchestrationInstance(instance_id=to)
    action = messages.SendEventAction(instance=target, name=name)
    return messages.OrchestratorAction(id=id, send_event=action)


def timer(id: int, fire_at: Any) -> Any:
    return messages.OrchestratorAction(
        id=id, create_timer=messages.CreateTimerAction(fire_at=fire_at)
    )


def complete(id: int, result: str | None = None, **fields: Any) -> Any:
    fields.setdefault("orchestration_status", messages.OrchestrationStatus.COMPLETED)
    return messages.OrchestratorAction(
        id=id,
        complete_orchestration=messages.CompleteOrchestrationAction(result=result, **fields),
    )


def failed(id: int, details: Any) -> Any:
    status = messages.OrchestrationStatus.FAILED
    return complete(id, orchestration_status=status, failure_details=details)
