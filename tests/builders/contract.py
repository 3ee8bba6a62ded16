"""An engine under test, and a client and workers that see it only through the protocol.

`EngineUnderTest` is whatever engine the contract is run against; `Client` and `Worker` send it raw
messages, so each test decides both sides of the conversation. Nothing here is part of any SDK,
and only the adapters use our own sidecar's classes.
"""

from __future__ import annotations

import asyncio
import copy
import os
import re
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from durabletask.protocol import codec, dialects, in_process, messages, methods, oneofs
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.server import Server
from tests.builders.batch_channel import batch_channel
from tests.builders.in_process_channel import InProcessChannel
from tests.builders.sidecar import PATIENCE, Peer, connected
from tools.peers.sidecar_process import SidecarProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import grpc

    from durabletask.protocol.methods import Method
    from tests.builders.sidecar import Items

# The address of another engine to run the contract against, as host:port.
FOREIGN = "DURABLETASK_CONTRACT_ENGINE"

# What a worker receives that says nothing else: gRPC's default.
RECEIVE_LIMIT = 4 * 1024 * 1024

# What can be asked for in the metadata of our sidecar's calls.
BY_HEADER = frozenset({"sessions by header", "batch form by header", "task hubs"})

# Ids of instances that a test has made begin so, whether this test or one before it.
_OF_A_TEST = re.compile(r"(?:@[^@]*@)?(t[0-9a-f]{12})-")


class EngineAdapter:
    """What the contract needs to be able to do with an engine; `abilities` says what it can."""

    name = ""
    address = ""
    abilities: frozenset[str] = frozenset()
    clock: ManualClock | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def kill(self) -> None:
        raise NotImplementedError

    def connected(self, task_hub: str) -> AbstractAsyncContextManager[Peer]:
        """A connection of its own."""
        return connected(self.address, hub=task_hub)


class InProcess(EngineAdapter):
    """Our sidecar without a port, reached without gRPC; with a file, and a clock that stands still."""

    name = "durabletask-sidecar, in process"
    abilities = frozenset({"clock", "restart"}) | BY_HEADER

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock: ManualClock = ManualClock()

    async def start(self) -> None:
        self._server = Server(self._path, port=None, clock=self.clock, synchronous="normal")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    @asynccontextmanager
    async def connected(self, task_hub: str) -> AsyncIterator[Peer]:
        engine = in_process.find(self._server.address)
        assert engine is not None
        channel = InProcessChannel(engine)
        yield Peer(cast("Any", channel), task_hub)
        await channel.close()


class Embedded(EngineAdapter):
    """Our sidecar behind its real service, with a file, and a clock that stands still."""

    name = "durabletask-sidecar"
    abilities = frozenset({"clock", "restart", "network"}) | BY_HEADER

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock: ManualClock = ManualClock()

    async def start(self) -> None:
        self._server = Server(self._path, clock=self.clock, synchronous="normal")
        await self._server.start()
        self.address = self._server.address

    async def stop(self) -> None:
        await self._server.stop()


class Batched(Embedded):
    """The same, whose calls all come on one batch stream for each connection."""

    name = "durabletask-sidecar, on a batch stream"

    @asynccontextmanager
    async def connected(self, task_hub: str) -> AsyncIterator[Peer]:
        async with connected(self.address) as peer:
            channel = cast("grpc.aio.Channel", peer.channel)
            async with batch_channel(channel) as calls:
                yield Peer(cast("Any", calls), task_hub)


class Process(EngineAdapter):
    """Our sidecar as the command that users run: in real time; it can be killed."""

    name = "durabletask-sidecar"
    abilities = frozenset({"real time", "restart", "kill", "network"}) | BY_HEADER

    def __init__(self, path: Path) -> None:
        self._process = SidecarProcess(path)

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)
        self.address = self._process.address

    async def stop(self) -> None:
        await asyncio.to_thread(self._process.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self._process.kill)


class Foreign(EngineAdapter):
    """Another engine, which somebody else starts and stops."""

    abilities = frozenset({"real time", "network"})

    def __init__(self, address: str) -> None:
        self.address = address
        self.name = f"the engine at {address}"


GRPC, IN_PROCESS, BATCHES = "gRPC", "in process", "batch stream"


def ways(needs: AbstractSet[str]) -> list[str]:
    """How a test with these needs is run: over gRPC, and in our own ways if that can be."""
    if os.environ.get(FOREIGN):
        return [GRPC]
    others = {IN_PROCESS: InProcess, BATCHES: Batched}
    return [GRPC, *(way for way, engine in others.items() if needs <= engine.abilities)]


def engine_with(needs: AbstractSet[str], folder: Path, way: str) -> EngineAdapter:
    """The engine under test, in the form that can do what a test needs if there is one."""
    foreign = os.environ.get(FOREIGN)
    if foreign:
        return Foreign(foreign)
    path = folder / "tasks.db"
    if way == IN_PROCESS:
        return InProcess(path)
    if way == BATCHES:
        return Batched(path)
    needs_process = not Embedded.abilities.issuperset(needs)
    return Process(path) if needs_process else Embedded(path)


class EngineUnderTest:
    """The engine under test, with a task hub of the test's own."""

    def __init__(self, engine: EngineAdapter) -> None:
        self.engine = engine
        self.prefix = f"t{uuid.uuid4().hex[:12]}"
        self._connections = AsyncExitStack()
        self._made = 0

    async def client(self, task_hub: str | None = None) -> Client:
        """A connection of its own."""
        opening = self.engine.connected(task_hub or self.prefix)
        peer = await self._connections.enter_async_context(opening)
        return Client(peer, self)

    def new_id(self, what: str = "order") -> str:
        """An id that no other test uses."""
        self._made += 1
        return f"{self.prefix}-{what}-{self._made}"

    def entity(self, name: str = "counter") -> str:
        return f"@{name}@{self.new_id(name)}"

    def now(self) -> datetime:
        clock = self.engine.clock
        return datetime.now(UTC) if clock is None else clock.now()

    def advance(self, **step: float) -> None:
        """Let time pass; for tests that need a clock."""
        assert self.engine.clock is not None
        self.engine.clock.advance(timedelta(**step))

    def pass_time(self, **step: float) -> None:
        """The same where time stands still; elsewhere it passes by itself."""
        if self.engine.clock is not None:
            self.advance(**step)

    async def restart(self) -> Client:
        """End the engine and start it anew over the same data; a connection to the new one."""
        await self.engine.stop()
        await self.engine.start()
        return await self.client()

    async def kill(self) -> Client:
        """The same, without a chance for the engine to tidy up."""
        await self.engine.kill()
        await self.engine.start()
        return await self.client()

    async def close(self) -> None:
        await self._connections.aclose()
        await self.engine.stop()


class Client:
    """One connection to the engine; each method is one call of the protocol."""

    def __init__(self, peer: Peer, hub: EngineUnderTest) -> None:
        self.peer = peer
        self._hub = hub

    async def call(self, method: Method, **fields: Any) -> Any:
        return await self.peer.call(method, method.request_class()(**fields))

    async def refusal(self, method: Method, **fields: Any) -> grpc.StatusCode:
        """The status with which the engine turns the call down."""
        code, _ = await self.peer.refusal(method, method.request_class()(**fields))
        return code

    async def start(self, name: str = "order", id: str | None = None, **fields: Any) -> str:
        """Start an orchestration, by default under a new id; its id."""
        if replaceable := fields.pop("replaceable", None):
            fields["orchestration_id_reuse_policy"] = messages.OrchestrationIdReusePolicy(
                replaceable_status=replaceable
            )
        id = self._hub.new_id() if id is None else id
        response = await self.call(methods.START_INSTANCE, name=name, instance_id=id, **fields)
        return str(response.instance_id)

    async def get(self, id: str, *, payloads: bool = True) -> Any:
        return await self.call(
            methods.GET_INSTANCE, instance_id=id, get_inputs_and_outputs=payloads
        )

    async def state(self, id: str) -> Any:
        """The state of an instance, None when there is none."""
        response = await self.get(id)
        return response.orchestration_state if response.exists else None

    async def status(self, id: str) -> messages.OrchestrationStatus:
        found: messages.OrchestrationStatus = (await self.state(id)).orchestration_status
        return found

    async def completed(self, id: str) -> Any:
        """Wait until the instance has ended; its state."""
        return (await self._wait(id)).orchestration_state

    async def waiting(self, id: str) -> asyncio.Task[Any]:
        """A wait for the end that has reached the engine."""
        request = messages.GetInstanceRequest(instance_id=id, get_inputs_and_outputs=True)
        return await self.peer.begin(methods.WAIT_FOR_INSTANCE_COMPLETION, request)

    async def _wait(self, id: str) -> Any:
        return await self.call(
            methods.WAIT_FOR_INSTANCE_COMPLETION, instance_id=id, get_inputs_and_outputs=True
        )

    async def raise_event(self, id: str, name: str = "go", input: str | None = None) -> None:
        await self.call(methods.RAISE_EVENT, instance_id=id, name=name, input=input)

    async def suspend(self, id: str, reason: str | None = None) -> None:
        await self.call(methods.SUSPEND_INSTANCE, instance_id=id, reason=reason)

    async def resume(self, id: str, reason: str | None = None) -> None:
        await self.call(methods.RESUME_INSTANCE, instance_id=id, reason=reason)

    async def terminate(self, id: str, output: str | None = None, **fields: Any) -> None:
        await self.call(methods.TERMINATE_INSTANCE, instance_id=id, output=output, **fields)

    async def rewind(self, id: str, reason: str | None = None) -> None:
        await self.call(methods.REWIND_INSTANCE, instance_id=id, reason=reason)

    async def restart(self, id: str, *, with_new_id: bool) -> str:
        response = await self.call(
            methods.RESTART_INSTANCE, instance_id=id, restart_with_new_instance_id=with_new_id
        )
        return str(response.instance_id)

    async def purge(self, id: str | None = None, **fields: Any) -> tuple[int, bool | None]:
        """How many instances are gone, and whether that is all of them."""
        fields.setdefault("is_orchestration", True)
        response = await self.call(methods.PURGE_INSTANCES, instance_id=id, **fields)
        return response.deleted_instance_count, response.is_complete

    async def query(self, **fields: Any) -> Any:
        query = messages.InstanceQuery(**fields)
        return await self.call(methods.QUERY_INSTANCES, query=query)

    async def history(self, id: str, execution_id: str | None = None, **fields: Any) -> list[Any]:
        """Every event of an instance."""
        request = messages.StreamInstanceHistoryRequest(
            instance_id=id, execution_id=execution_id, **fields
        )
        chunks = await self.peer.stream(methods.STREAM_INSTANCE_HISTORY, request)
        return [event for chunk in chunks for event in chunk.events]

    async def signal(
        self, entity: str, operation: str, input: str | None = None, **fields: Any
    ) -> None:
        fields.setdefault("request_id", guid())
        await self.call(
            methods.SIGNAL_ENTITY, instance_id=entity, name=operation, input=input, **fields
        )

    async def entity(self, id: str) -> Any:
        """What is known about an entity, None when there is none."""
        response = await self.call(methods.GET_ENTITY, instance_id=id, include_state=True)
        return response.entity if response.exists else None

    async def clean(self, **fields: Any) -> Any:
        return await self.call(methods.CLEAN_ENTITY_STORAGE, **fields)

    def worker(self, *, headers: Sequence[tuple[str, str]] = (), **fields: Any) -> Worker:
        """Ask for work items."""
        return Worker(self, self.peer.work(headers=headers, **fields), self._hub.prefix)


class Worker:
    """A stream of work items, and those that have come and nobody has asked for yet."""

    def __init__(self, client: Client, items: Items, prefix: str) -> None:
        self._client = client
        self._items = items
        self._prefix = prefix
        self._kept: list[Work] = []

    async def opened(self) -> None:
        """Wait until the engine has admitted the worker."""
        async with asyncio.timeout(PATIENCE):
            await self._items.opened()

    async def next(self) -> Work:
        """Whatever comes next and is no ping."""
        return self._kept.pop(0) if self._kept else await self._read()

    async def turn(self, of: str | None = None) -> Work:
        """The next turn, or the next of that instance; what else comes is kept."""
        return await self._take("orchestrator_request", of)

    async def activity(self, name: str | None = None) -> Work:
        return await self._take("activity_request", name)

    async def batch(self, of: str | None = None) -> Work:
        """The next operations of an entity, in whichever form they come."""
        return await self._take("entity_request", of)

    async def ping(self) -> None:
        """Wait for a sign of life."""
        async with asyncio.timeout(PATIENCE):
            while oneofs.which(await self._items.next_of_any_kind()) != "health_ping":
                pass

    async def ended(self) -> grpc.StatusCode:
        """Wait for the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            while await self._items.next() is not None:
                pass
            return await self._items.status()

    def leave(self) -> None:
        """Break the stream, with all that was handed out over it."""
        self._items.cancel()

    async def _take(self, kind: str, of: str | None) -> Work:
        found = [work for work in self._kept if work.is_for(kind, of)]
        if found:
            self._kept.remove(found[0])
            return found[0]
        while not (work := await self._read()).is_for(kind, of):
            self._kept.append(work)
        return work

    async def _read(self) -> Work:
        async with asyncio.timeout(PATIENCE):
            while True:
                item = await self._items.next()
                assert item is not None, "the engine ended the stream"
                work = Work(self._client, item)
                # An engine without task hubs may still have work of earlier tests.
                maker = _OF_A_TEST.match(work.instance)
                if maker is None or maker.group(1) == self._prefix:
                    return work


class Work:
    """One work item in the hands of a worker."""

    def __init__(self, client: Client, item: Any) -> None:
        self._client = client
        self.item = item
        self.kind = oneofs.which(item)
        self.request = getattr(item, self.kind)
        self.token = item.completion_token

    @property
    def instance(self) -> str:
        """Whose work it is."""
        owner = self.request.orchestration_instance if self._is_activity else self.request
        return str(owner.instance_id)

    @property
    def name(self) -> str:
        """What it is called in the tests' claims: an activity's name, or an instance's id."""
        return str(self.request.name) if self._is_activity else self.instance

    @property
    def _is_activity(self) -> bool:
        return self.kind == "activity_request"

    def is_for(self, kind: str, name: str | None) -> bool:
        return self.kind.removesuffix("_v2") == kind and name in (None, self.name)

    @property
    def size(self) -> int:
        """The bytes of the message."""
        return len(codec.encode(self.item, dialects.TASKHUB))

    @property
    def events(self) -> list[str]:
        """The names of the new events."""
        return [oneofs.which(event) for event in self.request.new_events]

    @property
    def past_events(self) -> list[str]:
        """The names of the events that are history."""
        return [oneofs.which(event) for event in self.request.past_events]

    def new(self, name: str) -> list[Any]:
        """The new events of that name."""
        found = (getattr(event, name) for event in self.request.new_events)
        return [event for event in found if event is not None]

    def past(self, name: str) -> list[Any]:
        """The same of history."""
        found = (getattr(event, name) for event in self.request.past_events)
        return [event for event in found if event is not None]

    @property
    def raised(self) -> list[str]:
        """The names of the external events that are new."""
        return [event.name for event in self.new("event_raised")]

    @property
    def operations(self) -> list[str]:
        """The names of an entity's operations, in either form of request."""
        if self.kind == "entity_request":
            return [each.operation for each in self.request.operations]
        return [operation_of(event).operation for event in self.request.operation_requests]

    def through(self, client: Client) -> Work:
        """The same item, to be answered over another connection."""
        return Work(client, self.item)

    async def decide(self, *actions: Any, **response: Any) -> None:
        """Answer a turn with these actions."""
        await self._client.peer.decide(self.item, *actions, **response)

    async def finish(self, result: str | None = None, **response: Any) -> None:
        """Answer an activity with a result."""
        await self._client.peer.finish(self.item, result, **response)

    async def fail(self, details: Any) -> None:
        """Answer an activity with a failure."""
        await self.finish(failure_details=details)

    async def operate(self, *results: Any, state: str | None = None, **response: Any) -> None:
        """Answer a batch; without results, every operation succeeds and returns nothing."""
        outcomes = results or tuple(succeeded() for _ in self.operations)
        await self._client.call(
            methods.COMPLETE_ENTITY_TASK,
            **{
                "results": list(outcomes),
                "entity_state": state,
                "completion_token": self.token,
                **response,
            },
        )

    async def abandon(self) -> None:
        """Give it back."""
        method = _ABANDON[self.kind.removesuffix("_v2")]
        await self._client.call(method, completion_token=self.token)


_ABANDON = {
    "orchestrator_request": methods.ABANDON_ORCHESTRATION_TASK,
    "activity_request": methods.ABANDON_ACTIVITY_TASK,
    "entity_request": methods.ABANDON_ENTITY_TASK,
}


def guid() -> str:
    return str(uuid.uuid4())


def failure(error_type: str = "ValueError", message: str = "no", **fields: Any) -> Any:
    return messages.TaskFailureDetails(error_type=error_type, error_message=message, **fields)


def child(id: int, name: str = "child", **fields: Any) -> Any:
    action = messages.CreateSubOrchestrationAction(name=name, **fields)
    return messages.OrchestratorAction(id=id, create_sub_orchestration=action)


def send(id: int, to: str, name: str = "go", data: str | None = None) -> Any:
    action = messages.SendEventAction(
        instance=messages.OrchestrationInstance(instance_id=to), name=name, data=data
    )
    return messages.OrchestratorAction(id=id, send_event=action)


def terminate(id: int, target: str, **fields: Any) -> Any:
    action = messages.TerminateOrchestrationAction(instance_id=target, **fields)
    return messages.OrchestratorAction(id=id, terminate_orchestration=action)


def again(id: int, input: str | None = None, **fields: Any) -> Any:
    """Continue as new."""
    completion = messages.CompleteOrchestrationAction(
        orchestration_status=messages.OrchestrationStatus.CONTINUED_AS_NEW, result=input, **fields
    )
    return messages.OrchestratorAction(id=id, complete_orchestration=completion)


def call(
    id: int, entity: str, operation: str = "add", *, by: Work, request_id: str | None = None
) -> Any:
    """Call an entity; `by` is the turn that does it."""
    event = messages.EntityOperationCalledEvent(
        request_id=request_id or guid(),
        operation=operation,
        target_instance_id=entity,
        parent_instance_id=by.instance,
        parent_execution_id=by.request.execution_id,
    )
    return _to_entity(id, entity_operation_called=event)


def signal(id: int, entity: str, operation: str = "add", **fields: Any) -> Any:
    event = messages.EntityOperationSignaledEvent(
        request_id=guid(), operation=operation, target_instance_id=entity, **fields
    )
    return _to_entity(id, entity_operation_signaled=event)


def lock(id: int, section: str, *entities: str, by: Work) -> Any:
    """Ask for a critical section, from the first entity on."""
    event = messages.EntityLockRequestedEvent(
        critical_section_id=section,
        lock_set=list(entities),
        position=0,
        parent_instance_id=by.instance,
    )
    return _to_entity(id, entity_lock_requested=event)


def unlock(id: int, section: str, entity: str, *, by: Work) -> Any:
    event = messages.EntityUnlockSentEvent(
        critical_section_id=section, parent_instance_id=by.instance, target_instance_id=entity
    )
    return _to_entity(id, entity_unlock_sent=event)


def _to_entity(id: int, **message: Any) -> Any:
    action = messages.SendEntityMessageAction(**message)
    return messages.OrchestratorAction(id=id, send_entity_message=action)


def rewritten(turn: Work) -> Any:
    """What a worker answers to a rewind: the history without what failed."""
    past = copy.deepcopy(turn.request.past_events)
    failed = {each.task_failed.task_scheduled_id for each in past if each.task_failed}
    for event in past:
        if event.execution_started:
            event.execution_started.orchestration_instance.execution_id = uuid.uuid4().hex
    kept = [
        event
        for event in past
        if not event.task_failed
        and not event.sub_orchestration_instance_failed
        and not event.execution_completed
        and not (event.task_scheduled and event.event_id in failed)
    ]
    action = messages.RewindOrchestrationAction(new_history=kept + turn.request.new_events)
    return messages.OrchestratorAction(id=-1, rewind_orchestration=action)


def operation_of(event: Any) -> Any:
    """What a history event asks an entity to do."""
    return event.entity_operation_called or event.entity_operation_signaled


def succeeded(result: str | None = None) -> Any:
    success = messages.OperationResultSuccess(result=result)
    return messages.OperationResult(success=success)


def raised(details: Any) -> Any:
    """The outcome of an operation that failed."""
    return messages.OperationResult(
        failure=messages.OperationResultFailure(failure_details=details)
    )
