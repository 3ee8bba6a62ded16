"""Shutting down: work in progress is completed or handed out again, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import methods, oneofs
from tests.builders.command import address_in, running
from tests.builders.sidecar import PATIENCE, Peer, complete, connected, schedule, serving

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator
    from pathlib import Path

SIGNALS = [signal.SIGTERM, signal.SIGINT]
# Longer than any test may take.
FOR_EVER = 3600.0
NOT_SERVING = b"\x08\x02"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


def watch_health(peer: Peer) -> Any:
    call: Any = peer.channel.unary_stream("/grpc.health.v1.Health/Watch")
    return call(b"", timeout=PATIENCE)


async def drains(watching: Any) -> None:
    """Wait until the health check says NOT_SERVING."""
    while await watching.read() != NOT_SERVING:
        pass


@asynccontextmanager
async def draining(peer: Peer, patience: float = FOR_EVER) -> AsyncIterator[asyncio.Task[None]]:
    """Drain the sidecar in a task of its own, which has begun when the block is entered."""
    watching = watch_health(peer)
    await watching.read()
    drain = asyncio.create_task(peer.server.drain(patience))
    await drains(watching)
    try:
        yield drain
    finally:
        drain.cancel()


async def test_an_idle_sidecar_is_drained_at_once() -> None:
    async with serving() as peer:
        items = peer.work()
        await items.opened()

        await asyncio.wait_for(peer.server.drain(FOR_EVER), PATIENCE)


async def test_draining_waits_for_leased_work() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start()
        turn = await items.next()

        async with draining(peer) as drain:
            assert not drain.done()
            await peer.decide(turn, complete(1, '"done"'))
            await asyncio.wait_for(drain, PATIENCE)

        assert (await peer.state()).output == '"done"'


async def test_draining_ends_when_the_time_is_over() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start()
        await items.next()

        await asyncio.wait_for(peer.server.drain(0), PATIENCE)


async def test_draining_does_not_wait_for_a_disconnected_worker() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start()
        await items.next()

        async with draining(peer) as drain:
            items.cancel()
            await asyncio.wait_for(drain, PATIENCE)


async def test_while_it_drains_no_work_is_handed_out_but_clients_are_served() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start()
        turn = await items.next()

        async with draining(peer) as drain:
            assert await peer.start(instance_id="late") == "late"
            newcomer = peer.work()
            assert await newcomer.status() is grpc.StatusCode.UNAVAILABLE
            await peer.decide(turn, schedule(1))
            await asyncio.wait_for(drain, PATIENCE)

        await peer.server.stop()
        assert await items.next() is None
        assert await items.status() is grpc.StatusCode.OK


async def test_what_became_ready_meanwhile_is_handed_out_by_the_next_sidecar(file: Path) -> None:
    async with serving(file) as peer:
        items = peer.work()
        await peer.start()
        turn = await items.next()
        async with draining(peer) as drain:
            await peer.decide(turn, schedule(1, "greet"))
            await asyncio.wait_for(drain, PATIENCE)

    async with serving(file) as peer:
        item = await peer.work().next()

    assert item.activity_request.name == "greet"


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, PATIENCE)


@pytest.mark.parametrize("signum", SIGNALS)
async def test_a_signal_lets_workers_complete_what_they_have(
    file: Path, signum: signal.Signals
) -> None:
    arguments = ("--port", "0", "--db", str(file), "--drain-seconds", str(FOR_EVER))
    with running(*arguments) as (process, line):
        async with connected(address_in(line)) as peer:
            items, watching = peer.work(), watch_health(peer)
            await peer.start()
            await peer.decide(await items.next(), schedule(1))
            activity = await items.next()

            process.send_signal(signum)
            await drains(watching)
            await peer.finish(activity, '"done"')

            assert await items.next() is None
            assert await items.status() is grpc.StatusCode.OK
        assert await ended(process) == 0

    async with serving(file) as peer:
        turn = await peer.work().next()
        news = [oneofs.which(each) for each in turn.orchestrator_request.new_events]
        assert "task_completed" in news


@pytest.mark.parametrize("signum", SIGNALS)
async def test_work_that_was_not_completed_in_time_is_handed_out_again_at_once(
    file: Path, signum: signal.Signals
) -> None:
    arguments = ("--port", "0", "--db", str(file), "--drain-seconds", "0")
    with running(*arguments) as (process, line):
        async with connected(address_in(line)) as peer:
            items = peer.work()
            await peer.start()
            await peer.decide(await items.next(), schedule(1, "greet"))
            await items.next()

            process.send_signal(signum)

            assert await items.next() is None
            assert await items.status() is grpc.StatusCode.OK
        assert await ended(process) == 0

    async with serving(file) as peer:
        again = await peer.work().next()
        assert again.activity_request.name == "greet"


@pytest.mark.parametrize("second", SIGNALS)
async def test_a_second_signal_ends_it_at_once_and_loses_nothing(
    file: Path, second: signal.Signals
) -> None:
    arguments = ("--port", "0", "--db", str(file), "--drain-seconds", str(FOR_EVER))
    with running(*arguments) as (process, line):
        async with connected(address_in(line)) as peer:
            items, watching = peer.work(), watch_health(peer)
            await peer.start()
            await items.next()
            process.send_signal(signal.SIGTERM)
            await drains(watching)

            process.send_signal(second)

            _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
            assert (process.returncode, errors) == (-second, "")

    async with serving(file) as peer:
        again = await peer.work().next()
        assert again.orchestrator_request.instance_id == "a"
        await peer.decide(again, complete(1))
        assert (await peer.completed()) is not None


async def test_a_wait_of_a_client_is_answered_when_work_completes_meanwhile() -> None:
    from durabletask.protocol import messages

    with running("--port", "0", "--drain-seconds", str(FOR_EVER)) as (process, line):
        async with connected(address_in(line)) as peer:
            items, watching = peer.work(), watch_health(peer)
            await peer.start()
            turn = await items.next()
            waiting = await peer.begin(
                methods.WAIT_FOR_INSTANCE_COMPLETION, messages.GetInstanceRequest(instance_id="a")
            )

            process.terminate()
            await drains(watching)
            await peer.decide(turn, complete(1))

            assert (await waiting).exists
        assert await ended(process) == 0
