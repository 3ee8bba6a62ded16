"""True for every history: how it was cut into turns, cached or repeated makes no difference.

The orchestrator under test is drawn, too: a list of steps that ask for things, wait for them in
various ways and branch by what came back, so that a wrong order shows.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from durabletask.core.orchestration import decide, open_machine
from durabletask.core.settings import EngineCapabilities, Settings, dapr_engine
from durabletask.entities import EntityInstanceId, EntityLock
from durabletask.failures import UnsupportedByEngineError
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.task import (
    ActivityContext,
    OrchestrationContext,
    RetryPolicy,
    Task,
    TaskFailedError,
    when_all,
    when_any,
)
from tests.builders.core import ID, START, Event, FakeEngine, failure, registry_of, without_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.core.decision import Decision

SETTINGS = Settings()
FRESH_NUMBERS = Settings(engine=EngineCapabilities(unique_action_ids=True))
DAPR = Settings(engine=dapr_engine("an engine of Dapr's"))
POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

COUNTER, OTHER = EntityInstanceId("counter", "one"), EntityInstanceId("counter", "two")


def noted(ctx: OrchestrationContext) -> Task[Any]:
    ctx.send_event(ctx.instance_id, "go")
    return ctx.wait_for_external_event("go")


ASK: dict[str, Callable[[OrchestrationContext], Task[Any]]] = {
    "activity": lambda ctx: ctx.call_activity("step", input=str(ctx.current_utc_datetime)),
    "retried": lambda ctx: ctx.call_activity("step", input=ctx.new_uuid(), retry_policy=POLICY),
    "child": lambda ctx: ctx.call_sub_orchestrator("child", input=ctx.new_uuid()),
    "timer": lambda ctx: ctx.create_timer(timedelta(days=4)),
    "event": lambda ctx: ctx.wait_for_external_event("go"),
    "timed event": lambda ctx: ctx.wait_for_external_event("go", timeout=timedelta(hours=1)),
    "group": lambda ctx: when_all([ctx.call_activity("a"), ctx.call_activity("b")]),
    "nothing": lambda _ctx: when_all([]),
    "entity": lambda ctx: ctx.call_entity(COUNTER, "add", ctx.new_uuid()),
    "other entity": lambda ctx: ctx.call_entity(OTHER, "add"),
    "locks": lambda ctx: ctx.lock_entities([OTHER, COUNTER]),
    "lock": lambda ctx: ctx.lock_entities([COUNTER]),
    "patch": lambda ctx: ctx.call_activity("new" if ctx.is_patched("patch") else "old"),
    "note to self": noted,
}
WAIT = ("one", "one", "all", "all", "any", "none")

OF_ENTITIES = {"entity", "other entity", "locks", "lock"}


def plans(engine: Settings) -> st.SearchStrategy[list[tuple[list[str], str]]]:
    """Steps that can be taken there, none of them empty: a short life shows little."""
    lacking = OF_ENTITIES if engine is DAPR else {"patch"}
    often = ["event", "patch"] if engine is DAPR else []
    kinds = st.sampled_from([*sorted(ASK.keys() - lacking), *often])
    return st.lists(
        st.tuples(st.lists(kinds, min_size=1, max_size=3), st.sampled_from(WAIT)),
        min_size=2,
        max_size=5,
    )


ends = st.sampled_from(["returns", "starts over", "starts over with its events"])


def left(result: Any) -> str:
    """A result as text; of a lock, what is left when it has been left."""
    if not isinstance(result, EntityLock):
        return str(result)
    with result:
        return "a lock"


def orchestrator(plan: list[tuple[list[str], str]], end: str) -> Callable[..., Any]:
    def follows(ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        seen: list[Any] = []
        for kinds, how in plan:
            ctx.set_custom_status(seen)
            try:
                tasks = [ASK[kind](ctx) for kind in kinds]
                with suppress(UnsupportedByEngineError):
                    ctx.signal_entity(OTHER, "add", len(seen))
                if tasks and how == "one":
                    seen.append(left((yield tasks[0])))
                elif tasks and how == "any":
                    seen.append(tasks.index((yield when_any(tasks))))
                elif how == "all":
                    seen.append([left(each) for each in (yield when_all(tasks))])
            # RuntimeError: what a critical section forbids.
            except (
                TaskFailedError,
                TimeoutError,
                RuntimeError,
                UnsupportedByEngineError,
            ) as error:
                seen.append(str(error))
            # Last, so that what comes first may come before anything is asked for.
            ctx.send_event("other", f"{len(seen)}")
        if end != "returns":
            ctx.continue_as_new(seen, save_events=end != "starts over")
        return seen

    return follows


FROM_OUTSIDE = [
    events.event_raised("GO", "1", at=START),
    events.event_raised("Go", "2", at=START),
    events.execution_suspended(at=START),
    events.execution_resumed(at=START),
]
# durabletask-go hands over the record of whoever sent the event, whose number it bears.
SENT = events.event_sent(17, ID, "go", "3", at=START)


@dataclass
class Answers:
    """Plays the engine: answers what was asked for, in an order that is drawn."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    is_dapr: bool = False
    open: list[Event] = field(default_factory=list)

    def take(self, decision: Decision) -> list[Event]:
        """The events that record the decision; what answers them is drawn from later."""
        return [event for action in decision.actions for event in self._record(action)]

    def next(self) -> list[Event]:
        """Some of the outstanding answers, in some order; perhaps an event from outside."""
        picked = (
            self.draw(st.lists(st.sampled_from(range(len(self.open))), unique=True))
            if (self.open)
            else []
        )
        batch = [self.open[index] for index in picked]
        self.open = [it for index, it in enumerate(self.open) if index not in picked]
        from_outside = [*FROM_OUTSIDE, SENT] if self.is_dapr else FROM_OUTSIDE
        news = self.draw(st.lists(st.sampled_from(from_outside), max_size=3))
        return self.draw(st.permutations([*batch, *news]))

    def _record(self, action: messages.OrchestratorAction) -> list[Event]:
        kind, id = which(action), action.id
        if kind == "schedule_task" and action.schedule_task is not None:
            self._answer(events.task_completed(id, f"{id}"), events.task_failed(id, failure()))
            return [events.task_scheduled(id, action.schedule_task.name)]
        if kind == "create_sub_orchestration" and action.create_sub_orchestration is not None:
            self._answer(
                events.sub_orchestration_instance_completed(id, f"{id}"),
                events.sub_orchestration_instance_failed(id, failure()),
            )
            child = action.create_sub_orchestration
            return [
                events.sub_orchestration_instance_created(
                    id, child.name, instance_id=child.instance_id
                )
            ]
        if action.create_timer is not None and action.create_timer.fire_at is not None:
            fire_at = action.create_timer.fire_at
            self._answer(events.timer_fired(id, fire_at))
            return [events.timer_created(id, fire_at)]
        if action.send_event is not None:
            assert action.send_event.instance is not None
            target = action.send_event.instance.instance_id
            sent = events.event_sent(id, target, action.send_event.name)
            if target == ID:
                self._answer(sent if self.is_dapr else events.event_raised(action.send_event.name))
            return [sent]
        if action.send_entity_message is not None:
            return [self._record_entity_message(id, action.send_entity_message)]
        return []

    def _record_entity_message(self, id: int, sent: messages.SendEntityMessageAction) -> Event:
        event = messages.HistoryEvent(event_id=id)
        setattr(event, which(sent), getattr(sent, which(sent)))
        if sent.entity_operation_called is not None:
            request = sent.entity_operation_called.request_id
            self._answer(
                events.entity_operation_completed(request, f"{id}"),
                events.entity_operation_failed(request, failure()),
            )
        if sent.entity_lock_requested is not None:
            self._answer(events.entity_lock_granted(sent.entity_lock_requested.critical_section_id))
        return event

    def _answer(self, *possible: Event) -> None:
        self.open.append(self.draw(st.sampled_from(possible)))


def stamped(turn: list[Event], decision: Decision) -> list[Event]:
    """The turn as it stands in the history of an engine that records which code took it."""
    head = copy.copy(turn[0])
    version = messages.OrchestrationVersion(patches=list(decision.patches))
    head.orchestrator_started = messages.OrchestratorStartedEvent(version=version)
    return [head, *turn[1:]]


@dataclass
class Run:
    """A whole life of an instance: its turns and what was decided in each."""

    function: Callable[..., Any]
    settings: Settings = SETTINGS
    turns: list[list[Event]] = field(default_factory=list)
    records: list[list[Event]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def history(self, turns: int | None = None) -> list[Event]:
        known = zip(self.turns, self.records, self.decisions, strict=False)
        return [
            event
            for turn, record, decision in islice(known, turns)
            for event in (*stamped(turn, decision), *record)
        ]

    def decide(self, past: list[Event], new: list[Event]) -> Decision:
        request = messages.OrchestratorRequest(instance_id=ID, past_events=past, new_events=new)
        return decide(request, registry_of(self.function), self.settings)

    def machine(self) -> Any:
        request = messages.OrchestratorRequest(instance_id=ID)
        return open_machine(request, registry_of(self.function), self.settings)


@st.composite
def runs(draw: Any) -> Run:
    engine = draw(st.sampled_from([SETTINGS, FRESH_NUMBERS, DAPR]))
    run = Run(orchestrator(draw(plans(engine)), draw(ends)), engine)
    answers = Answers(draw, is_dapr=engine is DAPR)
    new: list[Event] = [
        events.execution_started("follows", instance_id=ID, execution_id="one", at=START)
    ]
    for turn in range(draw(st.integers(3, 10))):
        started = events.orchestrator_started(START + timedelta(minutes=turn))
        run.turns.append([started, *new])
        decision = run.decide(run.history(len(run.records)), run.turns[-1])
        run.decisions.append(decision)
        run.records.append(answers.take(decision))
        if decision.ended:
            break
        new = answers.next()
    return run


def said(decision: Decision) -> list[Any]:
    return without_traces(decision)


# What a suspension or an event from elsewhere does to numbers and patches takes several turns.
@pytest.mark.slow
@settings(max_examples=500)
@given(runs())
def test_a_machine_that_lives_on_decides_as_one_built_from_history(run: Run) -> None:
    machine = run.machine()
    history: list[Event] = []
    for turn, record, cold in zip(run.turns, run.records, run.decisions, strict=True):
        machine.replay(history[machine.applied :])

        warm = machine.turn(turn)

        assert said(warm) == said(cold)
        assert warm.patches == cold.patches
        history += [*stamped(turn, cold), *record]


@given(runs(), st.data())
def test_replaying_any_prefix_asks_exactly_for_the_rest(run: Run, data: st.DataObject) -> None:
    """However many actions of the last turn got recorded, the others are asked for again."""
    last = len(run.turns) - 1
    kept = data.draw(st.integers(0, len(run.records[last])))
    turn = stamped(run.turns[last], run.decisions[last])
    past = [*run.history(last), *turn, *run.records[last][:kept]]

    again = run.decide(past, [events.orchestrator_started(START)])

    assert said(again)[2:] == said(run.decisions[last])[2 + kept :]


@dataclass
class Flaky:
    """Calls at the same time, each of which fails so often and is tried again so soon."""

    calls: list[tuple[str, int, int]]
    attempts: dict[int, int] = field(default_factory=dict)

    def together(self, ctx: OrchestrationContext) -> Generator[Task[Any], Any, Any]:
        waits = [
            RetryPolicy(first_retry_interval=timedelta(seconds=wait), max_number_of_attempts=4)
            for _, _, wait in self.calls
        ]
        yield when_all(
            [
                ctx.call_activity("step", input=number, retry_policy=policy)
                if kind == "activity"
                else ctx.call_sub_orchestrator("child", input=number, retry_policy=policy)
                for number, ((kind, _, _), policy) in enumerate(zip(self.calls, waits, strict=True))
            ]
        )
        # Its number depends on those before it.
        return (yield ctx.call_activity("step", input=-1))

    def step(self, _ctx: ActivityContext, number: int) -> int:
        self.attempts[number] = self.attempts.get(number, 0) + 1
        if number >= 0 and self.attempts[number] <= self.calls[number][1]:
            raise ConnectionError("not yet")
        return self.attempts[number]

    def child(self, ctx: OrchestrationContext, number: int) -> Generator[Task[Any], Any, Any]:
        return (yield ctx.call_activity("step", input=number))


flaky_calls = st.tuples(
    st.sampled_from(["activity", "child"]), st.integers(0, 3), st.integers(1, 3)
)


@given(
    st.lists(flaky_calls, min_size=1, max_size=4),
    *[st.sampled_from([SETTINGS, FRESH_NUMBERS, DAPR])] * 2,
)
def test_numbers_of_retries_are_those_of_history_whatever_the_engine_wants(
    calls: list[tuple[str, int, int]], wrote: Settings, reads: Settings
) -> None:
    """All that was asked for is recorded: nothing is contradicted, and nothing asked again."""
    flaky = Flaky(calls)
    hub = FakeEngine(
        flaky.together, flaky.child, activities=[flaky.step], settings=wrote, sessions="warm"
    )
    instance = hub.run("together")
    hub.advance(timedelta(days=1))

    request = messages.OrchestratorRequest(
        instance_id=ID,
        past_events=instance.history,
        new_events=[events.orchestrator_started(hub.now)],
    )
    again = decide(request, hub.registry, reads)

    assert instance.output == "1"
    (end,) = again.actions
    assert end.complete_orchestration is not None
    assert end.complete_orchestration.result == "1"


@given(runs(), st.data())
def test_any_earlier_turn_is_decided_as_it_was(run: Run, data: st.DataObject) -> None:
    turn = data.draw(st.integers(0, len(run.turns) - 1))

    again = run.decide(run.history(turn), run.turns[turn])

    assert said(again) == said(run.decisions[turn])


@given(runs())
def test_one_batch_or_many_ask_for_the_same_in_the_same_order(run: Run) -> None:
    """Feeds each event in a turn of its own, at the time it came in."""
    machine = run.machine()
    one_by_one: list[Any] = []
    for turn, record in zip(run.turns, run.records, strict=True):
        asked: list[Any] = []
        for event in turn:
            decision = machine.turn([event])
            asked += [it for it in decision.actions if it not in asked]
        one_by_one.append([it for it in asked if which(it) != "complete_orchestration"])
        machine.replay(record)

    in_batches = [
        [it for it in decision.actions if which(it) != "complete_orchestration"]
        for decision in run.decisions
    ]
    # A timer that is cancelled before its turn is over is asked for only if turns are shorter.
    for asked, batch in zip(one_by_one, in_batches, strict=True):
        assert [it for it in asked if it in batch or which(it) != "create_timer"] == batch


@given(runs(), st.data())
def test_a_repeated_answer_changes_nothing(run: Run, data: st.DataObject) -> None:
    """Repeated in the same turn or in any later one, as engines do when a lease is lost."""
    answers = [
        (turn, event)
        for turn, new in enumerate(run.turns)
        for event in new
        if which(event) in ANSWERS and not _is_of_a_retried_call(event, run)
    ]
    assume(answers)
    turn, answer = data.draw(st.sampled_from(answers))
    later = data.draw(st.integers(turn, len(run.turns) - 1))
    earliest = run.turns[turn].index(answer) + 1 if later == turn else 1
    turns = [list(new) for new in run.turns]
    turns[later].insert(data.draw(st.integers(earliest, len(turns[later]))), answer)

    repeated = Run(run.function, run.settings, turns, run.records, run.decisions)

    for number, decision in enumerate(run.decisions):
        assert said(repeated.decide(repeated.history(number), turns[number])) == said(decision)


ANSWERS = {
    "task_completed",
    "sub_orchestration_instance_completed",
    "timer_fired",
    "entity_operation_completed",
    "entity_operation_failed",
    "entity_lock_granted",
}


def _is_of_a_retried_call(event: Event, run: Run) -> bool:
    """A retried call has several answers under one number: none of them is a repetition."""
    if event.task_completed is None:
        return False
    number = event.task_completed.task_scheduled_id
    asked = [it for it in run.history() if which(it) == "task_scheduled" and it.event_id == number]
    return len(asked) > 1
