"""History as a stream: whole, in order, in pieces that can be received."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from durabletask.protocol import codec, dialects, events, messages, methods, oneofs
from durabletask.sidecar.service.histories import chunks
from durabletask.sidecar.store.encoded_events import repeated_field
from tests.builders.sidecar import Peer, complete, serving

CHUNK = 256 * 1024


def request(instance_id: str = "a", **fields: Any) -> messages.StreamInstanceHistoryRequest:
    return messages.StreamInstanceHistoryRequest(instance_id=instance_id, **fields)


async def history(peer: Peer, **fields: Any) -> list[Any]:
    """The events, of all chunks."""
    received = await peer.stream(methods.STREAM_INSTANCE_HISTORY, request(**fields))
    return [event for chunk in received for event in chunk.events]


async def ended_with_events(peer: Peer, *payloads: str) -> None:
    """An instance in whose history there are these external events."""
    await peer.start(execution_id="e1")
    for payload in payloads:
        await peer.raise_event("news", payload)
    await peer.decide(await peer.work().next(), complete(1))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"execution_id": "e1"},
        {"execution_id": ""},
        {"execution_id": "e1", "for_work_item_processing": True},
    ],
)
async def test_a_history_has_all_events_in_their_order(fields: dict[str, Any]) -> None:
    async with serving() as peer:
        await ended_with_events(peer, '"one"', '"two"')

        found = await history(peer, **fields)

        assert [oneofs.which(event) for event in found] == [
            "orchestrator_started",
            "execution_started",
            "event_raised",
            "event_raised",
            "execution_completed",
        ]
        assert [event.event_raised.input for event in found[2:4]] == ['"one"', '"two"']


async def test_an_instance_that_has_not_begun_has_no_history() -> None:
    async with serving() as peer:
        await peer.start()

        assert await history(peer) == []


@pytest.mark.parametrize("fields", [{"instance_id": "missing"}, {"execution_id": "e0"}])
async def test_what_is_missing_or_another_execution_is_not_found(fields: dict[str, Any]) -> None:
    async with serving() as peer:
        await ended_with_events(peer)

        code, _ = await peer.refusal(methods.STREAM_INSTANCE_HISTORY, request(**fields))

        assert code is grpc.StatusCode.NOT_FOUND


async def test_a_chunk_is_no_larger_than_it_may_be_and_an_event_that_is_goes_alone() -> None:
    async with serving() as peer:
        lengths = [100_000, 100_000, 100_000, 300_000, 1]
        await ended_with_events(peer, *("x" * length for length in lengths))

        received = await peer.stream(methods.STREAM_INSTANCE_HISTORY, request())

        sizes = [len(codec.encode(chunk, dialects.TASKHUB)) for chunk in received]
        large = [chunk for chunk, size in zip(received, sizes, strict=True) if size > CHUNK]
        assert len(received) == 4
        assert [len(chunk.events) for chunk in large] == [1]


async def test_what_happens_while_a_history_is_sent_does_not_change_it() -> None:
    async with serving() as peer:
        await ended_with_events(peer, *("x" * 200_000 for _ in range(15)))
        stream: Any = peer.channel.unary_stream(methods.STREAM_INSTANCE_HISTORY.path)
        call = stream(codec.encode(request(), dialects.TASKHUB))
        first = await call.read()

        await peer.call(methods.PURGE_INSTANCES, messages.PurgeInstancesRequest(instance_id="a"))
        rest = []
        while (chunk := await call.read()) is not grpc.aio.EOF:
            rest.append(chunk)

        found = codec.decode(messages.HistoryChunk, b"".join([first, *rest])).events
        assert len(found) == 18
        assert await peer.state() is None


def test_chunks_hold_as_many_events_as_fit_and_lose_none() -> None:
    # Long enough for lengths of two bytes, and short ones between.
    raised = [events.event_raised("news", "x" * length) for length in (0, 200, 10, 130, 0)]
    encoded = [codec.encode(event) for event in raised]

    parts = list(chunks(repeated_field(encoded), most_bytes=250))

    decoded = [codec.decode(messages.HistoryChunk, part).events for part in parts]
    assert [event for part in decoded for event in part] == raised
    assert max(map(len, parts)) <= 250
    assert [len(part) for part in decoded] == [1, 1, 3]
