"""A state machine that does to a sidecar whatever may happen, and compares it with the model.

Each step is one commit or one crash. After each, what is stored, what waits and what the workers
hold must be what the model says. In the end everything is purged, and nothing may be left.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from durabletask.protocol import messages, oneofs
from durabletask.sidecar.engine import commands
from durabletask.sidecar.engine.entities import commands as entity_commands
from durabletask.sidecar.engine.transition import Purged
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.queries import EntityQuery, InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import EPOCH, HUB, failure
from tests.builders.engine_entities import returned
from tests.properties import model_events
from tests.properties.crashing_sidecar import CrashingSidecar, Fate
from tests.properties.model import OVER, Entity, Model, Orchestration, Waiting
from tests.properties.strategies import weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.store import Store
    from tests.properties.crashing_sidecar import Call, Worker
    from tests.properties.model import Event

INSTANCES = ("a", "b", "c")
ENTITIES = ("@e@1", "@e@2", "@e@3")
# The engine's own names for children among them; one that a client starts as well.
CHILDREN = ("", "k", "b", "c")

ids = st.sampled_from(INSTANCES)
entities = st.sampled_from(ENTITIES)
numbers = st.integers(1, 4)
minutes = st.integers(-1, 3)
picks = st.integers(0, 7)
fates = st.sampled_from([Fate.STORED] * 30 + [Fate.REFUSED, Fate.DIES_BEFORE, Fate.DIES_AFTER])


def told(kind: str, *rest: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(kind), *rest)


# What an orchestrator asks for, but for what only its turn can tell: times and fresh ids.
actions = weighted(
    (3, told("task", numbers)),
    (1, told("timer", numbers, minutes)),
    (3, told("child", st.integers(1, 2), st.sampled_from(CHILDREN), st.just("x"))),
    (1, told("send", numbers, st.sampled_from([*INSTANCES, "nobody"]))),
    (2, told("kill", numbers, st.sampled_from(["a", *CHILDREN[1:]]), st.booleans())),
    (1, told("signal", numbers, entities)),
    (2, told("call", numbers, entities)),
    (2, told("lock", numbers, st.lists(entities, min_size=1, max_size=3))),
    (1, told("unlock", numbers, picks)),
)
asked = st.lists(actions, max_size=4)
endings = weighted(
    (8, st.none()),
    (3, told("again", st.lists(st.just("carried"), max_size=2))),
    (1, st.just(("complete", "1"))),
    (1, st.just(("fail",))),
)
# What comes in while the turn is out, and is stored before it.
disturbances = weighted(
    (4, st.none()), (3, st.just("raise_event")), (1, st.just("suspend")), (1, st.just("resume"))
)
answers = st.tuples(asked, endings, disturbances)
works = weighted(
    (6, told("turn", picks, st.lists(answers, min_size=1, max_size=4), fates)),
    (2, told("task", picks, st.integers(1, 3), st.booleans(), fates)),
    (2, told("batch", picks, st.integers(0, 3), st.booleans(), fates)),
    (1, told("late", picks, fates)),
    (1, told("twice", picks, fates)),
)
replaces = st.sampled_from([frozenset(), OVER, OVER | {"PENDING", "RUNNING", "SUSPENDED"}])

# The names are those of the methods that make a operation of it.
asks = weighted(
    (3, told("start", ids, minutes, replaces)),
    (5, told("raise_event", ids)),
    (1, told("suspend", ids)),
    (2, told("resume", ids)),
    (1, told("terminate", ids, st.booleans())),
    (1, told("purge", ids, st.booleans())),
    (2, told("signal", entities, minutes)),
    (1, told("purge_entity", entities)),
)


class Operation(NamedTuple):
    """One thing that is asked of the sidecar, and what the model makes of it."""

    call: Call
    model: Callable[[], Any]
    answers: str | None = None
    """The token of the work whose completion it is."""


@dataclass(eq=False, slots=True)
class Held:
    """Work that a worker was given, and what the model knew it to be."""

    token: str
    kind: str
    id: str
    worker: Worker
    execution: int = 0
    rows: list[Waiting] = ()  # type: ignore[assignment]
    task: int = 0
    serial: int = 0
    entity: Entity | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.kind, self.id, self.task)


class LifecycleMachine(RuleBasedStateMachine):
    """Over a store in memory."""

    most_bytes = 1 << 30
    flushes_apart = False
    turns_ahead = False
    held_so_far: ClassVar[int] = 0
    """How many completions were held for whatever came next."""
    compared: ClassVar[int] = 0
    """How often all of a sidecar was compared with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore()
        self.sidecar = CrashingSidecar(
            self.reopen,
            EPOCH,
            most_bytes=self.most_bytes,
            flushes_apart=self.flushes_apart,
            turns_ahead=self.turns_ahead,
        )
        self.sidecar.meanwhile = self.while_it_waits_for_the_disk
        self.sidecar.while_held = self.while_a_completion_is_held
        self.ways_to_end_holding = itertools.cycle(["late", "another command"])
        self.after: list[Operation] = []
        """What was done while something was held: it is stored by the same commit."""
        self.disturbances = itertools.cycle(["", "time", "", "worker 0", "", "", "worker 1"])
        self.model = Model(EPOCH)
        self.hands: dict[str, Held] = {}
        self.late: list[Held] = []
        """Work that was answered, is void, or whose stream has ended."""
        self.fresh = (str(number) for number in itertools.count(1))
        self.known: set[str] = set(INSTANCES)
        self.is_well = True

    def reopen(self) -> Store:
        return self.memory

    # What clients do.

    @initialize()
    def begin(self) -> None:
        self.act([self.start("a", 0, frozenset())])

    @rule(asks=st.lists(asks, min_size=1, max_size=3), fate=fates)
    def clients_ask(self, asks: list[tuple[Any, ...]], fate: Fate) -> None:
        self.act([getattr(self, what)(*args) for what, *args in asks], fate)

    # What workers do.

    @rule(works=st.lists(works, min_size=4, max_size=10))
    def workers_work(self, works: list[tuple[Any, ...]]) -> None:
        """Most of what happens, so it is one rule, which comes several times over."""
        for kind, pick, *how, fate in works:
            held = self.held(kind)
            if kind == "late" and self.late:
                self.work_too_late(pick)
            elif kind == "twice" and self.hands:
                self.work_twice(pick)
            elif held:
                first = pick % len(held)
                getattr(self, f"work_on_{kind}")([*held[first:], *held[:first]], *how, fate)

    def work_on_turn(
        self, turns: list[Held], several: list[tuple[list[Any], Any, str | None]], fate: Fate
    ) -> None:
        operations: list[Operation] = []
        for held, (asked, ending, disturbance) in zip(turns, several, strict=False):
            if disturbance is not None:
                operations.append(getattr(self, disturbance)(held.id))
            operations.append(self.decide(held, [*asked, *([ending] if ending else [])]))
        self.act(operations, fate)

    def work_on_task(self, tasks: list[Held], count: int, fails: bool, fate: Fate) -> None:
        self.act([self.finish(held, None if fails else "done") for held in tasks[:count]], fate)

    def work_too_late(self, pick: int) -> None:
        """Answer what was answered, or is void, or was handed out by a life before this one."""
        # Only a task's outcome may still count, so these come more often.
        tasks = [held for held in self.late if held.kind == "task"]
        late = tasks if tasks and pick % 2 else self.late
        held = late[-1 - pick // 2 % len(late)]
        if held.kind == "task":
            self.act([self.finish(held, "late")])
        elif held.kind == "turn":
            self.act([self.decide(held, [("complete", "late")])._replace(model=_nothing)])
        else:
            self.act([self.operate(held, 9, signals=False)._replace(model=_nothing)])

    def work_on_batch(self, batches: list[Held], count: int, signals: bool, fate: Fate) -> None:
        self.act([self.operate(batches[0], count, signals)], fate)

    def work_twice(self, pick: int) -> None:
        held = list(self.hands.values())[pick % len(self.hands)]
        if held.kind == "task":
            operation = self.finish(held, "done")
        elif held.kind == "turn":
            operation = self.decide(held, [("task", 1)])
        else:
            operation = self.operate(held, 9, signals=False)
        self.act([operation, operation._replace(model=_nothing)])

    # What else happens.

    @rule(id=ids)
    def client_begins_anew(self, id: str) -> None:
        """The instance goes without a trace, and another one gets its id."""
        self.act([self.terminate(id, recurse=False)])
        self.act([self.purge(id, recurse=False)])
        self.act([self.start(id, 0, frozenset())])

    @rule(what=st.sampled_from(["time", "time", "worker 0", "worker 1", "sidecar"]))
    def something_else_happens(self, what: str) -> None:
        if what == "time":
            self.time_passes(90)
        elif what == "sidecar":
            self.sidecar_dies()
        else:
            self.worker_reconnects(int(what[-1]))

    def worker_reconnects(self, which: int) -> None:
        with self.steps():
            worker = self.sidecar.workers[which]
            for held in [each for each in self.hands.values() if each.worker is worker]:
                self.drop(held)
            self.sidecar.reconnect(worker)

    def sidecar_dies(self) -> None:
        with self.steps():
            self.drop_all()
            self.sidecar.die()

    def while_it_waits_for_the_disk(self) -> None:
        """All is as if the commit had not begun; then something else may happen."""
        self.compare()
        disturbance = next(self.disturbances)
        if disturbance == "time":
            self.sidecar.clock.advance(timedelta(seconds=90))
        elif disturbance:
            worker = self.sidecar.workers[int(disturbance[-1])]
            for held in [each for each in self.hands.values() if each.worker is worker]:
                self.drop(held)
            self.sidecar.reconnect(worker)
            self.receive_all()

    def time_passes(self, seconds: int) -> None:
        with self.steps():
            self.sidecar.wait(timedelta(seconds=seconds))

    def teardown(self) -> None:
        try:
            if self.is_well:
                self.run_down()
        finally:
            self.sidecar.close()

    def run_down(self) -> None:
        """Everything ends and is purged; nothing may be left."""
        self.act([self.terminate(id, recurse=False) for id in sorted(self.model.orchestrations)])
        self.time_passes(3600)
        while self.hands:
            self.act([self.answer_somehow(held) for held in self.hands.values()])
        assert not any(entity.holder or entity.queue for entity in self.model.entities.values())
        self.sidecar_dies()
        self.act([self.purge(id, recurse=False) for id in sorted(self.model.orchestrations)])
        self.act([self.purge_entity(id) for id in sorted(self.model.entities)])
        self.sidecar_dies()
        self.check_empty()

    def check_empty(self) -> None:
        store = self.sidecar.store
        assert not list(store.outstanding_tasks())
        assert not list(store.due(None, datetime.max.replace(tzinfo=EPOCH.tzinfo)))
        assert not list(store.entities(HUB, EntityQuery()))

    # How it is done.

    def act(self, operations: list[Operation], fate: Fate = Fate.STORED) -> None:
        """Do all of it in one commit, with the sidecar and, if it is kept, with the model."""
        self.after = []
        with self.steps():
            became, told = self.sidecar.submit([operation.call for operation in operations], fate)
            expected = self.carry_out(operations) if became.is_kept else []
            if became is Fate.STORED:
                assert [_reply(each) for each in told] == expected
                for operation in operations:
                    self.drop(self.hands.get(operation.answers or ""))
            elif became is Fate.REFUSED:
                assert all(isinstance(each, CommitFailedError) for each in told)
            else:
                self.drop_all()

    def carry_out(self, operations: list[Operation]) -> list[Any]:
        """The same with the model."""
        return [operation.model() for operation in (*operations, *self.after)]

    def while_a_completion_is_held(self) -> list[Call]:
        """Nothing of it is seen; then something for another instance comes, or nothing does."""
        LifecycleMachine.held_so_far += 1
        self.compare()
        if next(self.ways_to_end_holding) == "late":
            return list(self.sidecar.end_holding())
        self.after = [self.raise_event("b")]
        return [operation.call for operation in self.after]

    def steps(self) -> _Step:
        return _Step(self)

    def start(self, id: str, delay: int, over: frozenset[str]) -> Operation:
        input, at = next(self.fresh), self.at(delay)
        numbers = frozenset(int(messages.OrchestrationStatus[name]) for name in over)
        command = commands.StartInstance("order", input, scheduled_start=at, replaceable=numbers)
        return self.ask(id, command, "start", input, at, over)

    def raise_event(self, id: str) -> Operation:
        input = next(self.fresh)
        return self.ask(id, commands.RaiseEvent("raised", input), "raise_event", "raised", input)

    def suspend(self, id: str) -> Operation:
        return self.ask(id, commands.Suspend(), "suspend")

    def resume(self, id: str) -> Operation:
        return self.ask(id, commands.Resume(), "resume")

    def terminate(self, id: str, recurse: bool) -> Operation:
        return self.ask(id, commands.Terminate("stop", recurse), "terminate", "stop", recurse)

    def purge(self, id: str, recurse: bool) -> Operation:
        return self.ask(id, commands.Purge(recurse), "purge", recurse)

    def signal(self, id: str, delay: int) -> Operation:
        request, at = f"r{next(self.fresh)}", self.at(delay)
        command = entity_commands.SignalEntity(request, "add", scheduled_at=at)
        return self.ask(id, command, "signal_entity", request, at)

    def purge_entity(self, id: str) -> Operation:
        return self.ask(id, entity_commands.PurgeEntity(), "purge_entity")

    def ask(self, id: str, command: Any, what: str, *args: Any) -> Operation:
        return Operation(
            lambda host: host.execute(HUB, id, command), lambda: self.model.do(what, id, *args)
        )

    def decide(self, held: Held, asked: Iterable[Event]) -> Operation:
        decided = [full for action in asked if (full := self.filled(held, action)) is not None]
        response = messages.OrchestratorResponse(
            instance_id=held.id,
            actions=model_events.actions(decided, self.sidecar.now),
            completion_token=held.token,
        )
        return Operation(
            lambda host: host.completions.complete_turn(HUB, response),
            lambda: self.model.do("complete_turn", held.id, held.execution, held.rows, decided),
            held.token,
        )

    def filled(self, held: Held, action: Event) -> Event | None:
        """The action with its times and ids; None when there is nothing to leave."""
        kind, *rest = action
        match kind:
            case "timer":
                return (kind, rest[0], self.at(rest[1]))
            case "send":
                return (*action, next(self.fresh))
            case "signal" | "call":
                return (kind, rest[0], f"r{next(self.fresh)}", rest[1])
            case "lock":
                return (kind, rest[0], f"s{next(self.fresh)}", rest[1])
            case "again":
                return (kind, next(self.fresh), [next(self.fresh) for _ in rest[0]])
            case "unlock":
                waits = self.model.orchestrations[held.id].waits
                sections = [
                    (id, what[0][0]) for (kind, id), what in waits.items() if kind == "lock"
                ]
                return (kind, rest[0], *sections[rest[1] % len(sections)]) if sections else None
        return action

    def finish(self, held: Held, result: str | None) -> Operation:
        response = messages.ActivityResponse(
            instance_id=held.id,
            task_id=held.task,
            result=result,
            failure_details=failure() if result is None else None,
            completion_token=held.token,
        )
        return Operation(
            lambda host: host.completions.complete_activity(HUB, response),
            lambda: self.model.do("complete_task", held.id, held.task, held.serial, result),
            held.token,
        )

    def operate(self, held: Held, count: int, signals: bool) -> Operation:
        rows, state = held.rows[:count], next(self.fresh)
        signal = messages.SendSignalAction(instance_id="@e@1", name="add")
        result = messages.EntityBatchResult(
            results=[returned(row.event[1]) for row in rows],
            actions=[messages.OperationAction(send_signal=signal)] if signals else [],
            entity_state=state,
            failure_details=None if rows else failure(),
            completion_token=held.token,
        )
        asked = ("complete_batch", held.id, held.entity, held.rows, len(rows), state, signals)

        async def complete(host: Any) -> None:
            await host.completions.complete_batch(HUB, result)

        return Operation(complete, lambda: self.model.do(*asked), held.token)

    def answer_somehow(self, held: Held) -> Operation:
        if held.kind == "task":
            return self.finish(held, "done")
        return self.operate(held, 9, signals=False)

    def at(self, delay: int) -> datetime:
        return self.sidecar.now + timedelta(minutes=delay)

    def held(self, kind: str) -> list[Held]:
        return [held for held in self.hands.values() if held.kind == kind]

    def drop(self, held: Held | None) -> None:
        if held is not None and self.hands.pop(held.token, None) is not None:
            self.late.append(held)

    def drop_all(self) -> None:
        for held in list(self.hands.values()):
            self.drop(held)

    # How it is compared.

    def compare(self) -> None:
        LifecycleMachine.compared += 1
        for held in [each for each in self.hands.values() if self.is_void(each)]:
            self.drop(held)
        self.receive_all()
        self.check_that_all_work_is_out()
        self.known |= self.model.orchestrations.keys()
        for id in self.known:
            self.check_instance(id, self.model.orchestrations.get(id))
        for id in ENTITIES:
            self.check_entity(id, self.model.entities.get(id))
        stored = {each.instance_id for each in self.sidecar.store.instances(HUB, InstanceQuery())}
        assert stored == self.model.orchestrations.keys()

    def is_void(self, held: Held) -> bool:
        """Whether nobody wants the answer any more."""
        if held.kind == "batch":
            return self.model.entities.get(held.id) is not held.entity
        found = self.model.orchestrations.get(held.id)
        if found is None:
            return True
        if held.kind == "task":
            return found.waits.get(("task", held.task)) != held.serial
        return not found.lives or found.execution != held.execution

    def receive_all(self) -> None:
        for worker in self.sidecar.workers:
            while worker.items:
                self.receive(worker, worker.items.pop(0))

    def receive(self, worker: Worker, item: Any) -> None:
        """Work arrives: it must be wanted, complete, and in nobody else's hands."""
        kind = oneofs.which(item)
        request = getattr(item, kind)
        held = {
            "orchestrator_request": self.receive_turn,
            "activity_request": self.receive_task,
            "entity_request_v2": self.receive_batch,
        }[kind](worker, item.completion_token, request)
        assert held.key not in {each.key for each in self.hands.values()}, "handed out twice"
        self.hands[held.token] = held

    def receive_turn(self, worker: Worker, token: str, request: Any) -> Held:
        found = self.model.orchestrations[request.instance_id]
        rows = found.turn(self.model.now)
        assert rows, "there is nothing to do"
        if "HistoryLength" in request.properties:
            assert int(request.properties["HistoryLength"]) == len(found.history)
        else:
            assert [model_events.of_event(each) for each in request.past_events] == found.history
        new = [model_events.of_event(each) for each in request.new_events]
        assert new == [("turn",), *(row.event for row in rows)]
        return Held(token, "turn", found.id, worker, found.execution, rows)

    def receive_task(self, worker: Worker, token: str, request: Any) -> Held:
        id, task = request.orchestration_instance.instance_id, request.task_id
        serial = self.model.orchestrations[id].waits["task", task]
        return Held(token, "task", id, worker, task=task, serial=serial)

    def receive_batch(self, worker: Worker, token: str, request: Any) -> Held:
        found = self.model.entities[request.instance_id]
        rows = found.batch(self.model.now)
        assert rows, "there is no operation to run"
        assert [model_events.of_event(each) for each in request.operation_requests] == [
            row.event for row in rows
        ]
        assert request.entity_state == found.state
        return Held(token, "batch", request.instance_id, worker, rows=rows, entity=found)

    def check_that_all_work_is_out(self) -> None:
        out = {held.key for held in self.hands.values()}
        for id, found in self.model.orchestrations.items():
            assert not found.turn(self.model.now) or ("turn", id, 0) in out, f"no turn of {id}"
            for kind, number in found.waits:
                assert kind != "task" or ("task", id, number) in out, f"no task of {id}"
        for id, entity in self.model.entities.items():
            assert not entity.batch(self.model.now) or ("batch", id, 0) in out, f"no batch of {id}"

    def check_instance(self, id: str, expected: Orchestration | None) -> None:
        instance = self.sidecar.host.instance(HUB, id)
        history = model_events.history(self.sidecar.store.history((HUB, id)))
        assert (instance is None) == (expected is None)
        if expected is None or instance is None:
            assert history == []
            return
        assert instance.progress.status.name == expected.status
        assert instance.progress.output == expected.output
        assert history == expected.history
        assert _inbox(instance.inbox) == Counter((row.event, row.at) for row in expected.inbox)
        assert _waits(instance) == {
            question: None if question[0] == "task" else what
            for question, what in expected.waits.items()
        }

    def check_entity(self, id: str, expected: Entity | None) -> None:
        entity = self.sidecar.host.entity(HUB, id)
        assert (entity is None) == (expected is None)
        if expected is None or entity is None:
            return
        holder = entity.progress.holder
        holds = None if holder is None else (holder.instance_id, holder.critical_section_id)
        assert (entity.progress.state, holds) == (expected.state, expected.holder)
        assert _inbox(entity.queue) == Counter((row.event, row.at) for row in expected.queue)


class LifecycleMachineOnFile(LifecycleMachine):
    """The same over a file, with nothing kept in memory between two commits."""

    most_bytes = 0

    def __init__(self) -> None:
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = TemporaryDirectory(dir=parent)
        super().__init__()

    @property
    def path(self) -> Path:
        return Path(self.folder.name) / "tasks.db"

    def reopen(self) -> Store:
        return SqliteStore(self.path, synchronous="normal")

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.folder.cleanup()

    def check_empty(self) -> None:
        super().check_empty()
        with closing(sqlite3.connect(self.path)) as file:
            tables = file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            rows = {
                name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for (name,) in tables.fetchall()
            }
        assert set(rows.values()) == {0}, rows


class LifecycleMachineAhead(LifecycleMachineOnFile):
    """Results are held, and the turns that they lead to are out before they are stored."""

    turns_ahead = True
    ahead_so_far: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.sidecar.while_ahead = self.while_a_result_is_held
        self.ways = itertools.cycle(["answered", "late", "answered", "another command", "worker"])
        decisions: list[list[Event]] = [
            [("task", 1)],
            [("task", 2), ("child", 1, "k", "x")],
            [("complete", "1")],
            [],
        ]
        self.decisions = itertools.cycle(decisions)
        self.ahead: Held | None = None

    def work_on_task(self, tasks: list[Held], count: int, fails: bool, fate: Fate) -> None:
        super().work_on_task(tasks, 1, fails, fate)

    def while_a_result_is_held(self) -> list[Call]:
        """Only one worker knows of it; then the turn comes back, or something else comes first."""
        LifecycleMachineAhead.ahead_so_far += 1
        self.ahead, self.after = self.take_ahead(), []
        self.compare()
        way = next(self.ways)
        if way == "answered":
            self.after = [self.decide(self.ahead, next(self.decisions))]
        elif way == "another command":
            self.after = [self.raise_event(self.ahead.id)]
        else:
            if way == "worker":
                for held in [it for it in self.hands.values() if it.worker is self.ahead.worker]:
                    self.drop(held)
                self.sidecar.reconnect(self.ahead.worker)
            self.sidecar.end_holding()
        return [operation.call for operation in self.after]

    def take_ahead(self) -> Held:
        """The turn that is out; the model does not know it yet."""
        [(worker, item)] = [(it, item) for it in self.sidecar.workers for item in it.items]
        worker.items.clear()
        self.item = item
        found = self.model.orchestrations[item.orchestrator_request.instance_id]
        return Held(item.completion_token, "turn", found.id, worker, found.execution)

    def act(self, operations: list[Operation], fate: Fate = Fate.STORED) -> None:
        self.ahead = None
        super().act(operations, fate)
        if self.ahead is not None and self.ahead.token not in self.hands:
            # Whatever became of the result, its worker reports the turn.
            turn = self.decide(self.ahead, [])
            self.ahead = None
            super().act([turn._replace(model=_nothing)])

    def carry_out(self, operations: list[Operation]) -> list[Any]:
        if self.ahead is None:
            return super().carry_out(operations)
        after, self.after = self.after, []
        replies = super().carry_out(operations)
        token, request = self.item.completion_token, self.item.orchestrator_request
        received = self.receive_turn(self.ahead.worker, token, request)
        self.ahead.rows = received.rows
        if self.ahead.worker in self.sidecar.workers:
            self.hands[token] = self.ahead
        replies += super().carry_out(after)
        for operation in after:
            self.drop(self.hands.get(operation.answers or ""))
        return replies


class LifecycleMachineWithSlowDisk(LifecycleMachine):
    """In memory, with commits that wait for the disk while other things happen."""

    flushes_apart = True


class LifecycleMachineOnSlowDisk(LifecycleMachineOnFile):
    """On a file, with commits that wait for the disk while other things happen."""

    flushes_apart = True


@dataclass(slots=True)
class _Step:
    """Something happens, and then all is compared; once that has failed, nothing is well."""

    lives: LifecycleMachine

    def __enter__(self) -> None:
        self.lives.is_well = False
        self.lives.model.now = self.lives.sidecar.now

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.lives.model.now = self.lives.sidecar.now
            self.lives.compare()
            self.lives.is_well = True


def _nothing() -> None:
    return None


def _reply(told: Any) -> Any:
    if told is None or isinstance(told, CommitFailedError):
        return told
    return ("Purged", told.count) if isinstance(told, Purged) else type(told).__name__


def _inbox(rows: Iterable[Any]) -> Counter[Any]:
    return Counter((model_events.stored_event(row.event), row.visible_at) for row in rows)


def _waits(instance: Instance) -> dict[Any, Any]:
    waits: dict[Any, Any] = {("task", row.task_id): None for row in instance.tasks.values()}
    waits |= {("child", row.task_id): row.child_id for row in instance.children.values()}
    waits |= {("call", row.request_id): row.entity_id for row in instance.calls.values()}
    waits |= {
        ("lock", row.critical_section_id): (row.lock_set, row.is_granted)
        for row in instance.locks.values()
    }
    return waits
