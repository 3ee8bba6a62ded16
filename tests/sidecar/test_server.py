"""Starting a server, stopping it, and starting it again."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar import ManualClock, Server, StoreError
from tests.builders.sidecar import complete, connected, proxied, schedule, serving

if TYPE_CHECKING:
    from pathlib import Path


async def test_stopping_ends_streams_cleanly_and_answers_waiting_calls_with_unavailable() -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()
        await items.next()
        waiting = await peer.begin(
            methods.WAIT_FOR_INSTANCE_COMPLETION, messages.GetInstanceRequest(instance_id="a")
        )

        await peer.server.stop()

        assert await items.next() is None
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await waiting
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stopped_server_may_be_stopped_again() -> None:
    async with serving() as peer:
        await peer.server.stop()
        await peer.server.stop()


async def test_everything_in_a_file_is_there_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        await peer.start("order", "a", input='"in"')
        items = peer.work()
        await peer.decide(await items.next(), schedule(1, "greet"))

    async with serving(tmp_path / "tasks.db") as peer:
        items = peer.work()
        activity = await items.next()
        await peer.finish(activity, '"hi"')
        await peer.decide(await items.next(), complete(2, '"done"'))

        assert activity.activity_request.name == "greet"
        assert (await peer.completed()).output == '"done"'


async def test_a_result_finds_its_activity_after_a_restart(tmp_path: Path) -> None:
    """A worker that finished while the sidecar was stopped must not repeat the work."""
    async with serving(tmp_path / "tasks.db") as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), schedule(1))
        activity = await items.next()

    async with serving(tmp_path / "tasks.db") as peer:
        await peer.finish(activity, '"early bird"')

        turn = await peer.work().next()
        assert turn.orchestrator_request.new_events[-1].task_completed.result == '"early bird"'


async def test_the_answer_to_a_turn_does_not_outlive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        await peer.start()
        stale = await peer.work().next()

    async with serving(tmp_path / "tasks.db") as peer:
        await peer.decide(stale, complete(1, '"stale"'))
        await peer.decide(await peer.work().next(), complete(1, '"new"'))

        assert (await peer.completed()).output == '"new"'


async def test_a_port_in_use_is_refused_and_leaves_the_file_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Server(tmp_path / "tasks.db", port=port).start()

    assert not (tmp_path / "tasks.db").exists()


class BrokenClock(ManualClock):
    def now(self) -> NoReturn:
        raise RuntimeError("out of order")


async def test_a_server_that_cannot_start_frees_its_port_and_its_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

    with pytest.raises(RuntimeError, match="out of order"):
        await Server(tmp_path / "tasks.db", port=port, clock=BrokenClock()).start()

    async with serving(tmp_path / "tasks.db", port=port) as peer:
        assert await peer.start() == "a"


@pytest.mark.parametrize(
    "at",
    [{"host": "nosuch.invalid"}, {"host": "x" * 64 + ".invalid"}, {"port": 65536}, {"port": -1}],
)
async def test_an_address_that_cannot_be_listened_on_is_one_clear_error(
    at: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="cannot listen on"):
        await Server(**at).start()

    # gRPC would write a message of its own to standard error.
    assert capfd.readouterr().err == ""


async def test_work_of_a_worker_whose_connection_fell_silent_goes_to_another() -> None:
    async with serving(keepalive=timedelta(seconds=2)) as peer, proxied(peer) as proxy:
        await peer.start()
        async with connected(proxy.address) as doomed:
            await doomed.work().next()
            second = peer.work()
            await second.opened()

            proxy.fall_silent()

            assert (await second.next()).orchestrator_request.instance_id == "a"


async def test_two_sidecars_cannot_share_a_file(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as peer:
        with pytest.raises(StoreError):
            await Server(tmp_path / "tasks.db").start()

        assert await peer.start() == "a"


async def test_a_port_is_free_again_once_its_server_has_stopped() -> None:
    async with serving() as peer:
        port = int(peer.server.address.rpartition(":")[2])

    async with serving(port=port) as peer, connected(peer.server.address) as second:
        await asyncio.gather(peer.start(), second.state())
