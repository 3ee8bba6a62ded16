"""What goes wrong has a status that says what to do, and hurts nobody else."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from durabletask.protocol import dialects, messages, methods
from tests.builders.sidecar import complete, serving

# Hello has no fields, and history comes as a stream of its own.
SERVED = methods.of(dialects.NATIVE)

# A field that is cut short, one of a wire type that does not exist, a tag without end.
MALFORMED = [b"\x0a\x05ab", b"\x0f\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]


@pytest.mark.parametrize("method", SERVED, ids=lambda method: method.name)
async def test_malformed_bytes_are_refused_and_the_sidecar_goes_on(method) -> None:
    async with serving() as peer:
        await peer.start()

        refusals = [await peer.refusal(method, raw) for raw in MALFORMED]
        await peer.decide(await peer.work().next(), complete(1, '"fine"'))

        for code, text in refusals:
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert method.request in text
        assert (await peer.completed()).output == '"fine"'


async def test_a_string_that_is_no_text_is_refused() -> None:
    async with serving() as peer:
        code, _ = await peer.refusal(methods.GET_INSTANCE, b"\x0a\x02\xff\xfe")

        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_action_that_nobody_knows_fails_the_instance_once() -> None:
    async with serving() as peer:
        await peer.start()

        await peer.decide(await peer.work().next(), messages.OrchestratorAction(id=1))

        state = await peer.completed()
        assert state.orchestration_status == messages.OrchestrationStatus.FAILED
        assert state.failure_details.error_type == "UnsupportedAction"


@pytest.mark.slow
async def test_two_thousand_calls_at_once_are_all_answered() -> None:
    async with serving() as peer:
        calls = [asyncio.create_task(peer.start(instance_id=str(n))) for n in range(2000)]

        answered = await asyncio.gather(*calls)

        assert answered == [str(n) for n in range(2000)]
