"""Orchestrations of every kind, with a client that does something to some of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.sidecar.engine.commands import (
    Purge,
    RaiseEvent,
    Resume,
    Rewind,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.task import RetryPolicy, TaskFailedError, when_all, when_any
from tests.builders.inline_sidecar import HOUR, NOON, Call, Scenario

if TYPE_CHECKING:
    from collections.abc import Generator

    from durabletask.task import ActivityContext, OrchestrationContext, Task

    Orchestration = Generator[Task[Any], Any, Any]

TWICE = RetryPolicy(first_retry_interval=timedelta(minutes=1), max_number_of_attempts=2)


def double(_: ActivityContext, number: int) -> int:
    return number * 2


def refuse(_: ActivityContext, what: str) -> None:
    raise ValueError(what)


def chain(ctx: OrchestrationContext, _: Any) -> Orchestration:
    number = 1
    for _step in range(3):
        number = yield ctx.call_activity(double, input=number)
        ctx.set_custom_status(number)
    return number


def fan_out(ctx: OrchestrationContext, _: Any) -> Orchestration:
    return (yield when_all([ctx.call_activity(double, input=number) for number in range(4)]))


def race(ctx: OrchestrationContext, _: Any) -> Orchestration:
    quick, slow = ctx.create_timer(HOUR), ctx.create_timer(2 * HOUR)
    winner = yield when_any([slow, quick])
    yield slow
    return "quick" if winner is quick else "slow"


def stubborn(ctx: OrchestrationContext, _: Any) -> Orchestration:
    try:
        yield ctx.call_activity(refuse, input="no", retry_policy=TWICE)
    except TaskFailedError:
        return "gave up"


def leaf(ctx: OrchestrationContext, number: int) -> Orchestration:
    if number == 2:
        raise ValueError("two")
    return (yield ctx.call_activity(double, input=number))


def family(ctx: OrchestrationContext, _: Any) -> Orchestration:
    good = yield ctx.call_sub_orchestrator(leaf, input=1)
    children = [ctx.call_sub_orchestrator(leaf, input=number) for number in (2, 3)]
    try:
        yield when_all(children)
    except TaskFailedError:
        return [good, "one failed"]


def eternal(ctx: OrchestrationContext, lap: int) -> Orchestration:
    ctx.set_custom_status(f"lap {lap}")
    yield ctx.call_activity(double, input=lap)
    yield ctx.create_timer(timedelta(minutes=1))
    # Nobody waits for these: the next generation must not meet their results.
    ctx.call_activity(double, input=100 + lap)
    ctx.create_timer(HOUR)
    if lap < 2:
        ctx.continue_as_new(lap + 1, save_events=True)
        return None
    early = yield ctx.wait_for_external_event("early")
    late = yield ctx.wait_for_external_event("late")
    return [early, late, lap]


def listener(ctx: OrchestrationContext, _: Any) -> Orchestration:
    first = yield ctx.wait_for_external_event("greet")
    second = yield ctx.wait_for_external_event("greet")
    return [first, second]


def speaker(ctx: OrchestrationContext, to: str) -> Orchestration:
    ctx.send_event(to, "greet", data="hello")
    yield ctx.create_timer(HOUR)
    ctx.send_event(to, "greet", data="again")
    return "said"


def approval(ctx: OrchestrationContext, _: Any) -> Orchestration:
    approved = ctx.wait_for_external_event("approve")
    yield when_any([approved, ctx.create_timer(HOUR)])
    if not approved.is_complete:
        return "too late"
    return [approved.get_result(), (yield ctx.call_activity(double, input=4))]


def ancestor(ctx: OrchestrationContext, depth: int) -> Orchestration:
    if depth == 0:
        return (yield ctx.wait_for_external_event("never"))
    return (yield ctx.call_sub_orchestrator(ancestor, input=depth - 1))


def careless(ctx: OrchestrationContext, _: Any) -> str:
    ctx.call_activity(double, input=1)
    ctx.create_timer(HOUR)
    return "did not wait"


def account(ctx: EntityContext, amount: int) -> int:
    balance: int = ctx.get_state(int, 0)
    if ctx.operation == "add":
        balance += amount
        ctx.set_state(balance)
        ctx.signal_entity(EntityInstanceId("journal", "all"), "note", amount)
    return balance


def journal(ctx: EntityContext, amount: int) -> list[int]:
    lines: list[int] = [*ctx.get_state(list, []), amount]
    ctx.set_state(lines)
    return lines


def transfer(ctx: OrchestrationContext, amount: int) -> Orchestration:
    """Move what one account has, and some more, to the other."""
    first, second = EntityInstanceId("account", "a"), EntityInstanceId("account", "b")
    ctx.signal_entity(first, "add", amount)
    with (yield ctx.lock_entities([second, first])):
        has = yield ctx.call_entity(first, "read")
        yield ctx.create_timer(HOUR)
        yield ctx.call_entity(first, "add", -has)
        yield ctx.call_entity(second, "add", has)
    return has


def hoarder(ctx: OrchestrationContext, _: Any) -> Orchestration:
    """Never gives back what it has locked; somebody else has to see to that."""
    yield ctx.lock_entities([EntityInstanceId("account", "a")])
    yield ctx.wait_for_external_event("never")


def guardian(ctx: OrchestrationContext, _: Any) -> Orchestration:
    return (yield ctx.call_sub_orchestrator(hoarder))


def deserter(ctx: OrchestrationContext, _: Any) -> str:
    """Leaves a child behind that lives and holds a lock."""
    ctx.call_sub_orchestrator(hoarder)
    return "gone"


def hopeless(ctx: OrchestrationContext, _: Any) -> Orchestration:
    """Fails as often as it is tried, and its child with it."""
    good = yield ctx.call_activity(double, input=1)
    yield ctx.call_sub_orchestrator(leaf, input=good)


ORCHESTRATORS = (
    chain,
    fan_out,
    race,
    stubborn,
    leaf,
    family,
    eternal,
    listener,
    speaker,
    approval,
    ancestor,
    careless,
    transfer,
    hoarder,
    guardian,
    deserter,
    hopeless,
)


def scenario(*calls: Call) -> Scenario:
    return Scenario(ORCHESTRATORS, (double, refuse), calls, (account, journal))


def start(name: str, input: str | None = None, *, id: str = "a", **fields: Any) -> Call:
    return Call(StartInstance(name, input, **fields), id)


SCENARIOS = {
    "chain": scenario(start("chain")),
    "fan-out": scenario(start("fan_out")),
    "timers": scenario(start("race")),
    "retries": scenario(start("stubborn")),
    "children": scenario(start("family")),
    "continue-as-new": scenario(
        start("eternal", "0"),
        Call(RaiseEvent("early", '"bird"')),
        Call(RaiseEvent("late", '"owl"')),
    ),
    "events among instances": scenario(start("listener"), start("speaker", '"a"', id="b")),
    "approved": scenario(start("approval"), Call(RaiseEvent("approve", '"yes"'))),
    "not approved": scenario(start("approval")),
    "suspended": scenario(
        start("approval"),
        Call(Suspend("wait")),
        Call(RaiseEvent("approve", '"yes"')),
        Call(Resume("go on")),
    ),
    "terminated": scenario(
        start("ancestor", "2"), start("chain", id="b"), Call(Terminate('"enough"', recursive=True))
    ),
    "scheduled": scenario(start("chain", scheduled_start=NOON + HOUR)),
    "not awaited": scenario(start("careless")),
    "entities": scenario(start("transfer", "5")),
    "entities contended for": scenario(
        start("transfer", "5"), start("transfer", "7", id="b"), start("transfer", "9", id="c")
    ),
    "a lock taken back": scenario(
        start("hoarder"), start("transfer", "5", id="b"), Call(Terminate('"enough"'))
    ),
    "suspended between generations": scenario(
        start("eternal", "0"),
        Call(Suspend("wait")),
        Call(RaiseEvent("early", '"bird"')),
        Call(Resume("go on")),
        Call(RaiseEvent("late", '"owl"')),
    ),
    "a family terminated that holds a lock": scenario(
        start("guardian"),
        start("transfer", "5", id="b"),
        Call(Terminate('"enough"', recursive=True)),
    ),
    "purged": scenario(start("family"), Call(Purge(recursive=True)), start("chain")),
    "purged with a child that holds a lock": scenario(
        start("deserter"), start("transfer", "5", id="b"), Call(Purge(recursive=True))
    ),
    "rewound": scenario(start("hopeless"), Call(Rewind("try again"))),
    "many at once": scenario(
        start("family"), start("race", id="b"), start("chain", id="c", scheduled_start=NOON + HOUR)
    ),
}
