from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from durabletask.grpc_options import GrpcChannelOptions
from durabletask.protocol import dialects
from durabletask.worker._sync_transport import SyncTransportAdapter
from durabletask.worker._transport import message_limit_metadata, transport_factory


def connect(channel: Any = None, interceptors: Any = None) -> Any:
    return transport_factory(
        "localhost:1",
        secure=False,
        channel=channel,
        interceptors=interceptors,
        channel_options=None,
        metadata=None,
        dialect=dialects.TASKHUB,
    )


class SyncInterceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details, request)


class AsyncInterceptor(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)


@pytest.mark.parametrize(
    ("interceptors", "is_adapted"),
    [(None, False), ([], False), ([AsyncInterceptor()], False), ([SyncInterceptor()], True)],
    ids=["none", "empty", "asyncio", "threads"],
)
async def test_synchronous_interceptors_get_a_synchronous_transport_with_an_adapter(
    interceptors: Any, is_adapted: bool
) -> None:
    transport = connect(interceptors=interceptors)()

    assert isinstance(transport, SyncTransportAdapter) is is_adapted
    await transport.close()


async def test_a_synchronous_channel_is_adapted_and_stays_open() -> None:
    with grpc.insecure_channel("localhost:1") as channel:
        transport = connect(channel=channel)()

        assert isinstance(transport, SyncTransportAdapter)
        await transport.close()
        channel.unary_unary("/a/b")


async def test_an_asynchronous_channel_is_used_as_it_is() -> None:
    async with grpc.aio.insecure_channel("localhost:1") as channel:
        assert not isinstance(connect(channel=channel)(), SyncTransportAdapter)


@pytest.mark.parametrize(
    ("options", "announced"),
    [
        (None, 64 * 1024 * 1024),
        (GrpcChannelOptions(max_receive_message_length=1000), 1000),
        (GrpcChannelOptions(max_receive_message_length=-1), 2**31 - 1),
    ],
    ids=["default", "own", "unlimited"],
)
def test_the_sidecar_is_told_how_large_a_message_may_be(
    options: GrpcChannelOptions | None, announced: int
) -> None:
    told = message_limit_metadata(
        "localhost:1", secure=False, channel=None, channel_options=options
    )

    assert told == (("x-durabletask-max-message", str(announced)),)


def test_the_sidecar_is_not_told_the_limit_of_a_channel_of_the_callers() -> None:
    with grpc.insecure_channel("localhost:1") as channel:
        assert (
            message_limit_metadata(None, secure=False, channel=channel, channel_options=None) == ()
        )


def test_interceptors_of_both_kinds_are_refused_when_the_worker_is_made() -> None:
    with pytest.raises(ValueError, match="interceptors"):
        connect(interceptors=[SyncInterceptor(), AsyncInterceptor()])
