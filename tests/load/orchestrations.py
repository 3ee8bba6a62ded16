"""What runs under load: one orchestrator for each kind of work, and the entities they share.

Every activity returns the id of its effect (`effects.py`), and every orchestrator returns the
effects in their order. So a reader of the outputs and histories can say of each result where it
came from, whether it counts twice, and whether one is missing. All tasks are awaited: nothing may
be left open by an orchestration that has completed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask.entities import EntityInstanceId
from durabletask.task import RetryPolicy, when_all

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.entities import EntityContext
    from durabletask.task import ActivityContext, OrchestrationContext, Task
    from durabletask.worker import TaskHubGrpcWorker

    from .effects import Effects

    Orchestration = Generator[Task[Any], Any, Any]

STEPS = 5
CHILDREN = 3
LAPS = 4
NAPS = 3
SAYINGS = 2

# Long enough to be stored before they are due, by the sidecar's clock.
NAP = timedelta(milliseconds=20)
RETRY = RetryPolicy(first_retry_interval=timedelta(milliseconds=20), max_number_of_attempts=50)


def receipt(effects: list[str], **more: Any) -> dict[str, Any]:
    """What an orchestrator returns: the effects that it was told of, in their order."""
    return {"effects": effects, **more}


def chain(ctx: OrchestrationContext, _: Any) -> Orchestration:
    effects: list[str] = []
    for step in range(STEPS):
        effects.append((yield ctx.call_activity("work", input=step)))  # noqa: PERF401
    return receipt(effects)


def fan_out(ctx: OrchestrationContext, breadth: int) -> Orchestration:
    tasks = [ctx.call_activity("work", input=number) for number in range(breadth)]
    return receipt((yield when_all(tasks)))


def family(ctx: OrchestrationContext, _: Any) -> Orchestration:
    children = [ctx.call_sub_orchestrator("leaf", input=number) for number in range(CHILDREN)]
    return receipt([], children=(yield when_all(children)))


def leaf(ctx: OrchestrationContext, number: int) -> Orchestration:
    return receipt([(yield ctx.call_activity("work", input=number))])


def sleeper(ctx: OrchestrationContext, _: Any) -> Orchestration:
    for _nap in range(NAPS):
        yield ctx.create_timer(NAP)
    return receipt([(yield ctx.call_activity("work", input="awake"))])


def stubborn(ctx: OrchestrationContext, _: Any) -> Orchestration:
    """Call what fails at first, once in each worker process that gets it."""
    tasks = [ctx.call_activity("refuse", input=n, retry_policy=RETRY) for n in range(2)]
    return receipt((yield when_all(tasks)))


def laps(ctx: OrchestrationContext, so_far: list[str] | None) -> Orchestration:
    """Begin a new generation after each effect, and carry the effects along."""
    effects = [*(so_far or []), (yield ctx.call_activity("work", input="lap"))]
    if len(effects) < LAPS:
        ctx.continue_as_new(effects, save_events=True)
        return None
    return receipt(effects)


def mailbox(ctx: OrchestrationContext, _: Any) -> Orchestration:
    """Listen until told that no more will come."""
    notes: list[str] = []
    while (note := (yield ctx.wait_for_external_event("note"))) is not None:
        notes.append(note)
    return receipt([], notes=notes)


def ring(ctx: OrchestrationContext, so_far: list[str] | None) -> Orchestration:
    """Listen as a mailbox does, and begin a new generation after each note."""
    note = yield ctx.wait_for_external_event("note")
    if note is None:
        return receipt([], notes=so_far or [])
    ctx.continue_as_new([*(so_far or []), note], save_events=True)
    return None


def speaker(ctx: OrchestrationContext, to: str) -> Orchestration:
    """Tell a mailbox something; its notes are numbered after the speaker."""
    effects: list[str] = []
    for number in range(SAYINGS):
        ctx.send_event(to, "note", data=f"{ctx.instance_id}/{number}")
        effects.append((yield ctx.call_activity("work", input=number)))
    return receipt(effects)


def transfer(ctx: OrchestrationContext, accounts: list[str]) -> Orchestration:
    """Move one coin between two accounts; only their locks keep what was read true."""
    source, target = (EntityInstanceId("account", name) for name in accounts)
    approved = yield ctx.call_activity("work", input="approve")
    with (yield ctx.lock_entities([source, target])):
        has = yield ctx.call_entity(source, "balance")
        had = yield ctx.call_entity(target, "balance")
        yield ctx.create_timer(NAP)
        has_now = yield ctx.call_entity(source, "move", [ctx.instance_id, -1])
        had_now = yield ctx.call_entity(target, "move", [ctx.instance_id, 1])
    ctx.signal_entity(EntityInstanceId("journal", accounts[0]), "move", [ctx.instance_id, 1])
    return receipt([approved], balances=[has, has_now, had, had_now])


def account(ctx: EntityContext, move: list[Any] | None) -> int:
    """Keep every move, so that one which was made twice or not at all can be named."""
    moves: list[list[Any]] = ctx.get_state(list, [])
    if ctx.operation == "move":
        moves.append(move or [])
        ctx.set_state(moves)
    return sum(amount for _, amount in moves)


def journal(ctx: EntityContext, move: list[Any] | None) -> int:
    """An account that is only ever told something by signals."""
    return account(ctx, move)


ORCHESTRATORS = (
    chain,
    fan_out,
    family,
    leaf,
    sleeper,
    stubborn,
    laps,
    mailbox,
    ring,
    speaker,
    transfer,
)


def register(worker: TaskHubGrpcWorker, effects: Effects, refused: set[tuple[str, int]]) -> None:
    """Have the worker host all of it; activities write their effects down there.

    `refused` is what was refused once: workers that share it do not refuse again.
    """
    for orchestrator in ORCHESTRATORS:
        worker.add_orchestrator(orchestrator)
    worker.add_entity(account)
    worker.add_entity(journal)
    for activity in activities(effects, refused):
        worker.add_activity(activity)


def activities(effects: Effects, refused: set[tuple[str, int]]) -> tuple[Callable[..., str], ...]:
    """The activities of one worker."""

    def work(ctx: ActivityContext, _: Any) -> str:
        return effects.have(ctx.orchestration_id, ctx.task_id)

    def refuse(ctx: ActivityContext, _: Any) -> str:
        attempt = (ctx.orchestration_id, ctx.task_id)
        if attempt not in refused:
            refused.add(attempt)
            raise ValueError("not yet")
        return effects.have(*attempt)

    return work, refuse
