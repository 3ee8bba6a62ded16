"""Random bytes, corrupted requests and absurd answers, over every method of the protocol.

The sidecar may refuse them or do what they say. It must not crash, report a defect of its own,
keep a lease that nobody holds, or stop working afterwards.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, messages, methods, oneofs

from .raw_client import PATIENCE, RawClient, connected
from .strange_messages import StrangeMessages, encoded, spoiled
from .suites import Options, Row
from .target import SIDECAR, sidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method

    Headers = tuple[tuple[str, str], ...]

NAME = "fuzz"

_Status = grpc.StatusCode
ALLOWED = frozenset(
    {
        *(_Status.OK, _Status.INVALID_ARGUMENT, _Status.NOT_FOUND, _Status.ALREADY_EXISTS),
        *(_Status.FAILED_PRECONDITION, _Status.OUT_OF_RANGE, _Status.RESOURCE_EXHAUSTED),
        *(_Status.PERMISSION_DENIED, _Status.UNAUTHENTICATED, _Status.UNIMPLEMENTED),
    }
)
"""What a request may be answered with, however it was made."""

_HUBS = ("default", "one", "two")
_WAITS = frozenset({methods.WAIT_FOR_INSTANCE_START, methods.WAIT_FOR_INSTANCE_COMPLETION})
# Each is sent so often in one round: much more often than a second, and all mixed up.
_REPEATS = 2
_STARTS = 10
_WORKERS = 3
_MOST_ITEMS = 30
# Of the work a worker takes and never answers.
_KEPT = 0.1
# What wipes a task hub would leave the workers nothing to do if it came in every round.
_WIPES = frozenset({methods.CREATE_TASK_HUB, methods.DELETE_TASK_HUB})
_SPARED = 0.98
_ELSEWHERE = (("taskhub", "of-nobody"),)


@dataclass(slots=True)
class Findings:
    """What has been seen so far."""

    sent: Counter[str] = field(default_factory=Counter)
    """Requests, by the names of their methods."""
    answers: int = 0
    """Answers to work that was really handed out."""
    statuses: Counter[grpc.StatusCode] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Methods and statuses that must not be."""
    stuck: list[str] = field(default_factory=list)
    """Instances that no worker is given any more."""
    logged: list[str] = field(default_factory=list)
    is_alive: bool = True
    completes: bool = True

    @property
    def unreached(self) -> list[str]:
        return [method.name for method in methods.ALL if not self.sent[method.name]]


def prove(options: Options) -> Iterator[Row]:
    """For so many seconds in all."""
    end = time.monotonic() + options.fuzz_seconds
    rounds = itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())
    found = asyncio.run(fuzz(options.seed, rounds))
    sent = sum(found.sent.values())
    reached = len(methods.ALL) - len(found.unreached)
    yield Row("methods reached", f"{reached}/{len(methods.ALL)}", not found.unreached)
    yield Row(f"requests and answers sent, seed {options.seed}", str(sent), sent > 0)
    yield Row("answers to work handed out", str(found.answers), found.answers > 0)
    yield Row("calls answered as a defect of the sidecar", _told(found.wrong), not found.wrong)
    yield Row("lines in its log", _told(found.logged), not found.logged)
    yield Row("instances that no worker is given any more", _told(found.stuck), not found.stuck)
    yield Row("runs afterwards", str(found.is_alive), found.is_alive)
    yield Row("completes an orchestration afterwards", str(found.completes), found.completes)


def _told(complaints: list[str]) -> str:
    return f"{len(complaints)}: {complaints[0]}" if complaints else "0"


async def fuzz(
    seed: int,
    rounds: Iterable[int],
    program: Sequence[str] = SIDECAR,
    patience: float = PATIENCE,
) -> Findings:
    """Attack a sidecar of its own, once a round with every method."""
    found = Findings()
    with sidecar(program) as target:
        async with connected(target.address, patience) as raw_client:
            attack = _Attack(raw_client, seed, found)
            async with attack.workers():
                for _ in rounds:
                    await attack.round()
                    if not target.is_alive:
                        break
            found.is_alive = target.is_alive
            if found.is_alive:
                await _look_after(raw_client, found)
        found.logged = target.logged
    return found


async def _look_after(raw_client: RawClient, found: Findings) -> None:
    for hub in _HUBS:
        found.stuck += await raw_client.finish_everything(hub)
        completes = await raw_client.completes_an_orchestration(hub, "the-last")
        found.completes = found.completes and completes


@dataclass(frozen=True, slots=True)
class _Request:
    method: Method
    raw: bytes
    headers: Headers

    @property
    def waits(self) -> bool:
        """Whether it is for what may never be."""
        return self.method in _WAITS or self.method.response_streaming


class _Attack:
    """One attacker: what he sends next is drawn, never what came back."""

    def __init__(self, raw_client: RawClient, seed: int, found: Findings) -> None:
        self._client = raw_client
        self._seed = seed
        self._rng = random.Random(seed)
        self._found = found
        self._fed = 0

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[None]:
        """Meanwhile answer absurdly whatever there is to do."""
        # Each with a chance of its own: who is served first must not decide what is sent.
        chances = [random.Random(f"{self._seed} {number}") for number in range(_WORKERS)]
        tasks = [asyncio.create_task(self._work_on(rng)) for rng in chances]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            errors = [end for end in ends if isinstance(end, Exception)]
            if errors:
                raise errors[0]

    async def round(self) -> None:
        """Send all methods something at once, and leave the workers something to do."""
        await self._feed()
        called = [*methods.ALL * _REPEATS, *(methods.START_INSTANCE,) * _STARTS]
        self._rng.shuffle(called)
        requests = [self._draw(method) for method in called]
        waits = [asyncio.create_task(self._try(each)) for each in requests if each.waits]
        await asyncio.gather(*(self._try(each) for each in requests if not each.waits))
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _feed(self) -> None:
        """Start an orchestration and call an entity as a well-behaved client does."""
        self._fed += 1
        hub = self._rng.choice(_HUBS)
        start = messages.CreateInstanceRequest(instance_id=f"fed-{self._fed}", name="order")
        signal = messages.SignalEntityRequest(instance_id="@counter@a", name="add")
        await self._client.ask(methods.START_INSTANCE, start, hub=hub)
        await self._client.ask(methods.SIGNAL_ENTITY, signal, hub=hub)

    def _draw(self, method: Method) -> _Request:
        raw = encoded(self._rng, method.request_class(), self._rng.choice(method.dialects))
        spares = method in _WIPES and self._rng.random() < _SPARED
        return _Request(method, raw, _ELSEWHERE if spares else _headers(self._rng))

    async def _try(self, request: _Request) -> None:
        if request.method.response_streaming:
            await self._judge(request.method, self._drain(request))
        else:
            answer = self._client.send(request.method, request.raw, request.headers)
            await self._judge(request.method, answer)

    async def _drain(self, request: _Request) -> None:
        call = self._client.listen(request.method, request.raw, request.headers)
        try:
            async for _ in call:
                pass
        finally:
            call.cancel()

    async def _judge(self, method: Method, call: Coroutine[Any, Any, Any]) -> None:
        self._found.sent[method.name] += 1
        status, text = _Status.OK, ""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            status, text = error.code(), error.details() or ""
        self._found.statuses[status] += 1
        if status not in ALLOWED:
            self._found.wrong.append(f"{method.name}: {status.name} {text}")

    async def _work_on(self, rng: random.Random) -> None:
        while True:
            await self._work(rng)

    async def _work(self, rng: random.Random) -> None:
        """Take work, answer most of it absurdly, and be gone with the rest."""
        hub = (("taskhub", rng.choice(_HUBS)),)
        dialect = rng.choice((dialects.TASKHUB, dialects.TASKHUB, dialects.DAPR))
        items = self._client.listen(methods.GET_WORK_ITEMS, _asks(dialect), hub)
        try:
            for _ in range(rng.randrange(1, _MOST_ITEMS)):
                raw = await items.read()
                if raw is grpc.aio.EOF:
                    return
                item = codec.decode(messages.WorkItem, raw, dialect)
                for method, answer in _answers(rng, item, dialect):
                    await self._judge(method, self._client.send(method, answer, hub))
                    self._found.answers += 1
        finally:
            items.cancel()


def _headers(rng: random.Random) -> Headers:
    drawn = (
        ("taskhub", rng.choice((*_HUBS, "", "x" * 300, " "))),
        ("x-durabletask-max-message", rng.choice(("0", "-1", "9" * 400, "x", "100"))),
        ("x-durabletask-extended-sessions", rng.choice(("1", "2", "yes"))),
        ("x-durabletask-entity-requests", rng.choice(("v1", "v2", ""))),
    )
    return tuple(each for each in drawn if rng.random() < 0.3)


def _answers(rng: random.Random, item: Any, dialect: Dialect) -> Iterator[tuple[Method, bytes]]:
    """One that is often not even read, and one that is; now and then none at all."""
    make = _ANSWERS.get(oneofs.which(item))
    if make is None or rng.random() < _KEPT:
        return
    for may_spoil in (True, False):
        method, answer = make(item, StrangeMessages(rng), dialect)
        answer.completion_token = item.completion_token
        raw = codec.encode(answer, dialect)
        yield method, spoiled(rng, raw) if may_spoil and rng.random() < 0.5 else raw


def _asks(dialect: Dialect) -> bytes:
    # Each vendor's capability shows whose worker it is. One that does not show it is sent what
    # is stored as it is, which a client of Dapr's may be unable to read.
    kinds = messages.WorkerCapability
    is_daprs = dialect is dialects.DAPR
    request = messages.GetWorkItemsRequest(
        max_concurrent_orchestration_work_items=5,
        capabilities=[kinds.STATEFUL_HISTORY if is_daprs else kinds.SCHEDULED_TASKS],
    )
    return codec.encode(request, dialect)


def _turn(item: Any, strange: StrangeMessages, dialect: Dialect) -> tuple[Method, Any]:
    answer = strange.make(messages.OrchestratorResponse, dialect)
    answer.instance_id = item.orchestrator_request.instance_id
    # Else there would be two parts in three, and the whole too seldom.
    answer.is_partial = answer.is_partial and len(answer.actions) == 1
    return methods.COMPLETE_ORCHESTRATOR_TASK, answer


def _activity(item: Any, strange: StrangeMessages, dialect: Dialect) -> tuple[Method, Any]:
    answer = strange.make(messages.ActivityResponse, dialect)
    answer.task_id = item.activity_request.task_id
    return methods.COMPLETE_ACTIVITY_TASK, answer


def _batch(_item: Any, strange: StrangeMessages, dialect: Dialect) -> tuple[Method, Any]:
    return methods.COMPLETE_ENTITY_TASK, strange.make(messages.EntityBatchResult, dialect)


_ANSWERS: dict[str, Callable[[Any, StrangeMessages, Dialect], tuple[Method, Any]]] = {
    "orchestrator_request": _turn,
    "activity_request": _activity,
    "entity_request": _batch,
    "entity_request_v2": _batch,
}
