"""Decorated entities stay what they are, and what orchestrators ask of them has its type."""

from __future__ import annotations

from typing import Any, assert_type

from durabletask.entities import DurableEntity, EntityContext, EntityInstanceId
from durabletask.task import OrchestrationContext
from durabletask.worker import (
    ActivityWorkItemFilter,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    TaskHubGrpcWorker,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)

worker = TaskHubGrpcWorker()


@worker.entity
class Counter(DurableEntity):
    def add(self, amount: int) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        return total


@worker.entity(name="basket")
class Basket(DurableEntity):
    def clear(self) -> None:
        self.set_state(None)


@worker.entity
def account(ctx: EntityContext, amount: int) -> int:
    balance = ctx.get_state(int, 0) + amount
    ctx.set_state(balance)
    return balance


@worker.entity(name="log")
def write(ctx: EntityContext, line: str) -> None:
    ctx.set_state([*ctx.get_state(list, []), line])


async def transfer(ctx: OrchestrationContext, amount: int) -> int:
    source, target = EntityInstanceId("account", "a"), EntityInstanceId("account", "b")
    with await ctx.lock_entities([source, target]):
        left = await ctx.call_entity(source, "add", -amount, return_type=int)
        assert_type(left, int)
        assert_type(await ctx.call_entity(target, "add", amount), Any)
    ctx.signal_entity(EntityInstanceId("log", "a"), "write", "moved")
    return left


def registered(worker: TaskHubGrpcWorker) -> None:
    assert_type(Counter().add(1), int)
    assert_type(account(EntityContext("@account@a", "add"), 1), int)
    assert_type(worker.add_entity(Basket, "another"), str)
    assert_type(worker.add_entity(write), str)
    worker.add_orchestrator(transfer)
    worker.add_capability(2)
    worker.use_versioning(
        VersioningOptions(
            version="1.0",
            default_version="1.0",
            match_strategy=VersionMatchStrategy.CURRENT_OR_OLDER,
            failure_strategy=VersionFailureStrategy.REJECT,
        )
    )
    worker.use_work_item_filters()
    worker.use_work_item_filters(None)
    worker.use_work_item_filters(
        WorkItemFilters(
            orchestrations=[OrchestrationWorkItemFilter("transfer", ["1.0"])],
            activities=[ActivityWorkItemFilter("charge")],
            entities=[EntityWorkItemFilter("counter")],
        )
    )
