"""A scripted sidecar, a clock that tests control, and work items."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import queue
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask.core.settings import Settings
from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.protocol import codec, dialects, events, messages, methods, wire, work_items
from durabletask.transport.engine_detection import Engine
from durabletask.transport.errors import Refusal, SidecarError
from durabletask.worker import ConcurrencyOptions
from durabletask.worker._options import WorkerConfig
from durabletask.worker._work_items import ConnectedEngine, WorkItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.registry import Registry

START = datetime(2026, 1, 1, tzinfo=UTC)
OURS = Engine(dialects.TASKHUB, "a scripted engine", is_ours=True)
DAPRS = Engine(dialects.DAPR, "an engine of Dapr's dialect")


def connected_engine(engine: Engine = OURS, settings: Settings | None = None) -> ConnectedEngine:
    """That engine, seen by a worker of these settings."""
    return ConnectedEngine.of(engine, settings or Settings())


def work_item_from(raw: bytes, engine: Engine = OURS) -> WorkItem:
    """Those bytes as they come from the stream of that engine."""
    return WorkItem(raw, work_items.peek(raw, engine.dialect), connected_engine(engine))


class ManualLoopClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, ManualLoopTimer]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> ManualLoopTimer:
        timer = ManualLoopTimer(callback)
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer

    @property
    def waits(self) -> list[float]:
        """How long from now each timer that still counts will take."""
        return sorted(at - self._now for at, _, timer in self._timers if timer.callback)

    async def advance(self, seconds: float) -> None:
        """Let the time pass, and let those run who waited for it."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            timer.fire()
            await settle()
        self._now = end
        await settle()


class ManualLoopTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def fire(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


async def settle() -> None:
    """Let everything run that needs nothing but the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


class ScriptedStream:
    """A stream of work items that a test fills and ends."""

    def __init__(self, request: Any, metadata: Any) -> None:
        self.request = request
        self.metadata = metadata
        self.is_closed = False
        self._script: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def send(self, raw: bytes) -> None:
        self._script.put_nowait(raw)

    def fail(self, error: Exception) -> None:
        self._script.put_nowait(error)

    def end(self) -> None:
        self._script.put_nowait(StopAsyncIteration())

    def __aiter__(self) -> ScriptedStream:
        return self

    async def __anext__(self) -> bytes:
        said = await self._script.get()
        if isinstance(said, Exception):
            raise said
        return said

    async def aclose(self) -> None:
        self.is_closed = True


class ScriptedSidecar:
    """An `AsyncTransport`: refuses what it is told to, answers the rest, remembers all."""

    address = "the scripted sidecar"

    def __init__(self, engine: Engine = OURS) -> None:
        self.engine = engine
        self.responses: dict[str, Any] = {}
        self.calls: list[tuple[str, Any]] = []
        self.streams: list[ScriptedStream] = []
        self.times_closed = 0
        self._refusals: dict[str, deque[Exception]] = defaultdict(deque)
        self._news = asyncio.Event()

    def refuse(self, method: methods.Method, *errors: Exception) -> None:
        """Answer the next calls of the method with these errors."""
        self._refusals[method.name].extend(errors)

    async def unary(
        self,
        method: methods.Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the seam has it
        metadata: Any = (),
    ) -> Any:
        self.calls.append((method.name, request))
        self._news.set()
        await asyncio.sleep(0)
        if self._refusals[method.name]:
            raise self._refusals[method.name].popleft()
        return self.responses.get(method.name) or method.response_class()()

    async def identify_engine(self, *, timeout: float | None = None) -> Engine:  # noqa: ASYNC109 - the seam's
        return self.engine

    def stream(
        self,
        method: methods.Method,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = (),
    ) -> ScriptedStream:
        self.streams.append(ScriptedStream(request, metadata))
        self._news.set()
        return self.streams[-1]

    async def close(self) -> None:
        self.times_closed += 1

    def requests(self, method: methods.Method) -> list[Any]:
        return [request for name, request in self.calls if name == method.name]

    async def received(self, method: methods.Method, count: int = 1) -> list[Any]:
        """Wait until the method was called so often; the requests so far."""
        await self._until(lambda: len(self.requests(method)) >= count)
        return self.requests(method)

    async def opened(self, count: int = 1) -> ScriptedStream:
        """Wait until so many streams were opened; the last one."""
        await self._until(lambda: len(self.streams) >= count)
        return self.streams[count - 1]

    async def _until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self._news.clear()
            await self._news.wait()


class ScriptedSidecars:
    """The scripted sidecars that a worker connected to, one for each time it did."""

    def __init__(self, *work: bytes) -> None:
        self.answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.made: list[ScriptedSidecar] = []
        self._work = work

    def __call__(self) -> ScriptedSidecar:
        sidecar = AnsweringSidecar(self.answers, self._work)
        self.made.append(sidecar)
        return sidecar

    def answer(self) -> Any:
        """Wait, in a thread, for what the worker says next."""
        name, request = self.answers.get(timeout=20)
        assert name != "Hello"
        return request


class AnsweringSidecar(ScriptedSidecar):
    def __init__(
        self, answers: queue.SimpleQueue[tuple[str, Any]], work: tuple[bytes, ...]
    ) -> None:
        super().__init__()
        self._answers = answers
        self._work = work

    async def unary(self, method: methods.Method, request: Any, **told: Any) -> Any:
        response = await super().unary(method, request, **told)
        if method is not methods.HELLO:
            self._answers.put((method.name, request))
        return response

    def stream(self, method: methods.Method, request: Any, **told: Any) -> ScriptedStream:
        stream = super().stream(method, request, **told)
        for raw in self._work:
            stream.send(raw)
        return stream


def refusal(
    status: str, details: str = "", *, kind: type[SidecarError] = SidecarError
) -> Exception:
    """An error as a transport raises it."""
    told = Refusal(address="a scripted sidecar", method="AnyMethod", status=status, details=details)
    return kind(f"{status}: {details}", told)


def activity_item(
    name: str, input: str | None = None, *, instance: str = "one", token: str = "t", task: int = 1
) -> bytes:
    request = messages.ActivityRequest(
        name=name,
        input=input,
        task_id=task,
        orchestration_instance=messages.OrchestrationInstance(instance_id=instance),
    )
    return codec.encode(messages.WorkItem(activity_request=request, completion_token=token))


def orchestrator_item(
    new: list[messages.HistoryEvent],
    *,
    past: list[messages.HistoryEvent] | None = None,
    instance: str = "one",
    execution: str | None = "first",
    left_out: int | None = None,
    token: str = "t",
) -> bytes:
    """A turn; with so many past events left out, if that is told."""
    properties = {"IsExtendedSession": "true", "IncludeState": "false"}
    request = messages.OrchestratorRequest(
        instance_id=instance,
        execution_id=execution,
        past_events=past or [],
        new_events=new,
        properties={} if left_out is None else properties | {"HistoryLength": str(left_out)},
    )
    return codec.encode(messages.WorkItem(orchestrator_request=request, completion_token=token))


def entity_item(
    *operations: tuple[str, str],
    id: str = "@counter@one",
    state: str | None = None,
    token: str = "t",
) -> bytes:
    """A batch in the older form: names of operations with their inputs."""
    request = messages.EntityBatchRequest(
        instance_id=id,
        entity_state=state,
        operations=[
            messages.OperationRequest(operation=name, request_id=str(number), input=input)
            for number, (name, input) in enumerate(operations)
        ],
    )
    return codec.encode(messages.WorkItem(entity_request=request, completion_token=token))


def entity_item_v2(
    *requests: messages.HistoryEvent, id: str = "@counter@one", token: str = "t"
) -> bytes:
    """A batch in the newer form."""
    request = messages.EntityRequest(instance_id=id, operation_requests=list(requests))
    return codec.encode(messages.WorkItem(entity_request_v2=request, completion_token=token))


def unreadable_entity_item(token: str = "t") -> bytes:
    """A batch whose outline can be read, but not its only operation."""
    cut_off = b"\x0a"
    outline = codec.encode(messages.WorkItem(completion_token=token))
    return outline + wire.length_delimited(3, wire.length_delimited(3, cut_off))


def unreadable_orchestrator_item(token: str = "t") -> bytes:
    """A turn whose outline can be read, but not its only event."""
    cut_off = b"\x0a"
    outline = codec.encode(messages.WorkItem(completion_token=token))
    return outline + wire.length_delimited(1, wire.length_delimited(4, cut_off))


def unreadable_activity_item(token: str = "t") -> bytes:
    """An activity whose outline can be read, but not its input."""
    cut_off = b"\x0a"
    outline = codec.encode(messages.WorkItem(completion_token=token))
    return outline + wire.length_delimited(2, wire.length_delimited(3, cut_off))


def health_ping() -> bytes:
    return codec.encode(messages.WorkItem(health_ping=messages.HealthPing()))


class OneInstanceEngine:
    """An engine for one instance of nothing but activities: what a worker can rely on."""

    def __init__(
        self, orchestrator: str, *, instance: str = "one", version: str | None = None
    ) -> None:
        self.instance = instance
        self.past: list[messages.HistoryEvent] = []
        self.result: str | None = None
        self.failure: messages.TaskFailureDetails | None = None
        self._turns = 0
        self._inbox = [
            events.execution_started(
                orchestrator,
                instance_id=instance,
                execution_id="first",
                version=version,
                at=_at(0),
            )
        ]

    def work_item(self, *, with_past: bool = True) -> bytes:
        """The next turn; offered again, it is another batch, as after a lost lease."""
        self._turns += 1
        self._new = [events.orchestrator_started(_at(self._turns)), *self._inbox]
        return self.last_work_item(with_past=with_past)

    def last_work_item(self, *, with_past: bool = True) -> bytes:
        """The turn that was offered last."""
        return orchestrator_item(
            self._new,
            past=self.past if with_past else [],
            instance=self.instance,
            left_out=None if with_past else len(self.past),
            token=str(self._turns),
        )

    def commit(self, response: messages.OrchestratorResponse) -> None:
        """Record the turn; each activity it asked for returns its own number at once."""
        self.past += self._new
        self._inbox = []
        for action in response.actions:
            if (task := action.schedule_task) is not None:
                self.past.append(events.task_scheduled(action.id, task.name, at=_at(self._turns)))
                self._inbox.append(
                    events.task_completed(action.id, str(action.id), at=_at(self._turns))
                )
            elif (end := action.complete_orchestration) is not None:
                self.result, self.failure = end.result, end.failure_details

    @property
    def has_ended(self) -> bool:
        return self.result is not None or self.failure is not None


def _at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def worker_config(
    registry: Registry, sidecar: ScriptedSidecar, clock: ManualLoopClock, **overrides: Any
) -> WorkerConfig:
    """What a worker would pass to its host, with these overrides."""
    settings: dict[str, Any] = {
        "address": sidecar.address,
        "connect": lambda: sidecar,
        "metadata": lambda: (("key", "value"),),
        "registry": registry,
        "settings": Settings(),
        "versioning": None,
        "filters": None,
        "capabilities": (),
        "concurrency": ConcurrencyOptions(),
        "resilience": GrpcWorkerResiliencyOptions(),
        "max_cached_orchestrations": 100,
        "on_activity_started": lambda _request: None,
        "on_activity_completed": lambda _request: None,
        "log": logging.getLogger("test"),
        "clock": clock,
        "now": lambda: START,
        "draw": lambda: 0.5,
    }
    return WorkerConfig(**settings | overrides)
