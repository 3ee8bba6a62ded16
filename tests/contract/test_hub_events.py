"""External events and far-away timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from durabletask.protocol import codec, dialects, messages, methods, wire
from tests.builders.contract import Client, EngineUnderTest, send
from tests.builders.sidecar import complete, timer

Status = messages.OrchestrationStatus
STEERING = [
    methods.RAISE_EVENT,
    methods.SUSPEND_INSTANCE,
    methods.RESUME_INSTANCE,
    methods.TERMINATE_INSTANCE,
]


@pytest.mark.checklist(57)
async def test_an_event_that_is_sent_arrives_like_one_that_is_raised(client: Client) -> None:
    worker = client.worker()
    target = await client.start()
    await (await worker.turn(target)).decide()
    sender = await client.start()

    await (await worker.turn(sender)).decide(send(3, target, "go", '"data"'))
    await client.raise_event(sender)

    received = await worker.turn(target)
    (sent,) = (await worker.turn(sender)).past("event_sent")
    (raised,) = received.new("event_raised")
    assert received.events == ["orchestrator_started", "event_raised"]
    assert (raised.name, raised.input) == ("go", '"data"')
    assert (sent.instance_id, sent.name, sent.input) == (target, "go", '"data"')


@pytest.mark.checklist(58)
async def test_to_send_an_event_to_an_instance_that_is_missing_is_no_failure(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id, missing = await client.start(), hub.new_id()

    await (await worker.turn()).decide(send(1, missing), complete(2, '"done"'))

    state = await client.completed(id)
    assert (state.orchestration_status, state.output) == (Status.COMPLETED, '"done"')
    # An event for an instance that is made later would be a surprise to it.
    await client.start(id=missing)
    assert (await worker.turn(missing)).raised == []


@pytest.mark.checklist(58)
@pytest.mark.parametrize("method", STEERING, ids=lambda method: method.name)
async def test_a_client_cannot_steer_an_instance_that_is_missing(
    hub: EngineUnderTest, client: Client, method
) -> None:
    fields = {"name": "go"} if method is methods.RAISE_EVENT else {}

    code = await client.refusal(method, instance_id=hub.new_id(), **fields)

    assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.checklist(58)
@pytest.mark.parametrize("fields", [{"name": "go"}, {"instance_id": "a"}], ids=["id", "name"])
async def test_an_event_needs_an_id_and_a_name(client: Client, fields: dict[str, str]) -> None:
    assert await client.refusal(methods.RAISE_EVENT, **fields) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.checklist(59)
async def test_the_names_of_events_travel_as_they_are_spelled(client: Client) -> None:
    target = await client.start()
    sender = await client.start()
    names = ["Go", "GO", "ß go"]
    for name in names[:2]:
        await client.raise_event(target, name)
    worker = client.worker()

    received = await worker.turn(target)
    await received.decide()
    await (await worker.turn(sender)).decide(send(1, target, names[2]))

    # Workers compare them, and not all of them in the same way.
    assert received.raised + (await worker.turn(target)).raised == names


@pytest.mark.checklist(60)
async def test_what_comes_for_an_instance_that_has_ended_changes_nothing(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(complete(1, '"done"'))
    before = await client.state(id)
    hub.pass_time(hours=1)

    await client.raise_event(id)
    await client.suspend(id)
    await client.resume(id)
    await client.terminate(id, '"enough"')

    other = await client.start()
    assert await client.state(id) == before
    assert (await worker.next()).instance == other


@pytest.mark.checklist(61)
async def test_a_timer_of_the_year_9999_disturbs_nothing(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    far = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    await (await worker.turn()).decide(timer(1, far))

    await client.raise_event(id)
    turn = await worker.turn()
    await turn.decide(complete(2))

    assert turn.events == ["orchestrator_started", "event_raised"]
    assert turn.past("timer_created")[0].fire_at == far
    assert (await client.completed(id)).orchestration_status == Status.COMPLETED


@pytest.mark.checklist(61)
async def test_a_timer_of_the_last_nanosecond_disturbs_nothing(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()
    response = codec.encode(
        messages.OrchestratorResponse(instance_id=id, completion_token=turn.token),
        dialects.TASKHUB,
    )
    # What Dapr writes for "never": 9999-12-31T23:59:59.999999999Z, finer than Python's times.
    seconds, nanos = b"\x08" + wire.varint(253_402_300_799), b"\x10" + wire.varint(999_999_999)
    fire_at = wire.length_delimited(1, seconds + nanos)
    action = b"\x08\x01" + wire.length_delimited(4, fire_at)

    await client.peer.send(
        methods.COMPLETE_ORCHESTRATOR_TASK, response + wire.length_delimited(2, action)
    )
    await client.raise_event(id)

    (created,) = (await worker.turn()).past("timer_created")
    assert created.fire_at.year == 9999


@pytest.mark.checklist(57)
async def test_an_event_that_is_sent_at_the_end_arrives(client: Client) -> None:
    worker = client.worker()
    target = await client.start()
    await (await worker.turn(target)).decide()
    sender = await client.start()

    await (await worker.turn(sender)).decide(send(1, target), complete(2))

    assert (await worker.turn(target)).raised == ["go"]


@pytest.mark.checklist(57)
async def test_an_event_that_an_instance_sends_to_itself_arrives(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(send(1, id))

    assert (await worker.turn()).raised == ["go"]


@pytest.mark.checklist(61)
@pytest.mark.needs("clock", "restart")
async def test_a_timer_fires_on_time_after_a_restart(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    await client.start()
    fire_at = hub.now() + timedelta(days=400, microseconds=1)
    await (await worker.turn()).decide(timer(1, fire_at))

    client = await hub.restart()
    worker = client.worker()
    hub.advance(days=400)
    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(microseconds=1)

    (fired,) = (await worker.next()).new("timer_fired")
    assert meanwhile.instance == other
    assert (fired.timer_id, fired.fire_at) == (1, fire_at)
