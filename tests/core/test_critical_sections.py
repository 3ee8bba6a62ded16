"""What an orchestrator may do outside, waiting for and inside a critical section; as a table."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from durabletask.core.decision import Decision
from durabletask.entities import DurableEntity, EntityInstanceId, EntityLock
from durabletask.protocol import events, messages
from durabletask.task import OrchestrationContext, Task
from tests.builders.core import ID, START, beginning, machine_for
from tests.builders.core_entities import EntityHub

Steps = Generator[Task[Any], Any, Any]

A, B, C = (EntityInstanceId("counter", key) for key in "abc")


class Counter(DurableEntity):
    def add(self, amount: int = 1) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        return total

    def fail(self) -> None:
        raise ValueError("no luck")


def child(_ctx: OrchestrationContext) -> str:
    return "done"


NESTED = "Must not enter another critical section from within a critical section."
WAIT = "Must await the completion of the lock request prior to calling any entity."
NOT_LOCKED = (
    "Must not call an entity from a critical section if it is not one of the locked entities."
)
BUSY = (
    "Must not call an entity from a critical section while a prior call to the same entity is "
    "still pending."
)
SIGNAL = "Must not signal a locked entity from a critical section."
CHILD = "While holding locks, cannot call suborchestrators."

ATTEMPTS: dict[str, Callable[[OrchestrationContext], Any]] = {
    "lock": lambda ctx: ctx.lock_entities([C]),
    "call locked": lambda ctx: ctx.call_entity(A, "add"),
    "call other": lambda ctx: ctx.call_entity(C, "add"),
    "signal locked": lambda ctx: ctx.signal_entity(A, "add"),
    "signal other": lambda ctx: ctx.signal_entity(C, "add"),
    "child": lambda ctx: ctx.call_sub_orchestrator(child),
    "activity": lambda ctx: ctx.call_activity("step"),
}


Attempt = Callable[[OrchestrationContext], None]


def outside(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    attempt(ctx)
    yield ctx.call_activity("step")


def waiting(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    locking = ctx.lock_entities([A, B])
    attempt(ctx)
    with (yield locking):
        pass


def inside(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        attempt(ctx)


def calling(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        ctx.call_entity(A, "add")
        attempt(ctx)


def answered(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        yield ctx.call_entity(A, "add")
        attempt(ctx)


def left_again(ctx: OrchestrationContext, attempt: Attempt) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        pass
    attempt(ctx)


RULES = [
    (waiting, "lock", NESTED),
    (waiting, "call locked", WAIT),
    (waiting, "call other", WAIT),
    (waiting, "signal locked", SIGNAL),
    (waiting, "signal other", None),
    (waiting, "child", CHILD),
    (waiting, "activity", None),
    (inside, "lock", NESTED),
    (inside, "call locked", None),
    (inside, "call other", NOT_LOCKED),
    (inside, "signal locked", SIGNAL),
    (inside, "signal other", None),
    (inside, "child", CHILD),
    (inside, "activity", None),
    (calling, "call locked", BUSY),
    (answered, "call locked", None),
    *((place, attempt, None) for place in (outside, left_again) for attempt in ATTEMPTS),
]


@pytest.mark.parametrize(
    ("place", "attempt", "refused"),
    RULES,
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:20],
)
def test_what_is_allowed_where(
    place: Callable[[OrchestrationContext, Attempt], Steps], attempt: str, refused: str | None
) -> None:
    told: list[str | None] = []

    def try_it(ctx: OrchestrationContext) -> None:
        try:
            ATTEMPTS[attempt](ctx)
        except RuntimeError as error:
            told.append(str(error))
        else:
            told.append(None)

    def tries(ctx: OrchestrationContext) -> Steps:
        yield from place(ctx, try_it)

    hub = EntityHub(tries, child, entities=[Counter], activities=[step], sessions="warm")
    hub.run("tries")

    assert told == [refused]


def test_a_refused_call_does_not_keep_the_entity_busy() -> None:
    """Its input cannot be written, so that it was never made."""

    def tries_again(ctx: OrchestrationContext) -> Steps:
        with (yield ctx.lock_entities([A])):
            with pytest.raises(TypeError):
                ctx.call_entity(A, "add", object())
            return (yield ctx.call_entity(A, "add", 4))

    assert EntityHub(tries_again, entities=[Counter]).run("tries_again").output == "4"


def test_a_failed_call_is_an_answer_too() -> None:
    def tries_again(ctx: OrchestrationContext) -> Steps:
        with (yield ctx.lock_entities([A])):
            try:
                yield ctx.call_entity(A, "fail")
            except Exception:
                return (yield ctx.call_entity(A, "add", 4))

    assert EntityHub(tries_again, entities=[Counter]).run("tries_again").output == "4"


def test_no_entities_cannot_be_locked() -> None:
    def locks_nothing(ctx: OrchestrationContext) -> Steps:
        yield ctx.lock_entities([])

    failure = EntityHub(locks_nothing).run("locks_nothing").failure

    assert failure is not None
    assert failure.error_type == "builtins.RuntimeError"
    assert failure.message == "Failed to create entity lock request."


def test_locks_are_asked_for_sorted_and_once_each() -> None:
    def locks(ctx: OrchestrationContext) -> Steps:
        yield ctx.lock_entities([C, A, C, B, A])

    hub = EntityHub(locks, entities=[Counter])
    hub.run("locks")

    requested = hub.messages[0].entity_lock_requested
    assert requested is not None
    assert requested.lock_set == ["@counter@a", "@counter@b", "@counter@c"]
    assert requested.position == 0
    assert requested.parent_instance_id == ID


def leaves(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        yield ctx.call_entity(A, "add")
    yield ctx.call_activity("step")


async def leaves_async(ctx: OrchestrationContext) -> None:
    with await ctx.lock_entities([A, B]):
        await ctx.call_entity(A, "add")
    await ctx.call_activity("step")


def raises(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        raise ValueError("no luck")


def returns(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        return "done"


def starts_over(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        ctx.continue_as_new(1)


def starts_over_without_with(ctx: OrchestrationContext) -> Steps:
    yield ctx.lock_entities([A, B])
    ctx.continue_as_new(1)


def never_enters(ctx: OrchestrationContext) -> Steps:
    yield ctx.lock_entities([A, B])


def never_enters_and_fails(ctx: OrchestrationContext) -> Steps:
    yield ctx.lock_entities([A, B])
    raise ValueError("no luck")


def cannot_be_written(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        return object()


def ends_while_busy(ctx: OrchestrationContext) -> Steps:
    """With a call under way: the official SDK would leave that entity locked for ever."""
    with (yield ctx.lock_entities([A, B])):
        ctx.call_entity(A, "add")
        return "done"


def waits_inside(ctx: OrchestrationContext) -> Steps:
    with (yield ctx.lock_entities([A, B])):
        yield ctx.wait_for_external_event("never")


def never_waits_for_the_lock(ctx: OrchestrationContext) -> str:
    ctx.lock_entities([A, B])
    return "done"


def turns(function: Callable[..., Any], *after_grant: Any) -> tuple[str, Decision]:
    """The section's id, and what is decided when the locks have been granted."""
    machine = machine_for(function)
    asked = machine.turn(beginning(function.__name__)).actions[0]
    request = sent(asked).entity_lock_requested
    assert request is not None
    section = request.critical_section_id
    machine.replay([events.entity_lock_requested(asked.id, section, request.lock_set)])
    granted = events.entity_lock_granted(section)
    new = [events.orchestrator_started(START), granted, *after_grant]
    decision = machine.turn(new)
    called = [action for action in decision.actions if is_call(action)]
    if called and not decision.ended:
        call = sent(called[0]).entity_operation_called
        assert call is not None
        recorded = messages.HistoryEvent(event_id=called[0].id, entity_operation_called=call)
        machine.replay([recorded])
        answer = events.entity_operation_completed(call.request_id, "1")
        decision = machine.turn([events.orchestrator_started(START), answer])
    return section, decision


def sent(action: messages.OrchestratorAction) -> messages.SendEntityMessageAction:
    assert action.send_entity_message is not None
    return action.send_entity_message


def is_call(action: messages.OrchestratorAction) -> bool:
    message = action.send_entity_message
    return message is not None and message.entity_operation_called is not None


def unlocks(decision: Decision) -> list[tuple[str, str | None, str | None]]:
    """Section, entity and parent of each unlock of the decision."""
    found = [
        action.send_entity_message.entity_unlock_sent
        for action in decision.actions
        if action.send_entity_message is not None
    ]
    return [
        (it.critical_section_id, it.target_instance_id, it.parent_instance_id)
        for it in found
        if it is not None
    ]


TERMINATED = events.execution_terminated('"enough"')


@pytest.mark.parametrize(
    ("function", "and_then"),
    [
        (leaves, []),
        (leaves_async, []),
        (raises, []),
        (returns, []),
        (starts_over, []),
        (starts_over_without_with, []),
        (never_enters, []),
        (never_enters_and_fails, []),
        (cannot_be_written, []),
        (ends_while_busy, []),
        (waits_inside, [TERMINATED]),
        (returns, [TERMINATED]),
        (starts_over, [TERMINATED]),
    ],
)
def test_however_a_section_ends_each_of_its_entities_is_unlocked_once_and_all_in_one_turn(
    function: Callable[..., Any], and_then: list[Any]
) -> None:
    section, decision = turns(function, *and_then)

    assert unlocks(decision) == [(section, "@counter@a", ID), (section, "@counter@b", ID)]


@pytest.mark.parametrize("function", [returns, raises, starts_over, never_enters])
def test_unlocks_leave_before_the_end_is_told(function: Callable[..., Any]) -> None:
    _, decision = turns(function)

    assert decision.ended
    assert decision.actions[-1].complete_orchestration is not None
    numbers = [action.id for action in decision.actions]
    assert numbers == sorted(numbers)


def test_an_orchestration_that_ends_before_it_has_the_locks_gives_them_back_too() -> None:
    machine = machine_for(never_waits_for_the_lock)

    decision = machine.turn(beginning("never_waits_for_the_lock"))

    assert [target for _, target, _ in unlocks(decision)] == ["@counter@a", "@counter@b"]


def test_one_terminated_while_it_waits_for_the_locks_gives_them_back_too() -> None:
    machine = machine_for(never_enters)
    machine.turn(beginning("never_enters"))

    decision = machine.turn([events.orchestrator_started(START), TERMINATED])

    assert [target for _, target, _ in unlocks(decision)] == ["@counter@a", "@counter@b"]


def test_a_machine_that_is_closed_inside_a_section_says_nothing_more() -> None:
    left: list[str] = []

    def waits(ctx: OrchestrationContext) -> Steps:
        with (yield ctx.lock_entities([A])):
            try:
                yield ctx.wait_for_external_event("never")
            finally:
                left.append("left")

    hub = EntityHub(waits, entities=[Counter], sessions="warm")
    instance = hub.run("waits")

    assert instance.machine is not None
    instance.machine.close()

    assert left == ["left"]
    assert hub.holders == {"@counter@a": ID}


def test_leaving_a_lock_again_leaves_no_other_section() -> None:
    def leaves_twice(ctx: OrchestrationContext) -> Steps:
        first: EntityLock = yield ctx.lock_entities([A])
        with first:
            pass
        with (yield ctx.lock_entities([B])):
            with first:
                pass
            ctx.call_entity(C, "add")

    failure = EntityHub(leaves_twice, entities=[Counter]).run("leaves_twice").failure

    assert failure is not None
    assert failure.message == NOT_LOCKED


def test_an_answer_from_before_the_section_frees_nothing_inside() -> None:
    def crosses(ctx: OrchestrationContext) -> Steps:
        early = ctx.call_entity(C, "add")
        with (yield ctx.lock_entities([A])):
            yield early
            ctx.call_entity(C, "add")

    failure = EntityHub(crosses, entities=[Counter]).run("crosses").failure

    assert failure is not None
    assert failure.message == NOT_LOCKED


def test_two_orchestrations_that_lock_the_same_entities_do_so_in_turn() -> None:
    def transfers(ctx: OrchestrationContext, order: list[str]) -> Steps:
        ids = [EntityInstanceId("counter", key) for key in order]
        with (yield ctx.lock_entities(ids)):
            first = yield ctx.call_entity(A, "add")
            yield ctx.call_activity(step)
            second = yield ctx.call_entity(A, "add")
        return [first, second]

    hub = EntityHub(transfers, entities=[Counter], activities=[step])
    hub.start("transfers", ["a", "b"], id="one")
    hub.start("transfers", ["b", "a"], id="two")
    hub.settle()

    assert {hub.instances[id].output for id in ("one", "two")} == {"[1, 2]", "[3, 4]"}
    assert hub.holders == {}


def step(_ctx: Any) -> None: ...
