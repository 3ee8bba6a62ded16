"""Entities end to end: state, signals, calls and locks, with our client, sidecar and worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import EntityQuery, OrchestrationStatus
from durabletask.entities import DurableEntity, EntityContext, EntityInstanceId

if TYPE_CHECKING:
    from tests.e2e.conftest import Harness

# Dapr's dialect has no entities.
WAYS = ("warm", "replayed")


def counter(ctx: EntityContext, amount: int) -> int:
    value: int = ctx.get_state(int, 0)
    if ctx.operation == "add":
        value += amount
        ctx.set_state(value)
    if ctx.operation == "break":
        ctx.set_state(-1)
        raise ValueError("broken")
    return value


class Account(DurableEntity):
    def deposit(self, amount: int) -> int:
        balance = self.get_state(int, 0) + amount
        self.set_state(balance)
        return balance

    def open_loan(self, amount: int) -> None:
        self.signal_entity(EntityInstanceId("account", "bank"), "deposit", -amount)
        self.schedule_new_orchestration("welcome", input=amount, instance_id=f"loan-{amount}")


COUNTER = EntityInstanceId("counter", "a")
ACCOUNT = EntityInstanceId("account", "ada")


async def add(ctx: task.OrchestrationContext, amounts: list[int]) -> list[int]:
    return [await ctx.call_entity(COUNTER, "add", amount) for amount in amounts]


def test_an_entity_keeps_its_state_between_calls(harness: Harness) -> None:
    harness.worker.add_entity(counter)
    harness.host(add)

    assert harness.run(add, input=[1, 2, 3]).get_output() == [1, 3, 6]
    assert harness.run(add, input=[4]).get_output() == [10]


def test_a_class_is_an_entity_and_its_methods_are_operations(harness: Harness) -> None:
    def save(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.call_entity(ACCOUNT, "deposit", 5)
        return (yield ctx.call_entity(ACCOUNT, "deposit", 6))

    harness.worker.add_entity(Account)
    harness.host(save)

    assert harness.run(save).get_output() == 11


def test_signals_arrive_in_the_order_in_which_they_were_sent(harness: Harness) -> None:
    async def remember(ctx: task.OrchestrationContext) -> list[int]:
        for number in range(20):
            ctx.signal_entity(EntityInstanceId("log", "a"), "append", number)
        return await ctx.call_entity(EntityInstanceId("log", "a"), "read")

    def log(ctx: EntityContext, number: int | None) -> list[int]:
        lines = ctx.get_state(list, [])
        if ctx.operation == "append":
            ctx.set_state([*lines, number])
        return lines

    harness.worker.add_entity(log)
    harness.host(remember)

    assert harness.run(remember).get_output() == list(range(20))


def test_an_operation_that_fails_changes_nothing_and_tells_its_caller(harness: Harness) -> None:
    async def risky(ctx: task.OrchestrationContext) -> list[Any]:
        await ctx.call_entity(COUNTER, "add", 1)
        try:
            await ctx.call_entity(COUNTER, "break")
        except task.TaskFailedError as error:
            return [str(error), await ctx.call_entity(COUNTER, "read")]
        return []

    harness.worker.add_entity(counter)
    harness.host(risky)

    text, value = harness.run(risky).get_output()
    assert "broken" in text
    assert value == 1


def test_a_locked_entity_serves_its_holder_alone(harness: Harness) -> None:
    """Each reads and writes in two steps; without locks, some of the sum would be lost."""

    def register(ctx: EntityContext, value: int | None) -> int:
        if ctx.operation == "set":
            ctx.set_state(value)
        return ctx.get_state(int, 0)

    first, second = EntityInstanceId("register", "a"), EntityInstanceId("register", "b")

    async def move(ctx: task.OrchestrationContext, order: list[str]) -> None:
        locked = [EntityInstanceId("register", key) for key in order]
        with await ctx.lock_entities(locked):
            taken = await ctx.call_entity(first, "get")
            given = await ctx.call_entity(second, "get")
            await ctx.call_entity(first, "set", taken - 1)
            await ctx.call_entity(second, "set", given + 1)

    harness.worker.add_entity(register)
    harness.host(move)

    started = [harness.start(move, input=order) for order in 10 * (["a", "b"], ["b", "a"])]

    for instance_id in started:
        assert harness.wait(instance_id).runtime_status == OrchestrationStatus.COMPLETED
    balances = [harness.client.get_entity(each) for each in (first, second)]
    assert [each.get_typed_state(int) for each in balances if each is not None] == [-20, 20]


@pytest.mark.parametrize("ending", ["returns", "raises", "continues as new", "is terminated"])
def test_a_lock_ends_with_its_orchestration(harness: Harness, ending: str) -> None:
    async def hold(ctx: task.OrchestrationContext, generation: int) -> str:
        if generation == 2:
            return "went on"
        await ctx.lock_entities([COUNTER])
        await ctx.call_entity(COUNTER, "add", 1)
        if ending == "raises":
            raise ValueError("no")
        if ending == "continues as new":
            ctx.continue_as_new(2)
        if ending == "is terminated":
            ctx.set_custom_status("locked")
            await ctx.wait_for_external_event("never")
        return "returned"

    harness.worker.add_entity(counter)
    harness.host(hold, add)

    holder = harness.start(hold, input=1)
    if ending == "is terminated":
        harness.client.terminate_orchestration(holder)
    harness.wait(holder)

    # Without the lock's release this would wait for ever.
    assert harness.run(add, input=[1]).runtime_status == OrchestrationStatus.COMPLETED


def test_an_entity_signals_others_and_starts_orchestrations(harness: Harness) -> None:
    async def welcome(_ctx: task.OrchestrationContext, amount: int) -> int:
        return amount

    harness.worker.add_entity(Account)
    harness.host(welcome)

    harness.client.signal_entity(ACCOUNT, "open_loan", 100)

    # It may not exist yet, and a client that asks for it then would not wait.
    async def ask(ctx: task.OrchestrationContext) -> int:
        return await ctx.call_entity(ACCOUNT, "deposit", 0)

    asking = harness.new_worker()
    asking.add_orchestrator(ask)
    asking.add_entity(Account)
    with asking:
        asking.start()
        harness.run(ask)
    assert harness.wait("loan-100").get_output() == 100


def test_clients_signal_look_at_and_find_entities(harness: Harness) -> None:
    harness.worker.add_entity(counter)
    harness.host(add)
    client = harness.client
    assert client.get_entity(COUNTER) is None

    client.signal_entity(COUNTER, "add", 5)
    harness.run(add, input=[1])

    found = client.get_entity(COUNTER)
    assert found is not None
    assert found.get_typed_state(int) == 6
    assert [each.id for each in client.get_all_entities()] == [COUNTER]
    assert client.get_all_entities(EntityQuery(instance_id_starts_with="other")) == []


def test_a_delayed_signal_waits_and_holds_no_other(harness: Harness) -> None:
    harness.worker.add_entity(counter)
    harness.host(add)

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    harness.client.signal_entity(COUNTER, "add", 100, signal_time=tomorrow)

    assert harness.run(add, input=[1]).get_output() == [1]
    found = harness.client.get_entity(COUNTER)
    assert found is not None
    assert found.backlog_queue_size == 1


def test_what_failed_inside_a_critical_section_is_not_rewound_and_says_why(
    harness: Harness,
) -> None:
    """Its locks were given back; the rest of the section would run while others are in it."""

    async def careless(ctx: task.OrchestrationContext) -> None:
        with await ctx.lock_entities([COUNTER]):
            await ctx.call_entity(COUNTER, "break")

    harness.worker.add_entity(counter)
    harness.host(careless)
    instance_id = harness.start(careless)
    assert harness.wait(instance_id).runtime_status == OrchestrationStatus.FAILED

    harness.client.rewind_orchestration(instance_id)

    state = harness.wait(instance_id)
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert "failed inside a critical section" in state.failure_details.message
    assert "@counter@a" in state.failure_details.message
