"""What entities do: state, calls, signals, locks, queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from harness import scenario, until

from durabletask.client import EntityQuery, OrchestrationStatus
from durabletask.entities import DurableEntity, EntityInstanceId
from durabletask.task import TaskFailedError, when_all

SOON = timedelta(milliseconds=20)


def tally(ctx, amount):
    """A function as an entity: a number that is added to."""
    if ctx.operation == "fail":
        raise ArithmeticError("no more")
    if ctx.operation == "add":
        ctx.set_state(ctx.get_state(int, 0) + amount)
    if ctx.operation == "set":
        ctx.set_state(amount)
    return ctx.get_state(int, 0)


class Journal(DurableEntity):
    """A class as an entity: a list that is written to."""

    def write(self, line):
        self.set_state([*self.get_state(list, []), line])

    def read(self):
        return self.get_state(list, [])

    def forward(self, line):
        self.signal_entity(EntityInstanceId("Journal", "copy"), "write", line)

    def start(self, instance_id):
        return self.schedule_new_orchestration("started", "by an entity", instance_id=instance_id)


def state_of(harness, entity_id):
    found = harness.client.get_entity(entity_id)
    return None if found is None else found.get_typed_state()


@scenario()
def signals_change_the_state_of_a_function_entity(harness):
    harness.host(entities=[tally])
    entity_id = EntityInstanceId("tally", "one")
    assert harness.client.get_entity(entity_id) is None

    for amount in (1, 2, 3):
        harness.client.signal_entity(entity_id, "add", input=amount)

    until(lambda: state_of(harness, entity_id) == 6)
    found = harness.client.get_entity(entity_id)
    assert found.id == entity_id
    assert found.last_modified.tzinfo is not None
    assert harness.client.get_entity(entity_id, include_state=False).includes_state is False


@scenario()
def signals_are_worked_in_the_order_they_are_sent(harness):
    entity_id = EntityInstanceId("Journal", "long")
    for number in range(100):
        harness.client.signal_entity(entity_id, "write", input=number)

    harness.host(entities=[Journal])

    until(lambda: len(state_of(harness, entity_id) or []) == 100)
    assert state_of(harness, entity_id) == list(range(100))


@scenario()
def an_orchestration_calls_entities_and_gets_their_results(harness):
    def orchestrator(ctx, _):
        one, two = EntityInstanceId("tally", "one"), EntityInstanceId("Journal", "Two")
        ctx.signal_entity(one, "add", 5)
        total = yield ctx.call_entity(one, "add", 2)
        yield ctx.call_entity(two, "write", "line")
        return [total, (yield ctx.call_entity(two, "read"))]

    harness.host(orchestrator, entities=[tally, Journal])

    assert harness.result(orchestrator) == [7, ["line"]]
    assert state_of(harness, EntityInstanceId("journal", "Two")) == ["line"]


@scenario()
def a_failed_operation_reaches_its_caller_and_changes_nothing(harness):
    def orchestrator(ctx, _):
        one = EntityInstanceId("tally", "one")
        yield ctx.call_entity(one, "add", 5)
        try:
            yield ctx.call_entity(one, "fail")
        except TaskFailedError as error:
            return [str(error), (yield ctx.call_entity(one, "add", 1))]

    harness.host(orchestrator, entities=[tally])
    message, total = harness.result(orchestrator)

    assert "no more" in message
    assert total == 6


class Clock(DurableEntity):
    def strike(self):
        self.set_state(datetime.now(UTC).isoformat())


@scenario()
def a_delayed_signal_comes_no_earlier_than_asked(harness):
    harness.host(entities=[Clock])
    entity_id = EntityInstanceId("Clock", "tower")
    due = datetime.now(UTC) + timedelta(milliseconds=500)

    harness.client.signal_entity(entity_id, "strike", signal_time=due)

    struck = until(lambda: state_of(harness, entity_id))
    assert datetime.fromisoformat(struck) >= due


@scenario()
def an_orchestration_sends_a_delayed_signal(harness):
    entity_id = EntityInstanceId("Clock", "station")

    def orchestrator(ctx, _):
        due = ctx.current_utc_datetime + timedelta(milliseconds=300)
        ctx.signal_entity(entity_id, "strike", signal_time=due)
        return due.replace(tzinfo=UTC).isoformat()

    harness.host(orchestrator, entities=[Clock])
    due = harness.result(orchestrator)

    struck = until(lambda: state_of(harness, entity_id))
    assert datetime.fromisoformat(struck) >= datetime.fromisoformat(due)


@scenario()
def an_entity_signals_another_and_starts_an_orchestration(harness):
    def started(_ctx, text):
        return text

    harness.host(started, entities=[Journal])
    entity_id = EntityInstanceId("Journal", "original")

    harness.client.signal_entity(entity_id, "forward", input="hello")
    harness.client.signal_entity(entity_id, "start", input="new-one")

    until(lambda: state_of(harness, EntityInstanceId("Journal", "copy")) == ["hello"])
    until(lambda: harness.client.get_orchestration_state("new-one"))
    assert harness.wait("new-one").get_output() == "by an entity"


def _read_pause_write(ctx, entity_id):
    """Loses an update unless no other does the same at once."""
    total = yield ctx.call_entity(entity_id, "get")
    yield ctx.create_timer(SOON)
    yield ctx.call_entity(entity_id, "set", total + 1)


@scenario()
def a_lock_keeps_others_out(harness):
    def orchestrator(ctx, _):
        entity_id = EntityInstanceId("tally", "shared")
        with (yield ctx.lock_entities([entity_id])):
            yield from _read_pause_write(ctx, entity_id)

    harness.host(orchestrator, entities=[tally])

    for instance_id in [harness.start(orchestrator) for _ in range(10)]:
        assert harness.wait(instance_id).runtime_status is OrchestrationStatus.COMPLETED
    assert state_of(harness, EntityInstanceId("tally", "shared")) == 10


@scenario()
def locks_that_cross_do_not_block_each_other(harness):
    def orchestrator(ctx, keys):
        ids = [EntityInstanceId("tally", key) for key in keys]
        with (yield ctx.lock_entities(ids)):
            for entity_id in ids:
                yield from _read_pause_write(ctx, entity_id)

    harness.host(orchestrator, entities=[tally])
    orders = [["a", "b"], ["b", "a"]] * 4

    for instance_id in [harness.start(orchestrator, input=keys) for keys in orders]:
        assert harness.wait(instance_id).runtime_status is OrchestrationStatus.COMPLETED
    for key in "ab":
        assert state_of(harness, EntityInstanceId("tally", key)) == len(orders)


@scenario("its locks keep no signals out")
def a_signal_waits_for_the_lock_to_be_released(harness):
    def holder(ctx, _):
        journal = EntityInstanceId("Journal", "held")
        with (yield ctx.lock_entities([journal])):
            ctx.set_custom_status("held")
            yield ctx.wait_for_external_event("release")
            yield ctx.call_entity(journal, "write", "holder")

    harness.host(holder, entities=[Journal])
    journal = EntityInstanceId("Journal", "held")
    instance_id = harness.start(holder)
    until(lambda: harness.state(instance_id).get_custom_status() == "held")

    harness.client.signal_entity(journal, "write", input="other")
    harness.client.raise_orchestration_event(instance_id, "release")

    harness.wait(instance_id)
    until(lambda: state_of(harness, journal) == ["holder", "other"])


@scenario()
def the_lock_of_a_holder_that_fails_or_is_terminated_is_released(harness):
    def holder(ctx, ending):
        yield ctx.lock_entities([EntityInstanceId("tally", "shared")])
        if ending == "fail":
            raise RuntimeError("with the lock in hand")
        ctx.set_custom_status("held")
        yield ctx.wait_for_external_event("never")

    harness.host(holder, entities=[tally])
    harness.run(holder, input="fail")
    terminated = harness.start(holder, input="hang")
    until(lambda: harness.state(terminated).get_custom_status() == "held")
    harness.client.terminate_orchestration(terminated)
    harness.wait(terminated)

    harness.client.signal_entity(EntityInstanceId("tally", "shared"), "add", input=1)

    until(lambda: state_of(harness, EntityInstanceId("tally", "shared")) == 1)


@scenario()
def many_orchestrations_call_one_entity(harness):
    def orchestrator(ctx, amount):
        entity_id = EntityInstanceId("tally", "busy")
        yield when_all([ctx.call_entity(entity_id, "add", amount) for _ in range(5)])

    harness.host(orchestrator, entities=[tally])

    for instance_id in [harness.start(orchestrator, input=1) for _ in range(20)]:
        assert harness.wait(instance_id).runtime_status is OrchestrationStatus.COMPLETED
    assert state_of(harness, EntityInstanceId("tally", "busy")) == 100


@scenario()
def entities_are_found_by_prefix_page_by_page(harness):
    harness.host(entities=[tally, Journal])
    for number in range(7):
        harness.client.signal_entity(EntityInstanceId("tally", f"k{number}"), "add", input=number)
    harness.client.signal_entity(EntityInstanceId("Journal", "other"), "write", input="x")
    query = EntityQuery(instance_id_starts_with="@tally@k", page_size=3)

    until(lambda: len(harness.client.get_all_entities(query)) == 7)
    found = harness.client.get_all_entities(query)
    assert [str(one.id) for one in found] == [f"@tally@k{number}" for number in range(7)]
    assert [one.get_typed_state() for one in found] == list(range(7))
    until(lambda: len(harness.client.get_all_entities()) == 8)


@scenario()
def a_deleted_entity_is_gone(harness):
    harness.host(entities=[Journal])
    entity_id = EntityInstanceId("Journal", "brief")
    harness.client.signal_entity(entity_id, "write", input="x")
    until(lambda: state_of(harness, entity_id) == ["x"])

    harness.client.signal_entity(entity_id, "delete")

    until(lambda: state_of(harness, entity_id) is None)
    harness.client.clean_entity_storage()
    assert harness.client.get_entity(entity_id) is None


@scenario("it takes every living lock for an orphan")
def cleaning_spares_what_is_in_use(harness):
    def holder(ctx, _):
        journal = EntityInstanceId("Journal", "held")
        with (yield ctx.lock_entities([journal])):
            ctx.set_custom_status("held")
            yield ctx.wait_for_external_event("release")

    harness.host(holder, entities=[Journal])
    instance_id = harness.start(holder)
    until(lambda: harness.state(instance_id).get_custom_status() == "held")

    cleaned = harness.client.clean_entity_storage()

    assert (cleaned.empty_entities_removed, cleaned.orphaned_locks_released) == (0, 0)
    harness.client.raise_orchestration_event(instance_id, "release")
    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.COMPLETED
