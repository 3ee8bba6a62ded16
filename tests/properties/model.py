"""A model of what the sidecar promises, as short as possible, to compare it with.

Everything is in plain dicts and lists, every rule is stated once, and nothing is fast: no deltas,
no rows, no messages. Events are tuples whose first element is their kind. What one instance has
to tell another waits in one queue, and is delivered before the command is over.
"""

from __future__ import annotations

import enum
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    Event = tuple[Any, ...]
    Question = tuple[str, Any]
    """Whatever an orchestration waits for: a task, timer, child, call or lock, and its id."""

OVER = frozenset({"COMPLETED", "FAILED", "TERMINATED"})


class Rank(enum.IntEnum):
    """Who goes first into a turn, whatever the time."""

    START = 0
    CONTROL = 1
    CARRIED = 2
    OTHER = 3


@dataclass(eq=False, slots=True)
class Waiting:
    """An event that waits for a turn, or a message that waits for an entity."""

    order: tuple[int, datetime, int]
    event: Event
    answers: Question | None = None
    caller: tuple[str, int] | None = None
    """Instance and execution that wait for the entity's answer."""

    @property
    def at(self) -> datetime:
        return self.order[1]

    @property
    def outlives(self) -> bool:
        """Whether continue-as-new hands it on: what came from outside does."""
        return self.order[0] != Rank.START and self.answers is None


@dataclass(eq=False, slots=True)
class Orchestration:
    """One instance."""

    id: str
    execution: int
    input: str | None
    parent: tuple[str, int, int] | None
    """Instance, execution, and the number under which it waits for this one."""
    status: str = "PENDING"
    output: str | None = None
    is_suspended: bool = False
    has_run: bool = False
    """In this execution or one before it."""
    history: list[Event] = field(default_factory=list)
    inbox: list[Waiting] = field(default_factory=list)
    waits: dict[Question, Any] = field(default_factory=dict)

    @property
    def lives(self) -> bool:
        return self.status not in OVER

    def asked(self, question: Question) -> bool:
        """Whether it waits for this, or has the answer but not read it."""
        return question in self.waits or any(each.answers == question for each in self.inbox)

    def turn(self, now: datetime) -> list[Waiting]:
        """What a worker is given now; nothing while nothing is due."""
        visible = sorted((each for each in self.inbox if each.at <= now), key=_order)
        begins = bool(visible) and visible[0].order[0] == Rank.START
        may_run = self.lives and not self.is_suspended and (begins or bool(self.history))
        return visible if may_run else []


@dataclass(eq=False, slots=True)
class Entity:
    """One entity, and its queue."""

    state: str | None = None
    holder: tuple[str, str] | None = None
    """Instance and critical section."""
    queue: list[Waiting] = field(default_factory=list)

    def visible(self, now: datetime) -> list[Waiting]:
        """What may be taken: the holder's messages only, while there is one."""
        theirs = (each for each in self.queue if self.holder is None or self.is_holders(each))
        return sorted((each for each in theirs if each.at <= now), key=_order)

    def is_holders(self, message: Waiting) -> bool:
        has_both = self.holder is not None and message.caller is not None
        return has_both and message.caller[0] == self.holder[0]  # type: ignore[index]

    def batch(self, now: datetime) -> list[Waiting]:
        """The operations that run next: all up to a lock request."""
        return list(itertools.takewhile(lambda it: it.event[0] != "lock", self.visible(now)))


def _order(waiting: Waiting) -> tuple[int, datetime, int]:
    return waiting.order


class Model:
    """All instances and entities."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.orchestrations: dict[str, Orchestration] = {}
        self.entities: dict[str, Entity] = {}
        self._numbers = itertools.count(1)
        self._told: deque[Callable[[], Any]] = deque()
        self._purged = 0

    def do(self, what: str, *args: Any) -> Any:
        """Carry out a command and all that follows from it; the reply to the command."""
        self._purged = 0
        reply = getattr(self, what)(*args)
        while self._told:
            self._told.popleft()()
        return ("Purged", self._purged) if reply == "Purged" else reply

    # What clients ask for.

    def start(self, id: str, input: str, at: datetime | None, replaces: frozenset[str]) -> str:
        old = self.orchestrations.get(id)
        if old is not None and old.status not in replaces:
            return "AlreadyExists"
        self._create(id, input, None, at)
        return "Accepted"

    def raise_event(self, id: str, name: str, input: str | None) -> str:
        if id not in self.orchestrations:
            return "NotFound"
        self._deliver(id, name, input)
        return "Accepted"

    def suspend(self, id: str) -> str:
        found = self.orchestrations.get(id)
        if found is None:
            return "NotFound"
        if found.lives and not found.is_suspended:
            found.is_suspended, found.status = True, "SUSPENDED"
        return "Accepted"

    def resume(self, id: str) -> str:
        found = self.orchestrations.get(id)
        if found is None:
            return "NotFound"
        if found.lives and found.is_suspended:
            found.is_suspended = False
            found.status = "RUNNING" if found.has_run else "PENDING"
            if found.history:
                self._enqueue(found, ("suspended",), rank=Rank.CONTROL)
                self._enqueue(found, ("resumed",), rank=Rank.CONTROL)
        return "Accepted"

    def terminate(self, id: str, output: str | None, is_recursive: bool) -> str:
        found = self.orchestrations.get(id)
        if found is None:
            return "NotFound"
        if found.lives:
            found.history.append(("terminated", output))
            self._end(found, "TERMINATED", output)
        if is_recursive:
            self._tell(self._end_children, id, output)
        return "Accepted"

    def purge(self, id: str, is_recursive: bool) -> str:
        found = self.orchestrations.get(id)
        if found is not None and not found.lives:
            self._remove(id, is_recursive)
        return "Purged"

    def signal_entity(self, entity: str, request: str, at: datetime | None) -> str:
        self._queue(entity, ("signal", request), None, at)
        return "Accepted"

    def purge_entity(self, entity: str) -> str:
        found = self.entities.get(entity)
        if found is not None and not (found.holder or any(each.caller for each in found.queue)):
            del self.entities[entity]
            self._purged += 1
        return "Purged"

    # What workers answer.

    def complete_turn(
        self, id: str, execution: int, rows: Sequence[Waiting], actions: Iterable[Event]
    ) -> None:
        """The turn of these events, unless the instance has gone on without it."""
        found = self.orchestrations.get(id)
        if found is None or found.execution != execution or not found.lives:
            return
        if any(row not in found.inbox for row in rows):
            return
        found.has_run = True
        found.history += [("turn",), *(row.event for row in rows)]
        found.inbox = [row for row in found.inbox if row not in rows]
        ending: Event | None = None
        for action in actions:
            if action[0] in {"complete", "fail", "again"}:
                ending = ending or action
            else:
                getattr(self, f"_act_{action[0]}")(found, *action[1:])
        if ending is None:
            found.status = "SUSPENDED" if found.is_suspended else "RUNNING"
        elif ending[0] == "again":
            self._continue_as_new(found, *ending[1:])
        else:
            status = "COMPLETED" if ending[0] == "complete" else "FAILED"
            self._end(found, status, ending[1] if ending[0] == "complete" else None)

    def complete_task(self, id: str, task: int, serial: int, result: str | None) -> None:
        """The outcome of a task, None that it failed; the first one counts."""
        found = self.orchestrations.get(id)
        if found is None or found.waits.get(("task", task)) != serial:
            return
        del found.waits["task", task]
        if found.lives:
            self._enqueue(found, ("task done", task, result), answers=("task", task))

    def complete_batch(
        self,
        id: str,
        found: Entity | None,
        rows: Sequence[Waiting],
        done: int,
        state: str | None,
        signals: bool,
    ) -> None:
        """So many of the operations were run; none, that all have failed."""
        if found is None or self.entities.get(id) is not found:
            return
        if any(row not in found.queue for row in rows):
            return
        if found.holder is not None and not all(map(found.is_holders, rows)):
            return
        for row in rows[: done or None]:
            found.queue.remove(row)
            if row.caller is not None:
                answer = row.event[1] if done else None
                self._tell(self._answer, *row.caller, row.event[1], answer)
        if done:
            found.state = state
            if signals:
                self._tell(self._queue, "@e@1", ("signal", None), None, None)
        self._grant(found)

    # What orchestrators ask for.

    def _act_task(self, asking: Orchestration, id: int) -> None:
        if not asking.asked(("task", id)):
            asking.history.append(("task", id))
            asking.waits["task", id] = next(self._numbers)

    def _act_timer(self, asking: Orchestration, id: int, at: datetime) -> None:
        if not asking.asked(("timer", id)):
            asking.history.append(("timer", id, at))
            self._enqueue(asking, ("fired", id, at), at=at, answers=("timer", id))

    def _act_child(self, asking: Orchestration, id: int, child: str, input: str) -> None:
        if not asking.asked(("child", id)):
            child = child or f"{asking.id}:{id:04x}"
            asking.history.append(("child", id, child))
            asking.waits["child", id] = child
            self._tell(self._start_child, child, input, (asking.id, asking.execution, id))

    def _act_send(self, asking: Orchestration, id: int, to: str, input: str) -> None:
        asking.history.append(("sent", id, to, input))
        self._tell(self._deliver, to, "sent", input)

    def _act_kill(self, _asking: Orchestration, _id: int, target: str, recurse: bool) -> None:
        self._tell(self.terminate, target, "killed", recurse)

    def _act_signal(self, asking: Orchestration, id: int, request: str, entity: str) -> None:
        asking.history.append(("signaled", id, request, entity))
        self._tell(self._queue, entity, ("signal", request), None, None)

    def _act_call(self, asking: Orchestration, id: int, request: str, entity: str) -> None:
        asking.history.append(("called", id, request, entity))
        asking.waits["call", request] = entity
        caller = (asking.id, asking.execution)
        self._tell(self._queue, entity, ("call", request), caller, None)

    def _act_lock(
        self, asking: Orchestration, id: int, section: str, entities: Sequence[str]
    ) -> None:
        asking.history.append(("lock", id, section))
        ordered = tuple(sorted(set(entities)))
        asking.waits["lock", section] = (ordered, False)
        self._tell(self._request_lock, asking.id, asking.execution, section, ordered, 0)

    def _act_unlock(self, asking: Orchestration, id: int, section: str, entity: str) -> None:
        asking.history.append(("unlocked", id, section, entity))
        self._leave(asking, section)

    # What instances tell one another.

    def _start_child(self, id: str, input: str, parent: tuple[str, int, int]) -> None:
        old = self.orchestrations.get(id)
        if old is not None and old.lives:
            self._tell(self._child_ended, parent, id, None)
        else:
            self._create(id, input, parent, None)

    def _child_ended(self, parent: tuple[str, int, int], child: str, output: Any) -> None:
        """An output of None is a failure."""
        id, execution, number = parent
        found = self.orchestrations.get(id)
        is_current = found is not None and found.lives and found.execution == execution
        if found is not None and is_current and found.waits.get(("child", number)) == child:
            del found.waits["child", number]
            self._enqueue(found, ("child done", number, output), answers=("child", number))

    def _deliver(self, id: str, name: str, input: str | None) -> None:
        found = self.orchestrations.get(id)
        if found is not None and found.lives:
            self._enqueue(found, ("raised", name, input))

    def _end_children(self, id: str, output: str | None) -> None:
        for child in self._children(id):
            if child.lives:
                self.terminate(child.id, output, True)

    def _remove_children(self, id: str) -> None:
        for child in self._children(id):
            self._remove(child.id, True)

    def _children(self, id: str) -> list[Orchestration]:
        found = self.orchestrations.values()
        return [each for each in found if each.parent is not None and each.parent[0] == id]

    def _answer(self, id: str, execution: int, request: str, result: str | None) -> None:
        found = self.orchestrations.get(id)
        is_current = found is not None and found.execution == execution
        if found is not None and is_current and ("call", request) in found.waits:
            del found.waits["call", request]
            self._enqueue(found, ("answered", request, result), answers=("call", request))

    def _locked(
        self, id: str, execution: int, section: str, entities: tuple[str, ...], position: int
    ) -> None:
        """One entity more is locked: on to the next, or let the orchestration know."""
        found = self.orchestrations.get(id)
        is_current = found is not None and found.execution == execution
        wanted = found.waits.get(("lock", section)) if found is not None and is_current else None
        if wanted is None or found is None:
            self._release_all(id, section, entities)
        elif position + 1 < len(entities):
            self._tell(self._request_lock, id, execution, section, entities, position + 1)
        else:
            found.waits["lock", section] = (entities, True)
            self._enqueue(found, ("locked", section), answers=("lock", section))

    def _request_lock(
        self, id: str, execution: int, section: str, entities: tuple[str, ...], position: int
    ) -> None:
        event = ("lock", section, entities, position)
        self._grant(self._queue(entities[position], event, (id, execution), None))

    def _release(self, entity: str, holder: tuple[str, str]) -> None:
        found = self.entities.get(entity)
        if found is None:
            return
        id, section = holder
        found.queue = [
            each
            for each in found.queue
            if each.caller is None or (each.caller[0], *each.event[:2]) != (id, "lock", section)
        ]
        if found.holder == holder:
            found.holder = None
        self._grant(found)

    # How instances begin, go on and end.

    def _create(
        self, id: str, input: str, parent: tuple[str, int, int] | None, at: datetime | None
    ) -> None:
        old = self.orchestrations.get(id)
        self.orchestrations[id] = new = Orchestration(id, next(self._numbers), input, parent)
        self._enqueue(new, ("started", input), at=at, rank=Rank.START)
        if old is not None and old.lives:
            self._leave_all(old)
            if old.parent is not None:
                self._tell(self._child_ended, old.parent, id, None)

    def _end(self, ending: Orchestration, status: str, output: str | None) -> None:
        """Nothing waits any more, but tasks that were promised to run."""
        ending.history.append(("ended", status, output))
        ending.status, ending.output, ending.is_suspended = status, output, False
        ending.inbox = []
        self._leave_all(ending)
        promised = status != "TERMINATED"
        ending.waits = {
            question: serial
            for question, serial in ending.waits.items()
            if promised and question[0] == "task"
        }
        if ending.parent is not None:
            told = output if status == "COMPLETED" else None
            self._tell(self._child_ended, ending.parent, ending.id, told)

    def _continue_as_new(self, old: Orchestration, input: str, carried: Sequence[str]) -> None:
        """Carried events first, those that were carried before after them, then the others."""
        self._leave_all(old)
        kept = [row for row in sorted(old.inbox, key=_order) if row.outlives]
        old.execution, old.input, old.history = next(self._numbers), input, []
        old.waits, old.inbox = {}, [row for row in kept if row.order[0] != Rank.CARRIED]
        self._enqueue(old, ("started", input), rank=Rank.START)
        again = [("raised", "carried", each) for each in carried]
        again += [row.event for row in kept if row.order[0] == Rank.CARRIED]
        for event in again:
            self._enqueue(old, event, rank=Rank.CARRIED)
        old.status = "SUSPENDED" if old.is_suspended else "RUNNING"

    def _remove(self, id: str, is_recursive: bool) -> None:
        gone = self.orchestrations.pop(id, None)
        if gone is None:
            return
        self._purged += 1
        self._leave_all(gone)
        if is_recursive:
            self._tell(self._remove_children, id)

    def _leave_all(self, leaving: Orchestration) -> None:
        for section in [id for kind, id in leaving.waits if kind == "lock"]:
            self._leave(leaving, section)

    def _leave(self, leaving: Orchestration, section: str) -> None:
        left = leaving.waits.pop(("lock", section), None)
        if left is not None:
            self._release_all(leaving.id, section, left[0])

    def _release_all(self, id: str, section: str, entities: Iterable[str]) -> None:
        for entity in entities:
            self._tell(self._release, entity, (id, section))

    # Queues.

    def _tell(self, what: Callable[..., Any], *args: Any) -> None:
        self._told.append(lambda: what(*args))

    def _enqueue(
        self,
        to: Orchestration,
        event: Event,
        *,
        at: datetime | None = None,
        rank: Rank = Rank.OTHER,
        answers: Question | None = None,
    ) -> None:
        order = (rank, max(at or self.now, self.now), next(self._numbers))
        to.inbox.append(Waiting(order, event, answers))

    def _queue(
        self, entity: str, event: Event, caller: tuple[str, int] | None, at: datetime | None
    ) -> Entity:
        found = self.entities.setdefault(entity, Entity())
        order = (0, max(at or self.now, self.now), next(self._numbers))
        found.queue.append(Waiting(order, event, None, caller))
        return found

    def _grant(self, entity: Entity) -> None:
        """Lock it for whoever stands at the head of the queue and asks for that."""
        while (visible := entity.visible(self.now)) and visible[0].event[0] == "lock":
            head = visible[0]
            assert head.caller is not None
            _, section, entities, position = head.event
            entity.queue.remove(head)
            entity.holder = (head.caller[0], section)
            self._tell(self._locked, *head.caller, section, entities, position)
