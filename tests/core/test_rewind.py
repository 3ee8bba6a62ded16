"""A failed orchestration is taken back to where what failed is asked for again, and goes on."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.core.orchestration import decide, is_rewind
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.task import RetryPolicy, TaskFailedError
from tests.builders.core import ID, START, FakeEngine, failure, kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.core.decision import Decision

Event = messages.HistoryEvent
FAILED = messages.OrchestrationStatus.FAILED


class Engine:
    """A hub whose one instance has failed, and what an engine does to rewind it."""

    def __init__(self, orchestrator: Callable[..., Any], *activities: Callable[..., Any]) -> None:
        self.hub = FakeEngine(orchestrator, activities=activities, sessions="cold")
        self.hub.start(orchestrator)
        for _ in range(10):
            self.hub.settle()
            self.hub.advance(timedelta(minutes=1))
        instance = self.hub.instances[ID]
        assert instance.status == "FAILED", instance.output
        self.history = [*instance.history, events.execution_completed(FAILED)]

    def rewind(self, *new: Event) -> Decision:
        return self._decide(*(new or (events.execution_rewound("try again", at=START),)))

    def go_on(self, history: list[Event]) -> list[str]:
        """What the code asks for in the first turn after the rewind."""
        self.history = history
        return kinds(self._decide())

    def rewound(self) -> list[Event]:
        """The history after a rewind."""
        (action,) = self.rewind().actions
        assert action.id == -1
        assert action.rewind_orchestration is not None
        return action.rewind_orchestration.new_history

    def _decide(self, *new: Event) -> Decision:
        request = messages.OrchestratorRequest(
            instance_id=ID,
            execution_id="execution-0",
            past_events=self.history,
            new_events=[events.orchestrator_started(START + timedelta(days=1)), *new],
        )
        return decide(request, self.hub.registry, self.hub.settings)


def fine(_ctx: Any) -> str:
    return "fine"


def broken(_ctx: Any) -> None:
    raise ValueError("broken")


def one_after_another(ctx: Any) -> Generator[Any, Any, None]:
    yield ctx.call_activity("fine")
    yield ctx.call_activity("broken")


def calls(history: list[Event]) -> list[tuple[str, int]]:
    """The calls and their answers, with their numbers."""
    found = []
    for event in history:
        kind = which(event)
        if kind in {"task_completed", "task_failed"}:
            found.append((kind, getattr(event, kind).task_scheduled_id))
        elif event.event_id > 0:
            found.append((kind, event.event_id))
    return found


def test_an_activity_that_failed_is_asked_for_again_and_what_succeeded_is_not() -> None:
    engine = Engine(one_after_another, fine, broken)

    history = engine.rewound()

    assert calls(history) == [("task_scheduled", 1), ("task_completed", 1)]
    assert engine.go_on(history) == ["schedule_task"]


def test_the_rewind_ends_the_history_and_the_completion_is_gone() -> None:
    engine = Engine(one_after_another, fine, broken)

    history = engine.rewound()

    assert [which(event) for event in history[-2:]] == ["orchestrator_started", "execution_rewound"]
    assert all(event.execution_completed is None for event in history)


def test_the_run_gets_a_new_id_and_the_old_history_stays_as_it_was() -> None:
    engine = Engine(one_after_another, fine, broken)
    before = copy.deepcopy(engine.history)

    runs = [run_of(engine.rewound()) for _ in range(2)]

    assert engine.history == before
    assert runs[0] == runs[1]
    assert runs[0] not in {"", "execution-0"}


def run_of(history: list[Event]) -> str | None:
    return started(history).orchestration_instance.execution_id  # type: ignore[union-attr]


def started(history: list[Event]) -> messages.ExecutionStartedEvent:
    return next(it.execution_started for it in history if it.execution_started is not None)


@pytest.mark.parametrize("parent_run", [None, "new run"])
def test_a_child_answers_to_its_parents_new_run(parent_run: str | None) -> None:
    engine = Engine(one_after_another, fine, broken)
    instance = messages.OrchestrationInstance("parent", execution_id="old run")
    started(engine.history).parent_instance = messages.ParentInstanceInfo(
        task_scheduled_id=7, orchestration_instance=instance
    )

    decision = engine.rewind(events.execution_rewound(parent_execution_id=parent_run))

    rewound = decision.actions[0].rewind_orchestration
    assert rewound is not None
    parent = started(rewound.new_history).parent_instance
    assert parent is not None
    assert parent.task_scheduled_id == 7
    assert parent.orchestration_instance == messages.OrchestrationInstance(
        "parent", execution_id=parent_run or "old run"
    )
    assert instance.execution_id == "old run"


@pytest.mark.parametrize(
    "late", [events.task_failed(2, failure()), events.task_completed(2, '"late"')]
)
def test_an_answer_that_came_late_goes_with_the_failure_before_it(late: Event) -> None:
    engine = Engine(one_after_another, fine, broken)
    engine.history.insert(-1, late)

    history = engine.rewound()

    assert calls(history) == [("task_scheduled", 1), ("task_completed", 1)]
    assert engine.go_on(history) == ["schedule_task"]


def test_a_failure_late_after_a_success_changes_nothing() -> None:
    engine = Engine(one_after_another, fine, broken)
    engine.history.insert(-1, events.task_failed(1, failure()))

    assert engine.go_on(engine.rewound()) == ["schedule_task"]


def test_a_failure_of_what_was_never_asked_for_is_left_alone() -> None:
    engine = Engine(one_after_another, fine, broken)
    engine.history.insert(-1, events.task_failed(9, failure()))

    assert engine.go_on(engine.rewound()) == ["schedule_task"]


def test_siblings_that_failed_are_all_asked_for_again() -> None:
    def fan_out(ctx: Any) -> Generator[Any, Any, None]:
        tasks = [ctx.call_activity(name) for name in ("broken", "fine", "broken")]
        for task in tasks:
            try:
                yield task
            except TaskFailedError:
                continue
        raise ValueError("one of them")

    engine = Engine(fan_out, fine, broken)

    history = engine.rewound()

    assert calls(history) == [("task_scheduled", 2), ("task_completed", 2)]
    assert engine.go_on(history) == ["schedule_task", "schedule_task"]


def test_a_child_that_failed_is_waited_for_again_and_not_started_anew() -> None:
    def parent(ctx: Any) -> Generator[Any, Any, None]:
        yield ctx.call_sub_orchestrator("no such thing")

    engine = Engine(parent)

    history = engine.rewound()

    assert calls(history) == [("sub_orchestration_instance_created", 1)]
    assert all(event.sub_orchestration_instance_failed is None for event in history)
    assert engine.go_on(history) == []


POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)


def test_a_call_that_was_retried_is_tried_once_more() -> None:
    def retry(ctx: Any) -> Generator[Any, Any, None]:
        yield ctx.call_activity("broken", retry_policy=POLICY)

    engine = Engine(retry, broken)

    history = engine.rewound()

    assert calls(history) == [("task_scheduled", 1), ("task_failed", 1), ("timer_created", 2)]
    assert engine.go_on(history) == ["schedule_task"]


def test_a_retry_that_succeeded_is_not_done_again() -> None:
    outcomes = iter([broken, fine])

    def flaky(ctx: Any) -> Any:
        return next(outcomes)(ctx)

    def retry(ctx: Any) -> Generator[Any, Any, None]:
        yield ctx.call_activity("flaky", retry_policy=POLICY)
        yield ctx.call_activity("broken")

    engine = Engine(retry, flaky, broken)

    history = engine.rewound()

    assert [number for kind, number in calls(history) if kind == "task_scheduled"] == [1, 1]
    assert engine.go_on(history) == ["schedule_task"]


def test_a_failure_that_the_code_survived_stays_when_history_went_on_from_it() -> None:
    def compensate(ctx: Any) -> Generator[Any, Any, None]:
        try:
            yield ctx.call_activity("broken")
        except TaskFailedError:
            yield ctx.call_activity("fine")
        yield ctx.call_activity("broken")

    engine = Engine(compensate, fine, broken)

    history = engine.rewound()

    assert ("task_failed", 1) in calls(history)
    assert ("task_scheduled", 3) not in calls(history)
    assert engine.go_on(history) == ["schedule_task"]


def test_what_was_asked_for_beside_the_failure_is_asked_for_when_it_comes_to_that_again() -> None:
    def clean_up(ctx: Any) -> Generator[Any, Any, None]:
        try:
            yield ctx.call_activity("broken")
        except TaskFailedError:
            ctx.send_event("another", "it failed")
            raise

    engine = Engine(clean_up, broken)

    history = engine.rewound()

    assert calls(history) == []
    assert engine.go_on(history) == ["schedule_task"]


def test_a_retry_that_was_waiting_when_a_sibling_failed_is_still_waited_for() -> None:
    def both(ctx: Any) -> Generator[Any, Any, None]:
        retried = ctx.call_activity("broken", retry_policy=POLICY)
        yield ctx.call_activity("broken")
        yield retried

    engine = Engine(both, broken)

    history = engine.rewound()

    assert engine.go_on(history) == ["schedule_task"]


def test_code_that_failed_by_itself_is_run_again() -> None:
    bugs = [ValueError("a bug")]

    def buggy(ctx: Any) -> Generator[Any, Any, str]:
        yield ctx.call_activity("fine")
        for bug in bugs:
            raise bug
        return "done"

    engine = Engine(buggy, fine)
    history = engine.rewound()

    bugs.clear()

    assert engine.go_on(history) == ["complete_orchestration"]


def test_what_was_rewound_can_fail_and_be_rewound_again() -> None:
    engine = Engine(one_after_another, fine, broken)
    first = engine.rewound()
    again = [events.task_scheduled(2, "broken"), events.task_failed(2, failure())]
    engine.history = [*first, *again, events.execution_completed(FAILED)]

    second = engine.rewound()

    assert calls(second) == [("task_scheduled", 1), ("task_completed", 1)]
    assert engine.go_on(second) == ["schedule_task"]


def test_a_rewind_over_a_history_that_is_rewritten_already_is_a_turn() -> None:
    engine = Engine(one_after_another, fine, broken)
    engine.history = engine.rewound()

    assert kinds(engine.rewind()) == ["schedule_task"]


@pytest.mark.parametrize(
    "new",
    [
        [events.execution_rewound(), events.event_raised("late")],
        [events.event_raised("early"), events.execution_rewound()],
    ],
)
def test_a_rewind_with_anything_beside_it_is_refused(new: list[Event]) -> None:
    engine = Engine(one_after_another, fine, broken)

    with pytest.raises(ValueError, match="must contain exactly two events"):
        engine.rewind(*new)


def test_a_turn_without_a_rewind_is_none() -> None:
    engine = Engine(one_after_another, fine, broken)
    new = [events.orchestrator_started(), events.event_raised("e")]

    assert not is_rewind(
        messages.OrchestratorRequest(ID, past_events=engine.history, new_events=new)
    )


def test_a_rewind_says_why_and_ends_the_execution() -> None:
    decision = Engine(one_after_another, fine, broken).rewind()

    assert decision.ended
    assert [entry.text for entry in decision.log_entries] == [
        "Orchestration 'an-instance' is rewound: try again"
    ]
