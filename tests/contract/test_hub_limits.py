"""What travels along with the work, and what is done when there is too much of it."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import pytest

from durabletask.protocol import codec, dialects, messages, methods
from tests.builders.contract import (
    RECEIVE_LIMIT,
    Client,
    EngineUnderTest,
    Work,
    again,
    child,
    failure,
    rewritten,
)
from tests.builders.sidecar import complete, failed, schedule

Status = messages.OrchestrationStatus
STREAMING = [messages.WorkerCapability.HISTORY_STREAMING]
SESSIONS = (("x-durabletask-extended-sessions", "1"),)
TRACE = messages.TraceContext(
    trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    span_id="b7ad6b7169203331",
    trace_state="vendor=1",
)


@pytest.mark.checklist(81)
async def test_a_turn_that_a_worker_rejects_goes_to_another_one(client: Client) -> None:
    # That is how a worker refuses a version that it does not have.
    first = client.worker()
    await client.start(version="2")
    turn = await first.turn()
    second = client.worker()
    await second.opened()

    await turn.abandon()

    assert (await second.next()).instance == turn.instance


@pytest.mark.checklist(82)
async def test_an_orchestration_knows_the_span_that_started_it(client: Client) -> None:
    await client.start(parent_trace_context=TRACE)

    started = (await client.worker().turn()).new("execution_started")[0]

    assert started.parent_trace_context == TRACE


@pytest.mark.checklist(82)
async def test_activities_and_children_know_the_spans_that_asked_for_them(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    task = schedule(1)
    task.schedule_task.parent_trace_context = TRACE
    task.schedule_task.tags = {"color": "red"}

    turn = await worker.turn()
    await turn.decide(task, child(2, instance_id=id, parent_trace_context=TRACE))
    activity = await worker.activity()
    started = (await worker.turn(id)).new("execution_started")[0]
    await activity.finish()
    past = await worker.turn(parent)

    assert activity.request.parent_trace_context == TRACE
    assert activity.request.tags == {"color": "red"}
    assert started.parent_trace_context == TRACE
    assert past.past("task_scheduled")[0].parent_trace_context == TRACE
    assert past.past("sub_orchestration_instance_created")[0].parent_trace_context == TRACE


@pytest.mark.checklist(83)
async def test_the_span_of_an_orchestration_comes_back_with_each_turn(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    span = messages.OrchestrationTraceContext(
        span_id="00f067aa0ba902b7", span_start_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )

    first = await worker.turn()
    await first.decide(orchestration_trace_context=span)
    echoes = []
    for _ in range(2):
        await client.raise_event(id)
        turn = await worker.turn()
        echoes.append(turn.request.orchestration_trace_context)
        await turn.decide(orchestration_trace_context=turn.request.orchestration_trace_context)

    assert first.request.orchestration_trace_context is None
    assert echoes == [span, span]


async def grown(client: Client, worker, *, events: int) -> str:
    """An instance whose history has that many million bytes."""
    id = await client.start()
    await (await worker.turn()).decide()
    for _ in range(events):
        await client.raise_event(id, input="x" * 1_000_000)
        await (await worker.turn(id)).decide()
    return id


@pytest.mark.checklist(84)
async def test_an_instance_that_outgrows_its_worker_fails_and_says_why(client: Client) -> None:
    worker = client.worker()
    id = await grown(client, worker, events=4)

    await client.raise_event(id, input="x" * 1_000_000)
    other = await client.start()

    state = await client.completed(id)
    # The stream goes on: an item that is too large would have broken it.
    assert (await worker.next()).instance == other
    assert state.orchestration_status == Status.FAILED
    assert str(RECEIVE_LIMIT) in state.failure_details.error_message


@pytest.mark.checklist(84)
async def test_no_work_item_is_larger_than_a_worker_receives(client: Client) -> None:
    id = await client.start()
    for _ in range(6):
        await client.raise_event(id, input="x" * 1_000_000)
    worker = client.worker()

    turn = await worker.turn()

    assert turn.size <= RECEIVE_LIMIT
    assert 1 <= len(turn.raised) < 6


@pytest.mark.checklist(84)
async def test_a_worker_that_can_fetch_a_long_history_is_not_sent_it(client: Client) -> None:
    worker = client.worker(capabilities=STREAMING)
    id = await grown(client, worker, events=5)

    await client.raise_event(id, input='"small"')
    turn = await worker.turn()
    history = await client.history(id, turn.request.execution_id, for_work_item_processing=True)
    await turn.decide(complete(1, '"done"'))

    assert turn.request.requires_history_streaming
    assert (turn.past_events, turn.raised) == ([], ["go"])
    assert len([event for event in history if event.event_raised]) == 5
    assert (await client.completed(id)).output == '"done"'


@pytest.mark.checklist(84)
async def test_a_short_history_is_sent_though_the_worker_could_fetch_it(client: Client) -> None:
    worker = client.worker(capabilities=STREAMING)
    id = await client.start()
    await (await worker.turn()).decide()
    await client.raise_event(id)

    turn = await worker.turn()

    assert not turn.request.requires_history_streaming
    assert turn.past_events == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(84)
async def test_a_worker_that_cannot_fetch_its_history_is_sent_it(client: Client) -> None:
    worker = client.worker()
    id = await grown(client, worker, events=2)
    await client.raise_event(id)

    turn = await worker.turn()

    assert not turn.request.requires_history_streaming
    assert len(turn.past("event_raised")) == 2


@pytest.mark.checklist(84)
async def test_a_streamed_history_is_that_of_the_turns(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1))
    await (await worker.activity()).finish()
    turn = await worker.turn()

    history = await client.history(id)

    assert history == turn.request.past_events


@pytest.mark.checklist(84)
async def test_the_history_of_what_is_missing_is_not_found(
    hub: EngineUnderTest, client: Client
) -> None:
    id = await client.start()
    codes = []

    for instance, execution in ((hub.new_id(), None), (id, "another execution")):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await client.history(instance, execution)
        codes.append(refusal.value.code())

    assert codes == [grpc.StatusCode.NOT_FOUND] * 2


@pytest.mark.checklist(85)
@pytest.mark.needs("clock")
async def test_a_worker_that_lacks_the_history_is_sent_the_turn_again_at_once(
    client: Client,
) -> None:
    worker = client.worker()
    await client.start()
    first = await worker.turn()

    await first.decide(requires_history=True)

    second = await worker.next()
    assert (second.instance, second.events) == (first.instance, first.events)
    assert second.token != first.token


@pytest.mark.checklist(85)
@pytest.mark.needs("clock")
async def test_a_worker_that_lacks_the_state_is_sent_the_batch_again_at_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "add")
    first = await worker.batch()

    await first.operate(results=[], requires_state=True)

    second = await worker.next()
    assert (second.instance, second.operations) == (entity, ["add"])
    assert second.token != first.token


async def second_turn(client: Client, worker) -> Work:
    """A turn of an instance that the worker has seen before."""
    id = await client.start()
    await (await worker.turn()).decide()
    await client.raise_event(id)
    return await worker.turn()


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_a_worker_that_keeps_its_sessions_is_sent_only_what_is_new(client: Client) -> None:
    worker = client.worker(headers=SESSIONS)

    turn = await second_turn(client, worker)
    await turn.decide(requires_history=True)
    resent = await worker.turn()

    assert turn.request.properties["IncludeState"] == "false"
    assert (turn.past_events, turn.raised) == ([], ["go"])
    assert resent.past_events == ["orchestrator_started", "execution_started"]
    assert resent.raised == ["go"]


@pytest.mark.checklist(85)
async def test_a_worker_that_does_not_say_that_it_keeps_sessions_is_sent_all(
    client: Client,
) -> None:
    turn = await second_turn(client, client.worker())

    assert turn.request.properties.get("IncludeState") in (None, "true")
    assert turn.past_events == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_another_worker_is_sent_all_that_the_first_one_knew(client: Client) -> None:
    first = client.worker(headers=SESSIONS)
    await second_turn(client, first)
    first.leave()

    turn = await client.worker(headers=SESSIONS).turn()

    assert turn.past_events == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(84)
async def test_a_streamed_history_comes_in_messages_that_anybody_can_receive(
    client: Client,
) -> None:
    worker = client.worker()
    id = await grown(client, worker, events=3)

    request = messages.StreamInstanceHistoryRequest(instance_id=id)
    chunks = await client.peer.stream(methods.STREAM_INSTANCE_HISTORY, request)

    sizes = [len(codec.encode(chunk, dialects.TASKHUB)) for chunk in chunks]
    raised = [event for chunk in chunks for event in chunk.events if event.event_raised]
    assert len(raised) == 3
    assert max(sizes) < RECEIVE_LIMIT / 2


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_a_worker_that_did_not_take_the_last_turn_is_sent_all(client: Client) -> None:
    first = client.worker(headers=SESSIONS)
    turn = await second_turn(client, first)
    id = turn.instance
    second = client.worker(headers=SESSIONS)
    await second.opened()
    await turn.abandon()
    elsewhere = await second.turn(id)
    await elsewhere.decide()
    second.leave()

    await client.raise_event(id, "later")
    back = await first.turn(id)

    assert elsewhere.past_events == ["orchestrator_started", "execution_started"]
    assert (back.past_events[-1], back.raised) == ("event_raised", ["later"])


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_a_session_ends_with_the_instance_and_not_with_its_id(client: Client) -> None:
    worker = client.worker(headers=SESSIONS)
    turn = await second_turn(client, worker)
    await turn.decide(complete(1))
    await client.start(id=turn.instance, replaceable=[Status.COMPLETED])
    await (await worker.turn()).decide()
    await client.raise_event(turn.instance)

    following = await worker.turn()

    # Whatever it was sent, the worker has seen this instance begin.
    assert following.raised == ["go"]
    assert following.past_events in ([], ["orchestrator_started", "execution_started"])


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_a_rewind_is_sent_with_all_of_its_history_to_whomever(client: Client) -> None:
    worker = client.worker(headers=SESSIONS)
    turn = await second_turn(client, worker)
    await turn.decide(failed(1, failure()))

    await client.rewind(turn.instance)
    rewinding = await worker.turn()
    await rewinding.decide(rewritten(rewinding))
    resumed = await worker.turn()

    # The session ended with the failure, and what it knew is not the history any more.
    assert rewinding.past_events[-1] == "execution_completed"
    assert resumed.past_events[:2] == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header", "restart")
async def test_after_a_restart_a_worker_is_sent_all(hub: EngineUnderTest, client: Client) -> None:
    await second_turn(client, client.worker(headers=SESSIONS))

    client = await hub.restart()

    turn = await client.worker(headers=SESSIONS).turn()
    assert turn.past_events == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(85)
@pytest.mark.needs("sessions by header")
async def test_a_session_goes_on_over_generations(client: Client) -> None:
    worker = client.worker(headers=SESSIONS)
    turn = await second_turn(client, worker)
    await turn.decide(again(1, '"next"'))
    begun = await worker.turn()
    await begun.decide()
    await client.raise_event(turn.instance, "later")

    following = await worker.turn()

    assert begun.past_events == []
    assert begun.new("execution_started")[0].input == '"next"'
    assert following.raised == ["later"]
    assert following.past_events in ([], ["orchestrator_started", "execution_started"])
