"""What operators see: restart, rewind and immediate termination."""

from __future__ import annotations

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.sidecar import complete, failed, serving

Status = messages.OrchestrationStatus
FAILURE = messages.TaskFailureDetails(error_type="ValueError", error_message="no")


def skip(*ids: str, reason: str | None = None) -> messages.Message:
    return messages.SkipGracefulOrchestrationTerminationsRequest(
        instance_batch=messages.InstanceBatch(instance_ids=list(ids)), reason=reason
    )


async def test_a_restart_under_another_id_says_which() -> None:
    async with serving() as peer:
        await peer.start(input='"in"')
        await peer.decide(await peer.work().next(), complete(1))

        request = messages.RestartInstanceRequest(
            instance_id="a", restart_with_new_instance_id=True
        )
        restarted = await peer.call(methods.RESTART_INSTANCE, request)

        assert len(restarted.instance_id) == 32
        assert (await peer.state(restarted.instance_id)).input == '"in"'
        assert (await peer.state("a")).orchestration_status == Status.COMPLETED


async def test_a_restart_under_the_same_id_begins_another_execution() -> None:
    async with serving() as peer:
        await peer.start(execution_id="first")
        await peer.decide(await peer.work().next(), complete(1))

        restarted = await peer.call(
            methods.RESTART_INSTANCE, messages.RestartInstanceRequest(instance_id="a")
        )

        state = await peer.state("a")
        assert restarted.instance_id == "a"
        assert state.orchestration_status == Status.PENDING
        assert state.execution_id != "first"


async def test_a_rewound_instance_runs_again() -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), failed(1, FAILURE))

        request = messages.RewindInstanceRequest(instance_id="a", reason="mended")
        await peer.call(methods.REWIND_INSTANCE, request)

        turn = (await items.next()).orchestrator_request
        assert turn.new_events[-1].execution_rewound.reason == "mended"
        assert (await peer.state()).orchestration_status == Status.RUNNING


@pytest.mark.parametrize(
    ("method", "make"),
    [
        (methods.REWIND_INSTANCE, messages.RewindInstanceRequest),
        (methods.RESTART_INSTANCE, messages.RestartInstanceRequest),
    ],
)
async def test_what_lives_cannot_be_tried_again_and_what_is_missing_is_not_found(
    method, make
) -> None:
    async with serving() as peer:
        await peer.start("order", "live")

        codes = {
            name: (await peer.refusal(method, make(instance_id=name)))[0]
            for name in ("live", "missing", "@counter@1", "")
        }

        assert codes == {
            "live": grpc.StatusCode.FAILED_PRECONDITION,
            "missing": grpc.StatusCode.NOT_FOUND,
            "@counter@1": grpc.StatusCode.NOT_FOUND,
            "": grpc.StatusCode.INVALID_ARGUMENT,
        }


async def test_to_skip_graceful_terminations_needs_no_worker_and_tells_who_was_not_live() -> None:
    async with serving() as peer:
        for name in ("a", "b", "ended"):
            await peer.start("order", name)
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="ended"))

        response = await peer.call(
            methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS,
            skip("a", "ended", "b", "missing", "@counter@1", reason='"enough"'),
        )

        assert response.unterminated_instance_ids == ["ended", "missing", "@counter@1"]
        states = [await peer.state(name) for name in ("a", "b")]
        assert {state.orchestration_status for state in states} == {Status.TERMINATED}
        assert {state.output for state in states} == {'"enough"'}


async def test_an_id_that_is_given_twice_was_terminated_all_the_same() -> None:
    async with serving() as peer:
        await peer.start()

        response = await peer.call(methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS, skip("a", "a"))

        assert response.unterminated_instance_ids == []


async def test_more_than_five_hundred_terminations_at_once_are_refused_and_none_is_done() -> None:
    async with serving() as peer:
        await peer.start()
        ids = ["a", *(str(n) for n in range(500))]

        code, text = await peer.refusal(
            methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS, skip(*ids)
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "501" in text
        assert "500" in text
        assert (await peer.state()).orchestration_status == Status.PENDING


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        (methods.RAISE_EVENT, messages.RaiseEventRequest(instance_id="@counter@1", name="go")),
        (methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="@counter@1")),
        (methods.SUSPEND_INSTANCE, messages.SuspendRequest(instance_id="@counter@1")),
        (methods.RESUME_INSTANCE, messages.ResumeRequest(instance_id="@counter@1")),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
async def test_an_entity_is_no_orchestration_that_could_be_steered(method, request_) -> None:
    async with serving() as peer:
        signal = messages.SignalEntityRequest(instance_id="@counter@1", name="add")
        await peer.call(methods.SIGNAL_ENTITY, signal)

        code, _ = await peer.refusal(method, request_)

        assert code is grpc.StatusCode.NOT_FOUND
