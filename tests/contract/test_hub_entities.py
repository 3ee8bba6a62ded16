"""Entities: operations in order, answers once, and what operations ask for."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.contract import (
    Client,
    EngineUnderTest,
    call,
    failure,
    guid,
    operation_of,
    raised,
    signal,
    succeeded,
)
from tests.builders.sidecar import complete

Status = messages.OrchestrationStatus
V1 = (("x-durabletask-entity-requests", "v1"),)


def start_orchestration(**fields):
    return messages.OperationAction(
        start_new_orchestration=messages.StartNewOrchestrationAction(**fields)
    )


@pytest.mark.checklist(71)
async def test_operations_run_in_the_order_in_which_they_came(
    hub: EngineUnderTest, client: Client
) -> None:
    entity = hub.entity()
    for operation in ("first", "second", "third"):
        await client.signal(entity, operation)
    worker = client.worker()
    batch = await worker.batch()
    await client.signal(entity, "fourth")
    await client.signal(entity, "fifth")

    done: list[str] = []
    while len(done) < 5:
        done += batch.operations
        await batch.operate(state="x")
        batch = await worker.batch() if len(done) < 5 else batch

    assert done == ["first", "second", "third", "fourth", "fifth"]


@pytest.mark.checklist(71)
async def test_of_one_entity_only_one_batch_is_out(hub: EngineUnderTest, client: Client) -> None:
    only_entities = messages.WorkItemFilters(entities=[messages.EntityFilter(name="counter")])
    first, entity = client.worker(work_item_filters=only_entities), hub.entity()
    await client.signal(entity, "add")
    batch = await first.batch()
    second = client.worker()

    await client.signal(entity, "add")
    other = await client.start()
    meanwhile = await second.next()
    await batch.operate(state="1")
    first.leave()

    assert meanwhile.instance == other
    assert (await second.batch()).request.entity_state == "1"


@pytest.mark.checklist(71)
async def test_an_operation_sees_the_state_that_the_one_before_left(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    seen = []
    for state in ("one", "", None):
        await client.signal(entity, "set")
        batch = await worker.batch()
        seen.append(batch.request.entity_state)
        await batch.operate(state=state)
    await client.signal(entity, "set")
    seen.append((await worker.batch()).request.entity_state)

    assert seen == [None, "one", "", None]


@pytest.mark.checklist(75)
async def test_a_batch_of_the_newer_form_holds_history_events(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    caller = await client.start()
    turn = await worker.turn()
    request_id = guid()

    await turn.decide(call(1, entity, "get", by=turn, request_id=request_id))

    batch = await worker.batch()
    called = operation_of(batch.request.operation_requests[0])
    assert batch.kind == "entity_request_v2"
    assert (called.operation, called.request_id) == ("get", request_id)
    assert called.parent_instance_id == caller
    assert called.parent_execution_id == turn.request.execution_id


@pytest.mark.checklist(75)
@pytest.mark.needs("batch form by header")
async def test_a_batch_of_the_older_form_holds_operations(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, request_id = client.worker(headers=V1), hub.entity(), guid()

    await client.signal(entity, "set", '"in"', request_id=request_id)

    batch = await worker.batch()
    (operation,) = batch.request.operations
    assert batch.kind == "entity_request"
    assert (operation.operation, operation.input) == ("set", '"in"')
    assert operation.request_id == request_id


@pytest.mark.checklist(75)
@pytest.mark.needs("batch form by header")
@pytest.mark.parametrize("headers", [(), V1], ids=["newer", "older"])
async def test_a_call_is_answered_in_either_form(
    hub: EngineUnderTest, client: Client, headers
) -> None:
    worker, request_id = client.worker(headers=headers), guid()
    await client.start()
    turn = await worker.turn()
    await turn.decide(call(1, hub.entity(), "get", by=turn, request_id=request_id))

    await (await worker.batch()).operate(succeeded('"out"'))

    (told,) = (await worker.turn()).new("entity_operation_completed")
    assert (told.request_id, told.output) == (request_id, '"out"')


@pytest.mark.checklist(76)
async def test_operations_without_a_result_are_sent_again(
    hub: EngineUnderTest, client: Client
) -> None:
    entity = hub.entity()
    for operation in ("first", "second", "third"):
        await client.signal(entity, operation)
    worker = client.worker()

    batch = await worker.batch()
    await batch.operate(succeeded(), state="1")

    rest = await worker.batch()
    assert rest.operations == [*batch.operations, "second", "third"][1:3]
    assert rest.request.entity_state == "1"


@pytest.mark.checklist(76)
async def test_a_batch_that_fails_as_a_whole_fails_its_calls_and_leaves_the_state(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "set")
    await (await worker.batch()).operate(state="old")
    await client.start()
    turn = await worker.turn()
    await turn.decide(call(1, entity, "get", by=turn))

    batch = await worker.batch()
    await batch.operate(results=[], state="new", failure_details=failure("IOError", "disk"))

    (told,) = (await worker.turn()).new("entity_operation_failed")
    assert told.failure_details == failure("IOError", "disk")
    assert (await client.entity(entity)).serialized_state == "old"


@pytest.mark.checklist(77)
@pytest.mark.needs("clock")
async def test_a_delayed_signal_arrives_when_its_time_has_come(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "later", scheduled_time=hub.now() + timedelta(hours=1))

    hub.advance(minutes=59)
    await client.signal(entity, "now")
    first = await worker.batch()
    await first.operate(state="x")
    hub.advance(minutes=1)

    assert first.operations == ["now"]
    assert (await worker.batch()).operations == ["later"]


@pytest.mark.checklist(77)
@pytest.mark.needs("clock", "restart")
async def test_a_delayed_signal_of_an_orchestrator_outlives_a_restart(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.start()
    later = hub.now() + timedelta(hours=1)
    await (await worker.turn()).decide(signal(1, entity, "later", scheduled_time=later))

    client = await hub.restart()
    worker = client.worker()
    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(hours=1)

    assert meanwhile.instance == other
    assert (await worker.next()).operations == ["later"]


@pytest.mark.checklist(78)
async def test_an_entity_can_start_an_orchestration_that_reports_to_nobody(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, id = client.worker(), hub.new_id()
    await client.signal(hub.entity(), "go")

    action = start_orchestration(instance_id=id, name="order", input='"in"', version="1")
    await (await worker.batch()).operate(actions=[action])

    started = (await worker.turn(id)).new("execution_started")[0]
    assert (started.name, started.input, started.version) == ("order", '"in"', "1")
    assert started.parent_instance is None


@pytest.mark.checklist(78)
async def test_an_entity_that_starts_what_exists_goes_on_undisturbed(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    id = await client.start(input='"mine"')
    await client.signal(entity, "go")

    action = start_orchestration(instance_id=id, name="order", input='"other"')
    await (await worker.batch()).operate(actions=[action], state="done")

    assert (await client.state(id)).input == '"mine"'
    assert (await client.entity(entity)).serialized_state == "done"


@pytest.mark.checklist(78)
async def test_an_entity_can_signal_another(hub: EngineUnderTest, client: Client) -> None:
    worker, target = client.worker(), hub.entity("account")
    await client.signal(hub.entity(), "go")

    sent = messages.SendSignalAction(instance_id=target, name="add", input="1")
    action = messages.OperationAction(send_signal=sent)
    await (await worker.batch()).operate(actions=[action])

    batch = await worker.batch(target)
    assert batch.operations == ["add"]
    assert operation_of(batch.request.operation_requests[0]).input == "1"


@pytest.mark.checklist(79)
async def test_a_call_is_answered_once_though_its_batch_is_answered_twice(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    caller = await client.start()
    turn = await worker.turn()
    await turn.decide(call(1, hub.entity(), "get", by=turn))
    batch = await worker.batch()

    await batch.operate(succeeded('"first"'))
    await batch.operate(succeeded('"second"'))
    answered = await worker.turn()
    await answered.decide()
    await client.raise_event(caller)

    told = [each.output for each in answered.new("entity_operation_completed")]
    assert told == ['"first"']
    # A worker fails an orchestration that gets an answer it does not wait for.
    assert (await worker.turn()).events == ["orchestrator_started", "event_raised"]


@pytest.mark.checklist(79)
async def test_a_call_that_is_asked_for_twice_runs_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    caller, request_id = await client.start(), guid()
    turn = await worker.turn()
    await turn.decide(call(1, entity, "get", by=turn, request_id=request_id))
    await client.raise_event(caller)
    turn = await worker.turn()
    await turn.decide(call(1, entity, "get", by=turn, request_id=request_id))

    batch = await worker.batch()
    await batch.operate(*[succeeded('"out"') for _ in batch.operations])
    last = await worker.turn()

    assert batch.operations == ["get"]
    assert len(last.new("entity_operation_completed")) == 1
    assert last.past_events.count("entity_operation_called") == 1


@pytest.mark.checklist(79)
async def test_an_operation_that_fails_tells_its_caller_why(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, request_id = client.worker(), guid()
    await client.start()
    turn = await worker.turn()
    await turn.decide(call(1, hub.entity(), "get", by=turn, request_id=request_id))
    details = failure("IOError", "disk", inner_failure=failure())

    await (await worker.batch()).operate(raised(details))

    (told,) = (await worker.turn()).new("entity_operation_failed")
    assert (told.request_id, told.failure_details) == (request_id, details)


@pytest.mark.checklist(79)
async def test_the_answer_of_an_entity_to_a_caller_that_has_ended_is_dropped(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    caller = await client.start()
    turn = await worker.turn()
    await turn.decide(call(1, entity, "get", by=turn), complete(2, '"done"'))

    await (await worker.batch()).operate(state="1")

    other = await client.start()
    assert (await client.state(caller)).output == '"done"'
    assert (await worker.next()).instance == other
    assert (await client.entity(entity)).serialized_state == "1"


@pytest.mark.checklist(80)
async def test_an_entity_without_anything_is_gone_after_cleaning(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, empty, full = client.worker(), hub.entity(), hub.entity()
    await client.signal(empty, "set")
    await (await worker.batch(empty)).operate(state=None)
    await client.signal(full, "set")
    await (await worker.batch(full)).operate(state="1")

    await client.clean(remove_empty_entities=True)

    assert await client.entity(empty) is None
    assert (await client.entity(full)).serialized_state == "1"


@pytest.mark.checklist(80)
async def test_an_entity_that_nobody_has_spoken_to_does_not_exist(
    hub: EngineUnderTest, client: Client
) -> None:
    assert await client.entity(hub.entity()) is None


@pytest.mark.checklist(80)
async def test_entities_are_found_by_the_beginning_of_their_ids_page_by_page(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    entities = sorted(hub.entity("account") for _ in range(5))
    for entity in (*entities, hub.entity("counter")):
        await client.signal(entity, "set")
        await (await worker.batch()).operate(state="1")

    found: list[messages.EntityMetadata] = []
    token = None
    while not found or token:
        query = messages.EntityQuery(
            instance_id_starts_with=f"@account@{hub.prefix}",
            page_size=2,
            include_state=True,
            continuation_token=token,
        )
        page = await client.call(methods.QUERY_ENTITIES, query=query)
        token = page.continuation_token
        found += page.entities

    assert [entity.instance_id for entity in found] == entities
    assert {entity.serialized_state for entity in found} == {"1"}


@pytest.mark.checklist(80)
async def test_an_entity_is_purged_like_an_instance(hub: EngineUnderTest, client: Client) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "set")
    await (await worker.batch()).operate(state="1")

    count, _ = await client.purge(entity, is_orchestration=False)

    assert count == 1
    assert await client.entity(entity) is None


@pytest.mark.checklist(71)
async def test_the_name_of_an_entity_is_lower_case_whatever_its_caller_writes(
    hub: EngineUnderTest, client: Client
) -> None:
    entity = hub.entity("counter")

    await client.signal(entity.replace("counter", "Counter", 1), "add")

    assert (await client.worker().batch()).instance == entity


@pytest.mark.checklist(71)
async def test_a_signal_needs_the_id_of_an_entity(hub: EngineUnderTest, client: Client) -> None:
    code = await client.refusal(
        methods.SIGNAL_ENTITY, instance_id=hub.new_id(), name="add", request_id=guid()
    )

    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.checklist(79)
async def test_a_signal_that_is_sent_twice_runs_once(hub: EngineUnderTest, client: Client) -> None:
    entity, request_id = hub.entity(), guid()
    for _ in range(2):
        await client.signal(entity, "add", request_id=request_id)
    await client.signal(entity, "get")

    assert (await client.worker().batch()).operations == ["add", "get"]


@pytest.mark.checklist(71)
@pytest.mark.needs("restart")
async def test_an_entity_keeps_its_state_and_its_messages_over_a_restart(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "set")
    await (await worker.batch()).operate(state="1")
    await client.signal(entity, "add")
    await client.signal(entity, "get")

    client = await hub.restart()

    batch = await client.worker().batch()
    assert (batch.request.entity_state, batch.operations) == ("1", ["add", "get"])


@pytest.mark.checklist(77)
@pytest.mark.needs("clock")
async def test_a_signal_that_an_entity_delays_arrives_when_its_time_has_come(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "go")
    sent = messages.SendSignalAction(
        instance_id=entity, name="later", scheduled_time=hub.now() + timedelta(hours=1)
    )
    await (await worker.batch()).operate(actions=[messages.OperationAction(send_signal=sent)])

    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(hours=1)

    assert meanwhile.instance == other
    assert (await worker.next()).operations == ["later"]


@pytest.mark.checklist(77)
@pytest.mark.needs("clock")
async def test_an_entity_starts_an_orchestration_at_the_time_that_it_says(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, id = client.worker(), hub.new_id()
    await client.signal(hub.entity(), "go")
    action = start_orchestration(
        instance_id=id, name="order", scheduled_time=hub.now() + timedelta(hours=1)
    )
    await (await worker.batch()).operate(actions=[action])

    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(hours=1)

    assert meanwhile.instance == other
    assert (await worker.next()).instance == id


@pytest.mark.checklist(80)
async def test_the_state_of_an_entity_comes_only_with_the_flag(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    await client.signal(entity, "set")
    await (await worker.batch()).operate(state="1")

    shown = []
    for include in (False, True):
        found = await client.call(methods.GET_ENTITY, instance_id=entity, include_state=include)
        shown.append((found.exists, found.entity.serialized_state))

    assert shown == [(True, None), (True, "1")]


@pytest.mark.checklist(80)
async def test_entities_that_have_only_messages_are_found_when_asked_for(
    hub: EngineUnderTest, client: Client
) -> None:
    entity = hub.entity()
    await client.signal(entity, "set")

    found = []
    for include in (False, True):
        query = messages.EntityQuery(
            instance_id_starts_with=f"@counter@{hub.prefix}", include_transient=include
        )
        page = await client.call(methods.QUERY_ENTITIES, query=query)
        found.append([(each.instance_id, each.backlog_queue_size) for each in page.entities])

    assert found == [[], [(entity, 1)]]


@pytest.mark.checklist(80)
async def test_entities_are_not_found_among_instances(hub: EngineUnderTest, client: Client) -> None:
    id, entity = await client.start(), hub.entity()
    await client.signal(entity, "set")

    found = [state.instance_id for state in (await client.query()).orchestration_state]

    assert id in found
    assert entity not in found


@pytest.mark.checklist(76)
async def test_operations_of_one_batch_may_succeed_and_fail_side_by_side(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    good, bad = guid(), guid()
    await client.start()
    turn = await worker.turn()
    await turn.decide(
        call(1, entity, "good", by=turn, request_id=good),
        call(2, entity, "bad", by=turn, request_id=bad),
    )
    outcomes = {"good": succeeded('"1"'), "bad": raised(failure())}

    answers: dict[str, str] = {}
    while len(answers) < 2:
        work = await worker.next()
        if work.kind == "orchestrator_request":
            answers |= {each.request_id: "good" for each in work.new("entity_operation_completed")}
            answers |= {each.request_id: "bad" for each in work.new("entity_operation_failed")}
            await work.decide()
        else:
            await work.operate(*(outcomes[each] for each in work.operations), state="1")

    assert answers == {good: "good", bad: "bad"}
