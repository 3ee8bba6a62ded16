"""Check what was found after a run against what clients and activities recorded during it.

    started     every acknowledged start is an instance that has completed
    strangers   there is no instance that nobody started
    results     each task's result is an effect of that task, and no effect counts twice
    outputs     contain each result of the history once, and as many as the kind has
    events      each acknowledged event was raised once; nobody else sent one
    children    each has the parent that started it, and ended as the parent was told
    entities    each change was made once, and nobody holds a lock or waits for one

Independent of the engine: its input was recorded by clients and activities, or read through a
client. `histories.py` adds the rules for a single history.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask import history

from .expectations import Answer
from .histories import faults_in
from .violations import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .effects import Effect
    from .expectations import Expectations, Start
    from .observations import Instance, Observations

_OVER = frozenset({"COMPLETED", "FAILED", "TERMINATED"})


def check(expectations: Expectations, observations: Observations) -> list[Violation]:
    """Every promise that was broken."""
    checker = _Checker(expectations, observations, {each.id: each for each in observations.effects})
    return list(checker.violations())


def applied(observations: Observations) -> int:
    """How many effects count, as results that an orchestrator was told of."""
    return sum(len(_output(found).get("effects", ())) for found in observations.instances.values())


@dataclass(frozen=True, slots=True)
class _Checker:
    expectations: Expectations
    observations: Observations
    effects: dict[str, Effect]

    def violations(self) -> Iterator[Violation]:
        for id, found in self.observations.instances.items():
            yield from faults_in(id, found.history, has_ended=found.status in _OVER)
            yield from self._outputs(id, found)
            yield from self._children(id, found)
        yield from self._starts()
        yield from self._strangers()
        yield from self._results()
        yield from self._events()
        yield from self._entities()

    # What clients were told.

    def _starts(self) -> Iterator[Violation]:
        for id, start in self.expectations.starts.items():
            found = self.observations.instances.get(id)
            if found is None:
                if start.answer is Answer.TOLD:
                    yield Violation(Kind.LOST, id, "the instance, whose start was acknowledged")
                continue
            if found.status != "COMPLETED":
                yield Violation(Kind.LOST, id, f"its completion: it is {found.status}")
            yield from self._ending(id, found)
            yield from _size_of_output(id, found, start)

    def _ending(self, id: str, found: Instance) -> Iterator[Violation]:
        told = self.expectations.endings.get(id)
        if told is not None and (told.status, told.output) != (found.status, found.output):
            yield Violation(Kind.LOST, id, f"the ending {told.status} that a client was told of")

    def _strangers(self) -> Iterator[Violation]:
        for id, found in self.observations.instances.items():
            if id not in self.expectations.starts and found.parent is None:
                yield Violation(Kind.WRONG, id, "an instance that nobody asked for")

    # What activities did.

    def _results(self) -> Iterator[Violation]:
        used: Counter[str] = Counter()
        for id, found in self.observations.instances.items():
            for event in found.history:
                if isinstance(event, history.TaskCompletedEvent):
                    effect = _value(event.result)
                    used[str(effect)] += 1
                    yield from self._result(id, event.task_scheduled_id, str(effect))
        for effect, times in used.items():
            if times > 1:
                yield Violation(
                    Kind.DOUBLED, effect, f"an effect that is the result of {times} tasks"
                )

    def _result(self, id: str, task_id: int, result: str) -> Iterator[Violation]:
        effect = self.effects.get(result)
        if effect is None:
            yield Violation(Kind.WRONG, id, f"task {task_id} has a result that nobody produced")
        elif (effect.instance_id, effect.task_id) != (id, task_id):
            yield Violation(Kind.WRONG, id, f"task {task_id} has the result of another task")

    def _outputs(self, id: str, found: Instance) -> Iterator[Violation]:
        """An output carries the effects of all generations, so it tells more than a history."""
        if found.status != "COMPLETED":
            return
        output = Counter(_output(found).get("effects", ()))
        for effect, times in output.items():
            known = self.effects.get(effect)
            if times > 1:
                yield Violation(Kind.DOUBLED, id, f"effect {effect} in its output")
            if known is None or known.instance_id != id:
                yield Violation(Kind.WRONG, id, f"effect {effect} in its output is none of its own")
        for event in found.history:
            if isinstance(event, history.TaskCompletedEvent) and not output[_value(event.result)]:
                yield Violation(Kind.LOST, id, f"the result of task {event.task_scheduled_id}")

    # What was sent.

    def _events(self) -> Iterator[Violation]:
        raised = self._raised()
        for id, event in self.expectations.events.items():
            times = raised.pop((event.instance_id, id), 0)
            if times == 0 and event.answer is Answer.TOLD:
                yield Violation(Kind.LOST, event.instance_id, f"event {id}")
            if times > 1:
                yield Violation(Kind.DOUBLED, event.instance_id, f"event {id}")
        for instance_id, id in raised:
            yield Violation(Kind.WRONG, instance_id, f"event {id}, which nobody sent there")

        for instance_id, found in self.observations.instances.items():
            if "notes" in _output(found):
                for id in _recorded(found) - _told(found):
                    yield Violation(Kind.LOST, instance_id, f"event {id}, recorded but not told")

    def _raised(self) -> Counter[tuple[str, str]]:
        """How often each event arrived, by history or by what the orchestrator was told of.

        A generation's history is gone with it, so the output counts as well; where both are
        there, the higher count is the one that shows a violation.
        """
        raised: Counter[tuple[str, str]] = Counter()
        for instance_id, found in self.observations.instances.items():
            for id, times in (_recorded(found) | _told(found)).items():
                raised[instance_id, id] = times
        return raised

    # What belongs together.

    def _children(self, id: str, found: Instance) -> Iterator[Violation]:
        asked: dict[int, str] = {}
        for event in found.history:
            match event:
                case history.SubOrchestrationInstanceCreatedEvent():
                    asked[event.event_id] = event.instance_id
                    yield from self._child(id, event.instance_id)
                case history.SubOrchestrationInstanceCompletedEvent():
                    child = self.observations.instances.get(asked.get(event.task_scheduled_id, ""))
                    if child is not None and child.output != event.result:
                        yield Violation(
                            Kind.WRONG, id, "its child ended otherwise than it was told"
                        )
        if found.parent is not None and not self._is_child_of(id, found.parent):
            yield Violation(Kind.WRONG, id, "a child that its parent did not ask for")

    def _child(self, parent: str, id: str) -> Iterator[Violation]:
        child = self.observations.instances.get(id)
        if child is None:
            yield Violation(Kind.LOST, parent, f"its child {id}")
        elif child.parent != parent:
            yield Violation(Kind.WRONG, id, f"a child of {child.parent}, not of {parent}")

    def _is_child_of(self, id: str, parent: str) -> bool:
        found = self.observations.instances.get(parent)
        return found is not None and any(
            isinstance(event, history.SubOrchestrationInstanceCreatedEvent)
            and event.instance_id == id
            for event in found.history
        )

    def _entities(self) -> Iterator[Violation]:
        made = Counter(
            (mover, entity, amount)
            for entity, found in self.observations.entities.items()
            for mover, amount in found.moves
        )
        for (mover, entity), move in self.expectations.moves.items():
            times = made.pop((mover, entity, move.amount), 0)
            if times == 0 and move.answer is Answer.TOLD:
                yield Violation(Kind.LOST, entity, f"the move of {mover}")
            if times > 1:
                yield Violation(Kind.DOUBLED, entity, f"the move of {mover}")
        for mover, entity, _ in made:
            yield Violation(Kind.WRONG, entity, f"a move of {mover} that nobody asked for")
        for entity, found in self.observations.entities.items():
            if found.locked_by:
                yield Violation(Kind.WRONG, entity, f"still locked by {found.locked_by}")
            if found.backlog:
                yield Violation(Kind.LOST, entity, f"{found.backlog} messages that nobody serves")
        yield from self._balances()

    def _balances(self) -> Iterator[Violation]:
        """What a transfer read under its locks must be what its moves found."""
        for id, found in self.observations.instances.items():
            read = _output(found).get("balances")
            if read is not None and (read[0] - 1, read[2] + 1) != (read[1], read[3]):
                yield Violation(Kind.WRONG, id, "somebody else moved what it had locked")


def _size_of_output(id: str, found: Instance, start: Start) -> Iterator[Violation]:
    if found.status != "COMPLETED":
        return
    size = len(_output(found).get("effects", ()))
    if size != start.effects:
        kind = Kind.LOST if size < start.effects else Kind.DOUBLED
        yield Violation(kind, id, f"{size} effects in its output, not {start.effects}")


def _recorded(found: Instance) -> Counter[str]:
    """The events in its history that carry an id."""
    return Counter(
        str(_value(event.input))
        for event in found.history
        if isinstance(event, history.EventRaisedEvent) and _value(event.input) is not None
    )


def _told(found: Instance) -> Counter[str]:
    """The events that its orchestrator says it was told of."""
    return Counter(map(str, _output(found).get("notes", ())))


def _output(found: Instance) -> dict[str, Any]:
    value = _value(found.output)
    return value if isinstance(value, dict) else {}


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
