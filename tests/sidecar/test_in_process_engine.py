"""The engine as callers of its own process see it: threads, cancellations, limits and its end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, in_process, messages, methods
from durabletask.sidecar import Limits, Security, Server, Sidecar
from durabletask.sidecar.host import Host
from durabletask.sidecar.in_process import Engine
from durabletask.sidecar.network.grpc_server import GrpcServer
from durabletask.sidecar.service.call_runner import STOPPING
from tests.builders.flushes import HeldStore, on_thread
from tests.builders.security import BILLING, ORDERS, TOKENS, bearer, replace
from tests.builders.sidecar import failed, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from durabletask.protocol.in_process import Failure, InProcessEngine

PATIENCE = 20


class Asked:
    """One call and its answer."""

    def __init__(self, engine: InProcessEngine, method: Any, request: Any, metadata: Any = ()):
        self._answers: SimpleQueue[tuple[Any, Failure | None]] = SimpleQueue()
        self.cancel = engine.call(
            method, request, metadata, lambda *answer: self._answers.put(answer)
        )

    def response(self) -> Any:
        response, failure = self._answers.get(timeout=PATIENCE)
        assert failure is None
        return response

    def failure(self) -> Failure:
        _, failure = self._answers.get(timeout=PATIENCE)
        assert failure is not None
        return failure


class Stream:
    """A stream of work items, and what came of it."""

    def __init__(self, engine: InProcessEngine, metadata: Any = ()):
        self.batches: SimpleQueue[Sequence[bytes]] = SimpleQueue()
        self._ends: SimpleQueue[Failure | None] = SimpleQueue()
        request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=9)
        self.cancel = engine.stream(
            methods.GET_WORK_ITEMS, request, metadata, self.batches.put, self._ends.put
        )
        if not metadata:
            assert self.next() == ()

    def next(self) -> Sequence[bytes]:
        return self.batches.get(timeout=PATIENCE)

    def items(self) -> list[Any]:
        return [codec.decode(messages.WorkItem, raw) for raw in self.next()]

    def end(self) -> Failure | None:
        return self._ends.get(timeout=PATIENCE)


def start(instance_id: str = "a", **fields: Any) -> Any:
    return messages.CreateInstanceRequest(name="order", instance_id=instance_id, **fields)


def instance(instance_id: str = "a") -> Any:
    return messages.GetInstanceRequest(instance_id=instance_id, get_inputs_and_outputs=True)


def found(address: str) -> InProcessEngine:
    engine = in_process.find(address)
    assert engine is not None
    return engine


@asynccontextmanager
async def own_loop(**options: Any) -> AsyncIterator[InProcessEngine]:
    """A sidecar on the loop of the test."""
    server = Server(port=None, **options)
    await server.start()
    try:
        yield found(server.address)
    finally:
        await server.stop()


def test_work_items_come_in_batches() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        stream = Stream(engine)
        started = [Asked(engine, methods.START_INSTANCE, start(id)) for id in "abc"]

        for each in started:
            each.response()
        items: list[Any] = []
        while len(items) < 3:
            items += stream.items()

        assert {item.orchestrator_request.instance_id for item in items} == set("abc")
        stream.cancel()


def test_a_stream_that_is_cancelled_gives_its_work_to_another() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        first = Stream(engine)
        Asked(engine, methods.START_INSTANCE, start()).response()
        [item] = first.items()

        first.cancel()
        second = Stream(engine)

        [again] = second.items()
        assert again.orchestrator_request.instance_id == item.orchestrator_request.instance_id
        second.cancel()


def test_the_end_of_the_sidecar_ends_streams_well_and_fails_waits() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        stream = Stream(engine)
        Asked(engine, methods.START_INSTANCE, start()).response()
        waiting = Asked(engine, methods.WAIT_FOR_INSTANCE_COMPLETION, instance())
        # Calls are taken in their order, so the wait has begun by then.
        Asked(engine, methods.HELLO, messages.Empty()).response()

    assert stream.end() is None
    assert waiting.failure().status == "UNAVAILABLE"


def test_every_call_after_the_end_fails_at_once() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)

    assert Asked(engine, methods.RAISE_EVENT, messages.RaiseEventRequest()).failure() == STOPPING
    ended: list[Any] = []
    engine.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest(), (), print, ended.append)
    assert ended == [STOPPING]


def test_calls_under_way_are_answered_when_the_event_loop_dies() -> None:
    engines: SimpleQueue[InProcessEngine] = SimpleQueue()
    dying = threading.Event()

    async def serve() -> None:
        server = Server(port=None)
        await server.start()
        engines.put(found(server.address))
        await asyncio.to_thread(dying.wait)
        # Returns, so that its loop ends, and never stops the server.

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    engine = engines.get(timeout=PATIENCE)
    Asked(engine, methods.START_INSTANCE, start()).response()
    waiting = Asked(engine, methods.WAIT_FOR_INSTANCE_COMPLETION, instance())
    Asked(engine, methods.HELLO, messages.Empty()).response()

    dying.set()
    thread.join()

    assert waiting.failure().status == "UNAVAILABLE"
    assert Asked(engine, methods.HELLO, messages.Empty()).failure().status == "UNAVAILABLE"


def test_a_cancelled_call_is_not_begun() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        busy, go_on = threading.Event(), threading.Event()

        def keep_busy(*_: object) -> None:
            busy.set()
            go_on.wait(PATIENCE)

        engine.call(methods.HELLO, messages.Empty(), (), keep_busy)
        busy.wait(PATIENCE)

        Asked(engine, methods.START_INSTANCE, start()).cancel()
        go_on.set()

        assert not Asked(engine, methods.GET_INSTANCE, instance()).response().exists


def test_what_is_received_is_the_receivers_to_change() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        stream = Stream(engine)
        Asked(engine, methods.START_INSTANCE, start(tags={"a": "1"})).response()
        [item] = stream.items()
        details = messages.TaskFailureDetails(error_type="ValueError", error_message="no")
        response = messages.OrchestratorResponse(
            instance_id="a", completion_token=item.completion_token, actions=[failed(1, details)]
        )
        Asked(engine, methods.COMPLETE_ORCHESTRATOR_TASK, response).response()
        state = Asked(engine, methods.GET_INSTANCE, instance()).response().orchestration_state

        state.failure_details.error_message = "changed"
        state.tags.clear()

        again = Asked(engine, methods.GET_INSTANCE, instance()).response().orchestration_state
        assert (again.failure_details.error_message, again.tags) == ("no", {"a": "1"})
        stream.cancel()


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_request_beyond_the_limit_is_refused_as_over_grpc(size: int) -> None:
    request = start(input="x" * size)
    exact = len(codec.encode(request))
    limits = Limits(message_bytes=exact - 1)
    async with serving(limits=limits) as peer:
        _, over_grpc = await peer.refusal(methods.START_INSTANCE, request)
    async with own_loop(limits=limits) as engine:
        refused = Asked(engine, methods.START_INSTANCE, request).failure()
    async with own_loop(limits=Limits(message_bytes=exact)) as engine:
        accepted = Asked(engine, methods.START_INSTANCE, request)

    assert refused.status == "RESOURCE_EXHAUSTED"
    assert refused.details == f"Received message larger than max ({exact} vs. {exact - 1})"
    assert refused.details in over_grpc
    accepted.response()


@pytest.mark.parametrize(
    "request_",
    [
        start(input="\ud800"),
        start(instance_id="\udfff"),
        start(tags={"\ud800": "1"}),
        start(input=b"bytes"),
        start(version=3),
    ],
)
def test_a_request_that_has_no_encoding_is_refused(request_: Any) -> None:
    with Sidecar(port=None) as address:
        engine = found(address)

        with pytest.raises(codec.EncodeError):
            engine.call(methods.START_INSTANCE, request_, (), print)

        assert not Asked(engine, methods.GET_INSTANCE, instance()).response().exists


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ((), "UNAUTHENTICATED"),
        (bearer("unknown-0123456789abcdef", "orders"), "UNAUTHENTICATED"),
        (bearer(BILLING, "orders"), "PERMISSION_DENIED"),
    ],
)
def test_tokens_are_asked_for(tmp_path: Path, metadata: Any, status: str) -> None:
    replace(tmp_path / "tokens", TOKENS)
    with Sidecar(port=None, security=Security(token_file=tmp_path / "tokens")) as address:
        engine = found(address)

        for method, request in (
            (methods.HELLO, messages.Empty()),
            (methods.START_INSTANCE, start()),
            (methods.GET_INSTANCE, instance()),
        ):
            assert Asked(engine, method, request, tuple(metadata)).failure().status == status


def test_a_token_that_is_withdrawn_ends_waits_and_streams(tmp_path: Path) -> None:
    replace(tmp_path / "tokens", TOKENS)
    metadata = tuple(bearer(ORDERS, "orders"))
    with Sidecar(port=None, security=Security(token_file=tmp_path / "tokens")) as address:
        engine = found(address)
        stream = Stream(engine, metadata)
        assert stream.next() == ()
        Asked(engine, methods.START_INSTANCE, start(), metadata).response()
        stream.items()
        waiting = Asked(engine, methods.WAIT_FOR_INSTANCE_COMPLETION, instance(), metadata)
        Asked(engine, methods.HELLO, messages.Empty(), metadata).response()

        replace(tmp_path / "tokens", f"orders {BILLING}")
        renewed = tuple(bearer(BILLING, "orders"))
        request = messages.TerminateRequest(instance_id="a")
        Asked(engine, methods.TERMINATE_INSTANCE, request, renewed).response()
        Asked(engine, methods.START_INSTANCE, start("b"), renewed).response()

        ended = stream.end()
        assert ended is not None
        assert ended.status == "UNAUTHENTICATED"
        assert waiting.failure().status == "UNAUTHENTICATED"


async def test_on_the_sidecars_own_loop_a_call_begins_at_once() -> None:
    async with own_loop() as engine:
        answer: asyncio.Future[Any] = asyncio.Future()
        engine.call(
            methods.START_INSTANCE,
            start(),
            (),
            lambda response, failure: answer.set_result((response.instance_id, failure)),
        )

        assert await answer == ("a", None)


def test_many_calls_of_many_threads_are_all_answered() -> None:
    with Sidecar(port=None) as address:
        engine = found(address)
        asked: list[Asked] = []

        def ask(thread: int) -> None:
            for each in range(50):
                id = f"{thread}-{each}"
                asked.append(Asked(engine, methods.START_INSTANCE, start(id)))

        threads = [threading.Thread(target=partial(ask, each)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({each.response().instance_id for each in asked}) == 200


def test_the_engine_gives_the_name_that_it_gives_over_grpc() -> None:
    assert Engine.name.startswith("durabletask-sidecar/")


async def test_grpc_stops_while_calls_in_process_are_still_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what one of them needs of the grace would be granted to the other again."""
    began = asyncio.Event()
    stop = GrpcServer.stop

    async def note(self: GrpcServer, grace: float) -> None:
        began.set()
        await stop(self, grace)

    monkeypatch.setattr(GrpcServer, "stop", note)
    store = HeldStore(tmp_path / "tasks.db")
    server = Server(store=store, make_host=partial(Host, flushing=on_thread()))
    store.gate.set()
    await server.start()
    store.gate.clear()
    store.entered.clear()
    asked = Asked(found(server.address), methods.START_INSTANCE, start())
    await asyncio.to_thread(store.entered.wait)

    stopping = asyncio.create_task(server.stop(grace=PATIENCE))
    try:
        async with asyncio.timeout(PATIENCE / 2):
            await began.wait()
    finally:
        store.gate.set()
        await stopping

    assert asked.response().instance_id == "a"
