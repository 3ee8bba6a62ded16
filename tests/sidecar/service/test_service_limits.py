"""Each limit as peers meet it: a status that tells what to do, and nobody else is hurt."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar import Limits
from tests.builders.command import PATIENCE, address_in, run, running
from tests.builders.sidecar import Peer, complete, connected, schedule, serving

if TYPE_CHECKING:
    from pathlib import Path

    from durabletask.protocol.methods import Method

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED

ELEVEN = "x" * 11
COUNTER = "@counter@a"


async def test_a_request_that_is_too_large_is_turned_down_by_grpc() -> None:
    async with serving(limits=Limits(message_bytes=1000)) as peer:
        request = messages.CreateInstanceRequest(name="order", instance_id="a", input="x" * 1000)
        code, text = await peer.refusal(methods.START_INSTANCE, request)

        assert code is EXHAUSTED
        assert "larger than max" in text
        assert "vs. 1000" in text
        assert await peer.start(input="x" * 900) == "a"


@pytest.mark.parametrize("most", [None, 2**31 - 1, 2**31, 10**15])
async def test_without_a_limit_messages_may_be_larger_than_grpc_takes_by_itself(
    most: int | None,
) -> None:
    limits = Limits(message_bytes=most, payload_bytes=None)
    async with serving(limits=limits) as peer:
        assert await peer.start(input="x" * 5_000_000) == "a"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        (methods.START_INSTANCE, messages.CreateInstanceRequest(name="order", input=ELEVEN)),
        (methods.RAISE_EVENT, messages.RaiseEventRequest(instance_id="a", name="e", input=ELEVEN)),
        (methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a", output=ELEVEN)),
        (methods.SUSPEND_INSTANCE, messages.SuspendRequest(instance_id="a", reason=ELEVEN)),
        (methods.RESUME_INSTANCE, messages.ResumeRequest(instance_id="a", reason=ELEVEN)),
        (methods.REWIND_INSTANCE, messages.RewindInstanceRequest(instance_id="a", reason=ELEVEN)),
        (
            methods.SIGNAL_ENTITY,
            messages.SignalEntityRequest(instance_id=COUNTER, name="add", input=ELEVEN),
        ),
    ],
    ids=lambda it: getattr(it, "name", ""),
)
async def test_a_payload_that_is_too_large_is_an_invalid_argument(
    method: Method, request_: object
) -> None:
    async with serving(limits=Limits(payload_bytes=10)) as peer:
        await peer.start()

        code, text = await peer.refusal(method, request_)

        assert code is INVALID
        assert "has 11 bytes; the limit is 10 (payload_bytes, --max-payload-bytes)" in text


async def test_an_id_that_is_too_long_is_an_invalid_argument() -> None:
    async with serving(limits=Limits(id_length=5)) as peer:
        request = messages.CreateInstanceRequest(name="order", instance_id="abcdef")

        code, text = await peer.refusal(methods.START_INSTANCE, request)

        assert code is INVALID
        assert "the limit is 5 (id_length, --max-id-length)" in text


async def test_one_orchestration_too_many_is_refused_and_its_task_hub_only() -> None:
    async with serving(limits=Limits(instances=1)) as peer:
        await peer.start(instance_id="a")
        request = messages.CreateInstanceRequest(name="order", instance_id="b")

        code, text = await peer.refusal(methods.START_INSTANCE, request)

        assert code is EXHAUSTED
        assert "the limit is 1 (instances, --max-instances)" in text
        assert await peer.state("b") is None
        assert await peer.of_hub("other").start(instance_id="b") == "b"
        await peer.decide(await peer.work().next(), complete(1))
        assert await peer.start(instance_id="b") == "b"


async def test_restarts_and_reruns_are_refused_too_where_there_is_no_room() -> None:
    async with serving(limits=Limits(instances=1)) as peer:
        await peer.start(instance_id="a")
        items = peer.work()
        await peer.decide(await items.next(), schedule(1))
        await peer.finish(await items.next())
        await peer.decide(await items.next(), complete(2))
        await peer.completed("a")
        await peer.start(instance_id="b")

        anew = messages.RestartInstanceRequest(instance_id="a", restart_with_new_instance_id=True)
        same = messages.RestartInstanceRequest(instance_id="a")
        rerun = messages.RerunOrchestrationFromEventRequest(
            source_instance_id="a", event_id=1, new_instance_id="c"
        )
        refusals = [
            await peer.refusal(methods.RESTART_INSTANCE, anew),
            await peer.refusal(methods.RESTART_INSTANCE, same),
            await peer.refusal(methods.RERUN_ORCHESTRATION_FROM_EVENT, rerun),
        ]

        assert [code for code, _ in refusals] == [EXHAUSTED] * 3
        assert await peer.state("c") is None


async def test_the_orchestrations_that_a_file_remembers_count(tmp_path: Path) -> None:
    limits = Limits(instances=2)
    async with serving(tmp_path / "tasks.db", limits=limits) as peer:
        await peer.start(instance_id="a")
        await peer.start(instance_id="b")
        await peer.decide(await peer.work().next(), complete(1))

    async with serving(tmp_path / "tasks.db", limits=limits) as peer:
        await peer.start(instance_id="c")
        request = messages.CreateInstanceRequest(name="order", instance_id="d")
        code, _ = await peer.refusal(methods.START_INSTANCE, request)

        assert code is EXHAUSTED


async def test_events_and_signals_beyond_what_may_wait_are_refused_and_the_others_are_kept() -> (
    None
):
    async with serving(limits=Limits(waiting=3)) as peer:
        await peer.start()
        # The start waits too.
        await peer.raise_event("tick", "1")
        await peer.raise_event("tick", "2")
        event = messages.RaiseEventRequest(instance_id="a", name="tick", input="3")
        signal = messages.SignalEntityRequest(instance_id=COUNTER, name="add")
        for _ in range(3):
            await peer.call(methods.SIGNAL_ENTITY, signal)

        for method, request in ((methods.RAISE_EVENT, event), (methods.SIGNAL_ENTITY, signal)):
            code, text = await peer.refusal(method, request)
            assert code is EXHAUSTED
            assert "the limit is 3 (waiting, --max-waiting)" in text

        # Work of both kinds; the turn is recognized by its request.
        items = peer.work()
        found = [await items.next(), await items.next()]
        (turn,) = [item.orchestrator_request for item in found if item.orchestrator_request]
        raised = [each.event_raised for each in turn.new_events if each.event_raised]
        assert [each.input for each in raised] == ["1", "2"]


async def test_an_answer_that_is_too_large_is_accepted_once_and_fails_its_work() -> None:
    async with serving(limits=Limits(payload_bytes=10)) as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), schedule(1))
        await peer.finish(await items.next(), ELEVEN)

        turn = await items.next()
        (event,) = turn.orchestrator_request.new_events[1:]
        assert event.task_failed.failure_details.error_type == "PayloadTooLarge"

        await peer.decide(turn, schedule(2, input=ELEVEN))

        state = await peer.completed()
        assert state.orchestration_status == messages.OrchestrationStatus.FAILED
        assert state.failure_details.error_type == "PayloadTooLarge"
        await peer.start(instance_id="next")
        assert (await items.next()).orchestrator_request.instance_id == "next"


@pytest.mark.parametrize("numbers", [[0, 1, 2], [0, 0, 0], [None, None, None]])
async def test_an_answer_in_parts_that_are_too_large_fails_its_orchestration(
    numbers: list[int | None],
) -> None:
    async with serving(limits=Limits(history_bytes=1000)) as peer:
        await peer.start()
        turn = await peer.work().next()

        for size, number in zip((10, 1100, 10), numbers, strict=True):
            part = schedule(1, input="x" * size)
            await peer.decide(turn, part, is_partial=True, chunk_index=number)
        await peer.decide(turn, complete(9))

        state = await peer.completed()
        assert state.orchestration_status == messages.OrchestrationStatus.FAILED
        assert state.failure_details.error_type == "HistoryTooLong"
        assert "--max-history-bytes" in state.failure_details.error_message


async def test_one_stream_too_many_is_refused_and_admitted_when_another_has_ended() -> None:
    async with serving(limits=Limits(streams=1)) as peer, connected(peer.server.address) as second:
        first = peer.work()
        await first.opened()

        refused = second.work()

        assert await refused.status() is EXHAUSTED
        assert "the limit is 1 (streams, --max-streams)" in await refused.details()
        await peer.start()
        assert (await first.next()).orchestrator_request.instance_id == "a"
        first.cancel()
        assert (await _first_item(second)).orchestrator_request.instance_id == "a"


async def _first_item(peer: Peer) -> Any:
    """Ask for work until the sidecar has noticed that another worker is gone."""
    while True:
        with suppress(grpc.aio.AioRpcError):
            return await peer.work().next()


@pytest.mark.slow
async def test_a_sidecar_that_was_killed_knows_how_many_orchestrations_are_alive(
    tmp_path: Path,
) -> None:
    arguments = ("--port", "0", "--db", str(tmp_path / "tasks.db"), "--max-instances", "2")
    with running(*arguments) as (process, line):
        async with connected(address_in(line)) as peer:
            await peer.start(instance_id="a")
            await peer.start(instance_id="b")
            process.kill()
            process.wait(PATIENCE)

    with running(*arguments) as (_, line):
        async with connected(address_in(line)) as peer:
            request = messages.CreateInstanceRequest(name="order", instance_id="c")
            code, text = await peer.refusal(methods.START_INSTANCE, request)

    assert code is EXHAUSTED
    assert "2 orchestrations of this task hub have not ended; the limit is 2" in text


def test_exec_keeps_to_the_limits_too() -> None:
    program = (
        "from durabletask.client import TaskHubGrpcClient\n"
        "TaskHubGrpcClient().schedule_new_orchestration('order', input='x' * 100)\n"
    )

    ended = run("exec", "--max-payload-bytes", "10", "--", sys.executable, "-c", program)

    assert ended.returncode == 1
    assert "the limit is 10 (payload_bytes, --max-payload-bytes)" in ended.stderr
