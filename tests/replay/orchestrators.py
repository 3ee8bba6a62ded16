"""The orchestrators whose histories are kept in `histories/`.

Written against the official API only: `tests/replay/official_recorder.py` runs this very file with the
official SDK, and the tests replay what it recorded with ours. Changing one of them makes its
history foreign to it; record anew (`python -m tests.replay.record_official`).

Activities are called by name where the recording needs them to misbehave (`record.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durabletask import task

Steps = Generator[task.Task[Any], Any, Any]

SOON = timedelta(milliseconds=300)
NEVER = timedelta(hours=1)
PATIENT = task.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=100),
    max_number_of_attempts=3,
    backoff_coefficient=2.0,
)


@dataclass
class Order:
    item: str
    amount: int


@dataclass
class Receipt:
    order: Order
    total: float


def greet(_ctx: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def square(_ctx: task.ActivityContext, number: int) -> int:
    return number * number


def charge(_ctx: task.ActivityContext, order: Order) -> Receipt:
    return Receipt(order, order.amount * 2.5)


def chain(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    greetings = []
    for name in names:
        greeting = yield ctx.call_activity(greet, input=name)
        greetings.append(greeting)
    return greetings


def fan_out_fan_in(ctx: task.OrchestrationContext, numbers: list[int]) -> Steps:
    squares = yield task.when_all([ctx.call_activity(square, input=n) for n in numbers])
    return sum(squares)


def typed_payloads(ctx: task.OrchestrationContext, order: Order) -> Steps:
    receipt = yield ctx.call_activity(charge, input=order, tags={"shop": "corner"})
    return Receipt(receipt.order, receipt.total + order.amount)


def approval(ctx: task.OrchestrationContext, seconds: float) -> Steps:
    """Wait for an event, but not for ever."""
    approved = ctx.wait_for_external_event("Approval")
    timeout = ctx.create_timer(timedelta(seconds=seconds))
    winner = yield task.when_any([approved, timeout])
    if winner == approved:
        timeout.cancel()
        return {"approved_by": approved.get_result()}
    yield ctx.call_activity(greet, input="escalation")
    return "timed out"


def nested_groups(ctx: task.OrchestrationContext, numbers: list[int]) -> Steps:
    everything = task.when_all([ctx.call_activity(square, input=n) for n in numbers])
    timeout = ctx.create_timer(NEVER)
    winner = yield task.when_any([everything, timeout])
    return everything.get_result() if winner == everything else None


def activity_retried(ctx: task.OrchestrationContext, name: str) -> Steps:
    before = yield ctx.call_activity(greet, input=name)
    answer = yield ctx.call_activity("fail_twice", input=name, retry_policy=PATIENT)
    after = yield ctx.call_activity(greet, input=answer)
    return [before, answer, after]


def retries_in_parallel(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    calls = [ctx.call_activity("fail_twice", input=n, retry_policy=PATIENT) for n in names]
    return (yield task.when_all(calls))


def retries_exhausted(ctx: task.OrchestrationContext, name: str) -> Steps:
    try:
        yield ctx.call_activity("always_fail", input=name, retry_policy=PATIENT)
    except task.TaskFailedError as error:
        yield ctx.call_activity(greet, input=error.details.error_type)
        return str(error)


def flaky_child(ctx: task.OrchestrationContext, name: str) -> Steps:
    return (yield ctx.call_activity("fail_twice", input=name))


def child_retried(ctx: task.OrchestrationContext, name: str) -> Steps:
    first = yield ctx.call_sub_orchestrator(flaky_child, input=name, retry_policy=PATIENT)
    second = yield ctx.call_activity(greet, input=first)
    return [first, second]


def child(ctx: task.OrchestrationContext, name: str) -> Steps:
    return (yield ctx.call_activity(greet, input=f"{name}, child of {ctx.parent_instance_id}"))


def parent(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    named = ctx.call_sub_orchestrator(
        "child", input="Named", instance_id=f"{ctx.instance_id}-named"
    )
    numbered = [ctx.call_sub_orchestrator(child, input=name) for name in names]
    results = yield task.when_all([named, *numbered])
    return [result.split(",")[0] for result in results]


def child_fails(ctx: task.OrchestrationContext, name: str) -> Steps:
    yield ctx.call_sub_orchestrator("failing_child", input=name)


def failing_child(ctx: task.OrchestrationContext, name: str) -> Steps:
    yield ctx.call_activity("fail_with_cause", input=name)


def buffered_events(ctx: task.OrchestrationContext, _: None) -> Steps:
    """Read events that came before anybody waited for them, in another case of letters."""
    yield ctx.wait_for_external_event("Go")
    first = yield ctx.wait_for_external_event("item")
    second = yield ctx.wait_for_external_event("ITEM")
    both = [ctx.wait_for_external_event("late"), ctx.wait_for_external_event("LATE")]
    later = yield task.when_all(both)
    return [first, second, later]


def countdown(ctx: task.OrchestrationContext, left: int) -> Steps:
    """Continue as new, keeping events that nobody has read yet."""
    item = yield ctx.wait_for_external_event("item")
    yield ctx.call_activity(greet, input=item)
    if left > 1:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return item


def start_over(ctx: task.OrchestrationContext, round_number: int) -> Steps:
    """Continue as new, leaving unread events behind."""
    yield ctx.create_timer(SOON)
    if round_number < 3:
        ctx.continue_as_new(round_number + 1, save_events=False)
        return None
    return round_number


def pausable(ctx: task.OrchestrationContext, _: None) -> Steps:
    first = yield ctx.wait_for_external_event("first")
    second = yield ctx.call_activity(greet, input=first)
    third = yield ctx.wait_for_external_event("third")
    return [first, second, third]


def long_wait(ctx: task.OrchestrationContext, seconds: float) -> Steps:
    """Wait longer than one timer may last; recorded with a limit of a second."""
    yield ctx.create_timer(timedelta(seconds=seconds))
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(milliseconds=100))
    return (yield ctx.call_activity(greet, input="sleeper"))


def reports_progress(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    for done, name in enumerate(names):
        ctx.set_custom_status({"done": done, "of": len(names)})
        yield ctx.call_activity(greet, input=name)
    ctx.set_custom_status("finished")
    return len(names)


def activity_fails(ctx: task.OrchestrationContext, name: str) -> Steps:
    yield ctx.call_activity("fail_with_cause", input=name)


def one_of_many_fails(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    calls = [ctx.call_activity(greet, input=name) for name in names]
    broken = ctx.call_activity("fail_with_cause", input="unlucky")
    try:
        yield task.when_all([*calls, broken])
    except task.TaskFailedError as error:
        yield ctx.call_activity(greet, input="rescuer")
        return [str(error), error.details.is_caused_by(ValueError)]


def raises(ctx: task.OrchestrationContext, name: str) -> Steps:
    yield ctx.call_activity(greet, input=name)
    try:
        raise KeyError(name)
    except KeyError as missing:
        raise ValueError("no such thing") from missing


def sender(ctx: task.OrchestrationContext, receiver: str) -> Steps:
    ctx.send_event(receiver, "Parcel", data={"from": ctx.instance_id})
    yield ctx.call_activity(greet, input="sender")
    ctx.send_event(receiver, "parcel", data=None)
    return "sent"


def receiver(ctx: task.OrchestrationContext, _: None) -> Steps:
    first = yield ctx.wait_for_external_event("parcel")
    second = yield ctx.wait_for_external_event("parcel")
    return [first, second]


def deterministic_values(ctx: task.OrchestrationContext, _: None) -> Steps:
    first, second = ctx.new_uuid(), ctx.new_uuid()
    now = ctx.current_utc_datetime.isoformat()
    yield ctx.call_activity("greet", input=[first, second, now])
    return [ctx.new_uuid(), ctx.current_utc_datetime.isoformat()]


def reads_results_late(ctx: task.OrchestrationContext, numbers: list[int]) -> Steps:
    """Wait for the last call first, then for those that are complete by then, one of them twice."""
    calls = [ctx.call_activity(square, input=n) for n in numbers]
    yield task.when_all(calls)
    last = yield calls[-1]
    yield ctx.create_timer(SOON)
    first = yield calls[0]
    again = yield calls[0]
    return [last, first, again, calls[1].get_result()]


def retries_slowly(ctx: task.OrchestrationContext, name: str) -> Steps:
    """Wait longer between attempts than one timer may last."""
    slow = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=500),
        max_number_of_attempts=3,
        backoff_coefficient=3.0,
        max_retry_interval=timedelta(milliseconds=900),
    )
    return (yield ctx.call_activity("fail_twice", input=name, retry_policy=slow))


def child_retries_exhausted(ctx: task.OrchestrationContext, name: str) -> Steps:
    return (yield ctx.call_sub_orchestrator(failing_child, input=name, retry_policy=PATIENT))


def first_failure_wins(ctx: task.OrchestrationContext, name: str) -> Steps:
    """A group of any is done when one of its tasks has failed."""
    failing = ctx.call_activity("fail_with_cause", input=name)
    winner = yield task.when_any([failing, ctx.create_timer(NEVER)])
    try:
        return winner.get_result()
    except task.TaskFailedError as error:
        return {"failed": winner == failing, "with": error.details.message}


def loser_is_served_later(ctx: task.OrchestrationContext, _: None) -> Steps:
    """The waiter that lost is still first in line for the next event."""
    left, right = ctx.wait_for_external_event("item"), ctx.wait_for_external_event("item")
    winner = yield task.when_any([left, right])
    loser = yield right
    third = yield ctx.wait_for_external_event("item")
    return [winner == left, winner.get_result(), loser, third]


def clears_its_status(ctx: task.OrchestrationContext, _: None) -> Steps:
    ctx.set_custom_status([1, {"two": 2}])
    yield ctx.create_timer(SOON)
    ctx.set_custom_status(None)
    yield ctx.create_timer(SOON)


def upgrades_itself(ctx: task.OrchestrationContext, round_number: int) -> Steps:
    yield ctx.create_timer(SOON)
    if round_number > 1:
        return ctx.version
    ctx.continue_as_new(round_number + 1, new_version="2.0")
    ctx.continue_as_new("ignored: the first call counts")
    return None


def polls(ctx: task.OrchestrationContext, _: None) -> Steps:
    """One waiter across several timers, each of them cancelled or fired."""
    stop = ctx.wait_for_external_event("stop")
    rounds = 0
    while True:
        pause = ctx.create_timer(SOON if rounds < 2 else NEVER)
        if stop == (yield task.when_any([stop, pause])):
            pause.cancel()
            return rounds
        rounds += 1


def tells_version(ctx: task.OrchestrationContext, _: None) -> str | None:
    return ctx.version


def tells_versions(ctx: task.OrchestrationContext, children: list[str | None]) -> Steps:
    calls = [ctx.call_sub_orchestrator(tells_version, version=version) for version in children]
    return [ctx.version, (yield task.when_all(calls))]


def leaves_work_behind(ctx: task.OrchestrationContext, name: str) -> Steps:
    """Ends without waiting for what it asked for."""
    ctx.call_activity(greet, input=name)
    ctx.create_timer(NEVER)
    yield ctx.call_activity(greet, input=f"{name} II")
    ctx.call_activity(greet, input=f"{name} III")
    return "left"


def at_once(_ctx: task.OrchestrationContext, name: str) -> str:
    return f"{name} needs no history"


class Account(task.DurableEntity):
    """Holds money, and refuses to owe any."""

    def deposit(self, amount: int) -> int:
        balance = self.get_state(int, 0) + amount
        self.set_state(balance)
        return balance

    def withdraw(self, amount: int) -> int:
        if amount > self.get_state(int, 0):
            raise ValueError(f"no {amount} there")
        return self.deposit(-amount)


def account(key: str) -> task.EntityInstanceId:
    return task.EntityInstanceId("Account", key)


def calls_and_signals(ctx: task.OrchestrationContext, key: str) -> Steps:
    ctx.signal_entity(account(key), "deposit", 5)
    first = yield ctx.call_entity(account(key), "deposit", 3)
    ctx.signal_entity(account(key), "deposit", 1, ctx.current_utc_datetime)
    both = yield task.when_all([
        ctx.call_entity(account(key), "deposit", 10, return_type=int),
        ctx.call_entity(account(f"{key}-2"), "deposit", 20),
    ])  # fmt: skip
    ended = yield ctx.call_entity(account(key), "delete")
    return [first, both, ended, ctx.new_uuid()]


def transfers(ctx: task.OrchestrationContext, amount: int) -> Steps:
    """Two sections, one after the other; the first locks in an order that is not theirs."""
    rich, poor, third = account("rich"), account("poor"), account("third")
    with (yield ctx.lock_entities([rich, poor, rich])):
        yield ctx.call_entity(rich, "deposit", 100)
        left = yield ctx.call_entity(rich, "withdraw", amount)
        ctx.signal_entity(third, "deposit", 1)
        got = yield ctx.call_entity(poor, "deposit", amount)
    greeting = yield ctx.call_activity(greet, input="again")
    with (yield ctx.lock_entities([poor])):
        rest = yield ctx.call_entity(poor, "withdraw", amount)
    return [left, got, greeting, rest]


def entity_fails(ctx: task.OrchestrationContext, key: str) -> Steps:
    """The failure is caught; another, in a section, is not, and ends it."""
    try:
        yield ctx.call_entity(account(key), "withdraw", 10)
    except task.TaskFailedError as error:
        ctx.set_custom_status(f"{error.details.error_type}: {error}")
    with (yield ctx.lock_entities([account(key), account(f"{key}-2")])):
        yield ctx.call_activity(greet, input=key)
        yield ctx.call_entity(account(key), "steal", 10)


def forgets_to_unlock(ctx: task.OrchestrationContext, left: int) -> Steps:
    """Takes the locks and never enters the lock: one round starts over, one returns."""
    yield ctx.lock_entities([account("one"), account("two")])
    yield ctx.call_entity(account("two"), "deposit", left)
    if left:
        ctx.continue_as_new(left - 1)
        return None
    return "left"


def starts_over_inside(ctx: task.OrchestrationContext, left: int) -> Steps:
    with (yield ctx.lock_entities([account("one"), account("two")])):
        yield ctx.call_entity(account("one"), "deposit", left)
        if left:
            ctx.continue_as_new(left - 1)
    return left


def breaks_the_rules(ctx: task.OrchestrationContext, key: str) -> Steps:
    """Each refusal takes a number, so that what comes after shows whether ours do."""
    refused = []

    def attempt(call: Callable[[], Any]) -> None:
        try:
            call()
        except RuntimeError as error:
            refused.append(str(error))

    other = account(f"{key}-2")
    attempt(lambda: ctx.lock_entities([]))
    locking = ctx.lock_entities([account(key)])
    attempt(lambda: ctx.call_entity(account(key), "deposit", 1))
    attempt(lambda: ctx.call_entity(other, "deposit", 1))
    with (yield locking):
        attempt(lambda: ctx.lock_entities([other]))
        attempt(lambda: ctx.call_entity(other, "deposit", 1))
        attempt(lambda: ctx.signal_entity(account(key), "deposit", 1))
        ctx.signal_entity(other, "deposit", 1)
        yield ctx.call_entity(account(key), "deposit", 1)
    return refused


def waits_inside(ctx: task.OrchestrationContext, key: str) -> Steps:
    with (yield ctx.lock_entities([account(key), account(f"{key}-2")])):
        yield ctx.create_timer(NEVER)


ACTIVITIES: list[Callable[..., Any]] = [greet, square, charge]
ENTITIES: list[type[task.DurableEntity]] = [Account]
ORCHESTRATORS: list[Callable[..., Any]] = [
    activity_fails,
    activity_retried,
    approval,
    at_once,
    breaks_the_rules,
    buffered_events,
    calls_and_signals,
    chain,
    child,
    child_fails,
    child_retried,
    child_retries_exhausted,
    clears_its_status,
    countdown,
    deterministic_values,
    entity_fails,
    failing_child,
    fan_out_fan_in,
    first_failure_wins,
    flaky_child,
    forgets_to_unlock,
    leaves_work_behind,
    long_wait,
    loser_is_served_later,
    nested_groups,
    one_of_many_fails,
    parent,
    pausable,
    polls,
    raises,
    reads_results_late,
    receiver,
    reports_progress,
    retries_exhausted,
    retries_in_parallel,
    retries_slowly,
    sender,
    start_over,
    starts_over_inside,
    tells_version,
    tells_versions,
    transfers,
    typed_payloads,
    upgrades_itself,
    waits_inside,
]
