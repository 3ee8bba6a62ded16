"""The network and the clock: frames cut short, silence, peers that do not read, time that jumps.

The sidecar survives each: afterwards a plain client and a plain worker complete an orchestration,
and nothing of the peers that misbehaved is left.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, messages, methods, oneofs
from durabletask.protocol.methods import Method
from durabletask.sidecar import ManualClock, Sidecar
from durabletask.sidecar.clock import SystemClock
from durabletask.sidecar.server import Server

from . import http2
from .raw_client import PATIENCE, RawClient, connected
from .suites import Options, Row
from .target import SIDECAR, TargetSidecar, sidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

NAME = "network"

HUB = "default"
_CUTS = 300
_SILENT = 1000
# Seconds for the first byte of a sidecar that may be about to serve anew.
_TO_ANSWER = 5
_BIG = "x" * 1_000_000
# The sidecar, but that it asks after two seconds whether a silent peer is still there.
_IMPATIENT = (
    "-c",
    (
        "import sys; from datetime import timedelta; from durabletask.sidecar.server import Server; "
        "Server.__init__.__kwdefaults__['keepalive'] = timedelta(seconds=2); "
        "from durabletask.sidecar.__main__ import main; sys.exit(main(sys.argv[1:]))"
    ),
)


def prove(options: Options) -> Iterator[Row]:
    """Every case once."""
    for what, case in CASES.items():
        yield Row(what, asyncio.run(case(options.seed)), holds=True)


async def cut_frames(seed: int) -> str:
    """Connections that end anywhere in a call, in a lie about its length, or in nonsense."""
    rng = random.Random(seed)
    async with _attacked(SIDECAR) as (target, raw_client):
        before = target.open_files()
        for _ in range(_CUTS):
            said, resets = _cut(rng), rng.random() < 0.5
            try:
                await _say(target.address, said, resets=resets)
            except ConnectionError:
                # One before was a path that is no text.
                await _is_back(raw_client)
        await _is_back(raw_client)
        await _settled(target, raw_client, before)
    return f"{_CUTS} connections, none left open"


def _cut(rng: random.Random) -> bytes:
    kinds = (_cut_calls, _spoiled_calls, _lies)
    return rng.choice(kinds)(rng)


def _calls() -> bytes:
    """A client and a worker: a start, a wait that lasts, and a stream of work."""
    start = messages.CreateInstanceRequest(name="order", instance_id="cut")
    wait = messages.GetInstanceRequest(instance_id="cut")
    work = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=5)
    calls = (
        (methods.START_INSTANCE, start),
        (methods.WAIT_FOR_INSTANCE_COMPLETION, wait),
        (methods.GET_WORK_ITEMS, work),
    )
    return http2.hello() + b"".join(
        http2.call(method, codec.encode(request, dialects.TASKHUB), 2 * number + 1)
        for number, (method, request) in enumerate(calls)
    )


def _cut_calls(rng: random.Random) -> bytes:
    calls = _calls()
    return calls[: rng.randrange(len(calls) + 1)]


def _spoiled_calls(rng: random.Random) -> bytes:
    spoiled = bytearray(_calls())
    for _ in range(rng.randrange(1, 6)):
        spoiled[rng.randrange(len(http2.PREFACE), len(spoiled))] = rng.randrange(256)
    return bytes(spoiled)


def _lies(rng: random.Random) -> bytes:
    promised = rng.choice((2, 1000, 2**24 - 1))
    lying = rng.choice(
        (http2.lying_call(methods.GET_INSTANCE, promised), http2.lying_frame(promised))
    )
    return http2.hello() + lying


async def path_that_is_no_text(_seed: int) -> str:
    """grpcio's server ends itself of a path that is no UTF-8; another takes its place."""
    times = 5
    with sidecar() as target:
        async with connected(target.address) as raw_client:
            for number in range(times):
                path = Method("Start\udcff", "Empty", "Empty")
                reader, writer = await _dial(target.address)
                writer.write(http2.hello() + http2.call(path, b""))
                await _end(reader)
                await _hang_up(writer)
                await _is_back(raw_client)
                assert await raw_client.completes_an_orchestration(HUB, f"after-{number}")
        assert target.is_alive
    return f"{times} times, and served anew"


async def _say(address: str, told: bytes, *, resets: bool) -> None:
    """Connect, say it, and hang up: in good order, or as a process does that dies."""
    reader, writer = await _dial(address)
    writer.write(told)
    await writer.drain()
    if resets:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    else:
        # Until there is an answer, the sidecar may not have read anything.
        with suppress(ConnectionResetError, TimeoutError):
            await asyncio.wait_for(reader.read(1), _TO_ANSWER)
    await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _is_back(raw_client: RawClient) -> None:
    """Wait until the sidecar serves; it may have begun to anew."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await raw_client.ask(methods.HELLO, messages.Empty())
            except grpc.aio.AioRpcError:
                continue
            return


async def silent_connections(_seed: int) -> str:
    """A thousand that never say a word, and as many that only say hello."""
    async with _attacked(_IMPATIENT) as (target, raw_client):
        before = target.open_files()
        with _many_files():
            peers = [await _dial(target.address) for _ in range(2 * _SILENT)]
            for _, writer in peers[:_SILENT]:
                writer.write(http2.hello())
            assert await raw_client.completes_an_orchestration(HUB, "meanwhile")
            held = target.resident_mib()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(_end(reader) for reader, _ in peers))
            for _, writer in peers:
                await _hang_up(writer)
        await _settled(target, raw_client, before)
    return f"{2 * _SILENT} sent away, {held:.0f} MiB held"


async def _end(reader: asyncio.StreamReader) -> None:
    """Wait until the sidecar hangs up."""
    try:
        while await reader.read(4096):
            pass
    except ConnectionResetError:
        return


@contextmanager
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def peer_that_stops_reading(_seed: int) -> str:
    """Its link is alive, and it takes nothing off it: what it was to do goes to others."""
    clock = ManualClock()
    async with _embedded(clock=clock) as raw_client:
        for number in range(50):
            start = messages.CreateInstanceRequest(
                instance_id=str(number), name="order", input=_BIG
            )
            await raw_client.ask(methods.START_INSTANCE, start)
        async with connected(raw_client.address) as deaf:
            request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=100)
            items = deaf.listen(methods.GET_WORK_ITEMS, codec.encode(request, dialects.TASKHUB))
            await items.read()
            other = raw_client.listen(
                methods.GET_WORK_ITEMS, codec.encode(request, dialects.TASKHUB)
            )
            offered = asyncio.create_task(_turn(other))
            async with asyncio.timeout(PATIENCE):
                # It counts as deaf once its buffers are full, and not before.
                while not offered.done():
                    clock.advance(timedelta(seconds=25))
                    await raw_client.ask(methods.HELLO, messages.Empty())
            other.cancel()
            stuck = await raw_client.finish_everything(HUB)
            assert not stuck, stuck
            items.cancel()
    return "its work was done by others"


async def half_open_stream(_seed: int) -> str:
    """The peer is gone, and nothing says so."""
    async with _embedded(keepalive=timedelta(seconds=2)) as raw_client:
        relay = _Relay(raw_client.address)
        await relay.start()
        async with connected(relay.address) as doomed:
            request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=100)
            items = doomed.listen(methods.GET_WORK_ITEMS, codec.encode(request, dialects.TASKHUB))
            start = messages.CreateInstanceRequest(instance_id="a", name="order")
            await raw_client.ask(methods.START_INSTANCE, start)
            await items.read()
            relay.is_silent = True
            stuck = await raw_client.finish_everything(HUB)
            assert not stuck, stuck
        await relay.close()
    return "its work was done by others"


class _Relay:
    """Stands between a sidecar and a peer, and drops everything once it is silent."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.is_silent = False
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            await _hang_up(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await _dial(self._target)
        self._writers += (writer, back)
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.append(asyncio.create_task(self._pass_on(source, sink)))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.is_silent:
                sink.write(data)


class _Wall:
    """The machine's clock, which somebody sets."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def set(self, when: datetime) -> None:
        self._ahead = when - datetime.now(UTC)


async def jumping_clock(seed: int) -> str:
    """Set forward and back again and again: each timer fires once, and histories only go on."""
    rng = random.Random(seed)
    wall = _Wall()
    clock = SystemClock(wall.now, longest_nap=timedelta(milliseconds=20))
    jumps = [timedelta(hours=rng.choice((-30, -2, 1, 3, 50))) for _ in range(20)]
    async with _embedded(clock=clock) as raw_client:
        await raw_client.ask(
            methods.START_INSTANCE, messages.CreateInstanceRequest(instance_id="a", name="order")
        )
        request = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=100)
        items = raw_client.listen(methods.GET_WORK_ITEMS, codec.encode(request, dialects.TASKHUB))
        fired: list[int] = []
        for number, jump in enumerate(jumps):
            turn = await _turn(items)
            fired += [each.timer_fired.timer_id for each in turn.new_events if each.timer_fired]
            told = [*turn.past_events, *turn.new_events]
            times = [each.timestamp for each in told if each.orchestrator_started]
            assert times == sorted(set(times)), times
            wait = timedelta(milliseconds=rng.choice((0, 30)))
            action = _timer(number, turn.new_events[0].timestamp + max(jump, wait))
            await _decide(raw_client, turn, action)
            wall.set(clock.now() + jump)
        end = messages.CompleteOrchestrationAction()
        last = await _turn(items)
        fired += [each.timer_fired.timer_id for each in last.new_events if each.timer_fired]
        await _decide(
            raw_client, last, messages.OrchestratorAction(id=99, complete_orchestration=end)
        )
        items.cancel()
        assert fired == list(range(len(jumps))), fired
        assert await raw_client.completes_an_orchestration(HUB, "afterwards")
    return f"{len(jumps)} jumps, {len(fired)} timers fired once"


async def _turn(items: Any) -> Any:
    while True:
        raw = await asyncio.wait_for(items.read(), PATIENCE)
        item = codec.decode(messages.WorkItem, raw, dialects.TASKHUB)
        if oneofs.which(item) == "orchestrator_request":
            return _Turn(item)


class _Turn:
    def __init__(self, item: Any) -> None:
        self.token = item.completion_token
        self.instance_id = item.orchestrator_request.instance_id
        self.past_events = item.orchestrator_request.past_events
        self.new_events = item.orchestrator_request.new_events


def _timer(number: int, fire_at: datetime) -> Any:
    timer = messages.CreateTimerAction(fire_at=fire_at)
    return messages.OrchestratorAction(id=number, create_timer=timer)


async def _decide(raw_client: RawClient, turn: _Turn, action: Any) -> None:
    answer = messages.OrchestratorResponse(
        instance_id=turn.instance_id, completion_token=turn.token, actions=[action]
    )
    await raw_client.ask(methods.COMPLETE_ORCHESTRATOR_TASK, answer)


@asynccontextmanager
async def _attacked(program: tuple[str, ...]) -> AsyncIterator[tuple[TargetSidecar, RawClient]]:
    """A sidecar in its process; in the end it must be of use, and have nothing to complain of."""
    with sidecar(program) as target:
        async with connected(target.address) as raw_client:
            await raw_client.ask(methods.HELLO, messages.Empty())
            yield target, raw_client
            stuck = await raw_client.finish_everything(HUB)
            assert not stuck, stuck
            assert await raw_client.completes_an_orchestration(HUB, "afterwards")
        assert target.is_alive
        # gRPC complains of headers that it cannot read, and of paths that it ends of.
        complaints = [line for line in target.logged if " durabletask.sidecar: " in line]
        defects = [line for line in complaints if "restarting it" not in line]
        assert not defects, defects


@asynccontextmanager
async def _embedded(**options: Any) -> AsyncIterator[RawClient]:
    """A sidecar in this process; in the end it must be of use, and have no task too many."""
    embedded = Sidecar.of(lambda: Server(**options))
    address = await asyncio.to_thread(embedded.start)
    try:
        async with connected(address) as raw_client:
            assert await raw_client.completes_an_orchestration(HUB, "first")
            before = await asyncio.to_thread(embedded.run, _tasks())
            yield raw_client
            assert await raw_client.completes_an_orchestration(HUB, "last")
            async with asyncio.timeout(PATIENCE):
                while await asyncio.to_thread(embedded.run, _tasks()) > before:
                    await raw_client.ask(methods.HELLO, messages.Empty())
    finally:
        await asyncio.to_thread(embedded.close)


async def _tasks() -> int:
    return len(asyncio.all_tasks())


async def _settled(target: TargetSidecar, raw_client: RawClient, files: int) -> None:
    """Wait until the sidecar has no more files open than that."""
    async with asyncio.timeout(PATIENCE):
        while target.open_files() > files:
            await raw_client.ask(methods.HELLO, messages.Empty())


async def _dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


CASES: dict[str, Callable[[int], Coroutine[Any, Any, str]]] = {
    "frames cut in the middle": cut_frames,
    "paths that are no text": path_that_is_no_text,
    "connections that say nothing": silent_connections,
    "a peer that stops reading": peer_that_stops_reading,
    "a half-open stream": half_open_stream,
    "a clock that jumps both ways": jumping_clock,
}
