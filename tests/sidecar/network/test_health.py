"""`grpc.health.v1`, asked in raw bytes over a real connection, as any prober asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.builders.sidecar import PATIENCE, Peer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/grpc.health.v1.Health"
OF_SERVER = b""
OF_SIDECAR = b"\x0a\x15TaskHubSidecarService"
OF_STRANGER = b"\x0a\x07strange"

SERVING = b"\x08\x01"
NOT_SERVING = b"\x08\x02"
SERVICE_UNKNOWN = b"\x08\x03"


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serving() as peer:
        yield peer


async def check(peer: Peer, raw: bytes, method: str = "Check") -> bytes:
    call: Any = peer.channel.unary_unary(f"{PATH}/{method}")
    response: bytes = await call(raw, timeout=PATIENCE)
    return response


def watch(peer: Peer, raw: bytes) -> Any:
    call: Any = peer.channel.unary_stream(f"{PATH}/Watch")
    return call(raw, timeout=PATIENCE)


@pytest.mark.parametrize("service", [OF_SERVER, OF_SIDECAR])
async def test_a_sidecar_that_serves_says_so(peer: Peer, service: bytes) -> None:
    assert await check(peer, service) == SERVING


async def test_a_service_that_is_not_here_is_not_found(peer: Peer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await check(peer, OF_STRANGER)

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Check", "List"])
async def test_what_is_no_request_is_refused(peer: Peer, method: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await check(peer, b"\x0a\x7f", method)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_field_of_a_later_version_does_no_harm(peer: Peer) -> None:
    assert await check(peer, OF_SIDECAR + b"\x78\x01") == SERVING


async def test_all_services_are_listed(peer: Peer) -> None:
    entries = b"\x0a\x04\x12\x02" + SERVING + b"\x0a\x1b" + OF_SIDECAR + b"\x12\x02" + SERVING

    assert await check(peer, b"", "List") == entries


@pytest.mark.parametrize("service", [OF_SERVER, OF_SIDECAR])
async def test_a_watcher_sees_the_end_coming_and_is_let_go(peer: Peer, service: bytes) -> None:
    watching = watch(peer, service)
    assert await watching.read() == SERVING

    await peer.server.stop()

    assert await watching.read() == NOT_SERVING
    assert await watching.read() is grpc.aio.EOF
    assert await watching.code() is grpc.StatusCode.OK


async def test_while_it_drains_it_answers_that_it_does_not_serve(peer: Peer) -> None:
    await peer.server.drain(0)

    assert await check(peer, OF_SIDECAR) == NOT_SERVING
    assert SERVING not in await check(peer, b"", "List")


async def test_a_watcher_is_kept_while_it_drains(peer: Peer) -> None:
    watching = watch(peer, OF_SERVER)
    await watching.read()
    await peer.server.drain(0)
    assert await watching.read() == NOT_SERVING

    ending = asyncio.create_task(watching.read())
    # What the sidecar had sent before it answered these would be here.
    for _ in range(3):
        await check(peer, OF_SERVER)

    assert not ending.done()
    ending.cancel()


async def test_a_watcher_of_a_service_that_is_not_here_waits_until_the_end(peer: Peer) -> None:
    watching = watch(peer, OF_STRANGER)
    assert await watching.read() == SERVICE_UNKNOWN

    await peer.server.stop()

    assert await watching.read() is grpc.aio.EOF


async def test_many_who_watch_hold_nothing_up(peer: Peer) -> None:
    watching = [watch(peer, OF_SERVER) for _ in range(100)]
    for each in watching:
        assert await each.read() == SERVING

    await peer.server.stop(grace=PATIENCE)

    assert [await each.read() for each in watching] == [NOT_SERVING] * 100
