"""Two sidecars receive the same commands, and the invariants hold after every single commit.

One keeps everything in memory. The other keeps nothing but a file, which is closed and opened
again now and then. Callers and workers do anything, several things in one commit included.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from durabletask.protocol import codec, events, messages, oneofs
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import (
    CompleteActivity,
    CompleteTurn,
    DispatchedTurn,
    Purge,
    RaiseEvent,
    Restart,
    Resume,
    Rewind,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.entities.commands import (
    CleanEntity,
    CompleteBatch,
    DispatchedBatch,
    PurgeEntity,
    SignalEntity,
)
from durabletask.sidecar.engine.inbox import RowKind
from durabletask.sidecar.engine.transition import Accepted, Purged, Stale
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.sqlite import SqliteStore
from durabletask.sidecar.work.items import WorkItemSource
from tests.builders.engine import (
    EPOCH,
    HUB,
    Status,
    again,
    child,
    end,
    events_in,
    fail,
    failure,
    kill,
    schedule,
    send,
    timer,
)
from tests.builders.engine_entities import call, lock, raised, returned, signal, unlock
from tests.properties.history_reader import outstanding, rewinding, rewound, unanswered
from tests.properties.strategies import weighted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.sidecar.commit.committer import Commit
    from durabletask.sidecar.commit.notifications import Notifications
    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Store
    from durabletask.sidecar.work.items import PreparedBatch, PreparedTurn

CALLED = ("a", "b", "c")
# One of them by the engine's own name for a child.
CHILDREN = ("", "", "c", "b:0001")
ENTITIES = ("@e@1", "@e@2")
ROOMY = 1 << 30

ids = st.sampled_from(CALLED)
numbers = st.integers(1, 3)
entities = st.sampled_from(ENTITIES)
requests = st.sampled_from(["r1", "r2"])
sections = st.sampled_from(["s1", "s2"])
lock_sets = st.lists(entities, min_size=1, max_size=3)
moments = st.integers(-5, 60).map(lambda minutes: EPOCH + timedelta(minutes=minutes))

actions = st.one_of(
    st.builds(schedule, numbers, input=st.sampled_from([None, "", "1"])),
    st.builds(timer, numbers, moments),
    st.builds(child, numbers, st.sampled_from(CHILDREN), tags=st.just({"of": "child"})),
    # An orchestrator asks for this, and the engine has to refuse it.
    st.builds(child, numbers, st.just("@an@entity")),
    st.builds(send, numbers, st.sampled_from([*CALLED, "nobody"]), st.just("sent")),
    st.builds(signal, numbers, requests, entities),
    st.builds(call, numbers, requests, st.sampled_from([*ENTITIES, "no entity"])),
    st.builds(lambda id, section, both: lock(id, section, *both), numbers, sections, lock_sets),
    st.builds(unlock, numbers, sections, entities),
)
carried = st.lists(st.just(events.event_raised("carried", "1", at=EPOCH)), max_size=2)
conclusions = weighted(
    (4, carried.map(lambda kept: again("2", carry=tuple(kept)))),
    (1, st.just(end(9, "1"))),
    (1, st.just(fail(9))),
    (1, st.just(end(9, status=Status.CANCELED))),
    (1, st.just(end(9, "0", status=Status.TERMINATED))),
    (1, st.just(messages.OrchestratorAction(id=9))),
    (1, st.builds(kill, numbers, ids, recurse=st.booleans())),
)
# Most turns end nothing, or there would be little to see.
endings = weighted((2, st.just([])), (1, conclusions.map(lambda action: [action])))
answers: st.SearchStrategy[list[Any]] = st.builds(
    lambda asked, ending: [*asked, *ending], st.lists(actions, max_size=5), endings
)
held_back = st.sampled_from([False, False, True])
# What sets things going more often than what ends them.
starts = st.builds(
    StartInstance,
    st.just("order"),
    st.just("{}"),
    execution_id=st.sampled_from([None, "given"]),
    scheduled_start=st.none() | moments,
    tags=st.just({"made": "here"}),
    replaceable=st.sampled_from([frozenset(), frozenset({1, 3, 4, 5}), frozenset(range(8))]),
)
calls = weighted(
    (1, starts),
    (5, st.builds(RaiseEvent, st.just("raised"))),
    (1, st.builds(Suspend, st.sampled_from([None, "wait"]))),
    (3, st.builds(Resume)),
    (1, st.builds(Terminate, st.sampled_from([None, "0"]), st.booleans())),
    (1, st.builds(Purge, st.booleans())),
    (1, st.builds(Restart, st.sampled_from([None, "d"]))),
    (3, st.builds(Rewind, st.sampled_from([None, "again"]))),
)
entity_calls = weighted(
    (3, st.builds(SignalEntity, requests, st.just("add"))),
    (1, st.builds(SignalEntity, requests, st.just("add"), scheduled_at=moments)),
    (1, st.just(PurgeEntity())),
    (1, st.just(CleanEntity())),
)
signals = st.builds(messages.SendSignalAction, st.sampled_from([*ENTITIES, "x"]), st.just("add"))
new_ones = st.builds(
    messages.StartNewOrchestrationAction, st.sampled_from([*CALLED, "e"]), st.just("order")
)
asked_by_operations = st.one_of(
    st.builds(messages.OperationAction, send_signal=signals),
    st.builds(messages.OperationAction, start_new_orchestration=new_ones),
)
# What the operations of a batch come to.
outcomes = st.fixed_dictionaries(
    {
        "results": st.lists(st.sampled_from([returned("1"), raised("no")]), max_size=4),
        "actions": st.lists(asked_by_operations, max_size=2),
        "state": st.sampled_from([None, "", "1"]),
        "failure": st.sampled_from([None, None, None, failure()]),
    }
)


class Sidecar:
    """A committer over a store, with ids that both sides draw alike."""

    def __init__(self, store: Store, *, most_bytes: int = 1 << 30) -> None:
        self._most_bytes = most_bytes
        self._ids = (f"{number:032x}" for number in itertools.count())
        self.open(store)

    def open(self, store: Store) -> None:
        self.store = store
        self.committer = Committer(store, most_bytes=self._most_bytes)
        self.items = WorkItemSource(self.committer)

    def commit(self, submissions: Iterable[Submission], now: datetime) -> Commit:
        return self.committer.commit(list(submissions), now=now, new_id=lambda: next(self._ids))

    def prepare(self, instance_id: str, now: datetime) -> PreparedTurn | None:
        return self.items.prepare_turn(HUB, instance_id, token="t", now=now, room=ROOMY)

    def prepare_batch(self, entity_id: str, now: datetime) -> PreparedBatch | None:
        return self.items.prepare_batch(HUB, entity_id, token="t", now=now, room=ROOMY)

    def entity_picture(self, entity_id: str) -> Any:
        entity = self.store.load_entity(Key(HUB, entity_id))
        return None if entity is None else entity_rows(entity)

    def picture(self, instance_id: str) -> Any:
        """All that is stored about an instance, in a form that can be compared."""
        key = Key(HUB, instance_id)
        instance = self.store.load(key)
        if instance is None:
            return None
        children = sorted(self.store.live_children(key))
        return (*rows(instance), self.store.history(key), children)

    def due(self, now: datetime) -> tuple[set[str], datetime | None]:
        return {due.key.instance_id for due in self.store.due(None, now)}, self.store.next_due(now)


def rows(instance: Instance) -> tuple[Any, ...]:
    inbox = sorted(instance.inbox, key=lambda row: row.number)
    tasks, children = dict(instance.tasks), dict(instance.children)
    calls, locks = dict(instance.calls), dict(instance.locks)
    return instance.origin, instance.progress, inbox, tasks, children, calls, locks


def entity_rows(entity: Entity) -> tuple[Any, ...]:
    return entity.progress, sorted(entity.queue, key=lambda row: row.number)


def comparable(notifications: Notifications) -> tuple[set[Any], ...]:
    """Who is told what; not in which order, which stores may choose."""
    return (
        {astuple(work) for work in notifications.turns},
        {astuple(work) for work in notifications.batches},
        set(notifications.void_batches),
        {astuple(work) for work in notifications.tasks},
        set(notifications.changed),
        set(notifications.void_turns),
        set(notifications.ended),
        set(notifications.withdrawn),
    )


class EngineMachine(RuleBasedStateMachine):
    """What callers and workers may do; `more` keeps it for the commit of what comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = EPOCH
        self.folder = tempfile.TemporaryDirectory()
        self.memory = Sidecar(MemoryStore())
        self.file = Sidecar(self.new_file(), most_bytes=0)
        self.batch: list[Submission] = []
        self.known: set[str] = set()
        self.turns: list[tuple[str, DispatchedTurn]] = []
        """Every turn that was ever handed out: an answer may come late."""
        self.batches: list[tuple[str, DispatchedBatch]] = []
        self.tasks: list[tuple[str, str]] = []
        """Instance and task key of every activity, likewise."""
        self.settled: set[Any] = set()
        """The turns and tasks of these of which an answer was accepted."""
        self.unread: dict[str, list[str]] = {}
        """By instance, inputs of raised events that no committed turn has seen."""
        self.inputs = (str(number) for number in itertools.count())

    def new_file(self) -> SqliteStore:
        return SqliteStore(Path(self.folder.name) / "tasks.db", synchronous="normal")

    def teardown(self) -> None:
        self.file.store.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.submit("a", StartInstance("order"), more=True)
        self.submit("b", StartInstance("order"), more=False)

    @rule(id=ids, command=calls, more=held_back)
    def call(self, id: str, command: Command, more: bool) -> None:
        if isinstance(command, RaiseEvent):
            command = RaiseEvent(command.name, next(self.inputs))
        self.submit(id, command, more)

    @rule(several=st.lists(st.tuples(answers, st.booleans()), min_size=1), more=held_back)
    def take_turns(self, several: list[tuple[list[Any], bool]], more: bool) -> None:
        for (answer, is_disturbed), id in zip(several, self.ready(), strict=False):
            turn = self.hand_out(id)
            if is_disturbed:
                self.submit(id, RaiseEvent("raised", next(self.inputs)), more=True)
            self.submit(id, CompleteTurn(turn, answer), more=True)
        self.flush(more)

    @rule(more=held_back)
    def rewind_as_asked(self, more: bool) -> None:
        for id in self.ready():
            turn = self.hand_out(id)
            if turn.rewinds:
                history = events_in(self.memory.store.history(Key(HUB, id)))
                action = rewinding(rewound(history, f"rewound at {self.now}"))
                self.submit(id, CompleteTurn(turn, [action]), more=True)
        self.flush(more)

    @rule()
    def hold_turns(self) -> None:
        """Something may happen before they are answered."""
        for id in self.ready():
            self.hand_out(id)

    @rule(id=entities, command=entity_calls, more=held_back)
    def call_entity(self, id: str, command: Command, more: bool) -> None:
        self.submit(id, command, more)

    @rule(outcome=outcomes, more=held_back)
    def run_batches(self, outcome: dict[str, Any], more: bool) -> None:
        for id in self.ready_entities():
            self.submit(id, CompleteBatch(self.hand_out_batch(id), **outcome), more=True)
        self.flush(more)

    @rule()
    def hold_batches(self) -> None:
        for id in self.ready_entities():
            self.hand_out_batch(id)

    @precondition(lambda self: self.batches)
    @rule(back=st.integers(1, 5), outcome=outcomes, more=held_back)
    def answer_held_batch(self, back: int, outcome: dict[str, Any], more: bool) -> None:
        id, batch = self.batches[-min(back, len(self.batches))]
        self.submit(id, CompleteBatch(batch, **outcome), more)

    @precondition(lambda self: self.turns)
    @rule(back=st.integers(1, 5), answer=answers, more=held_back)
    def answer_held_turn(self, back: int, answer: list[Any], more: bool) -> None:
        id, turn = self.turns[-min(back, len(self.turns))]
        self.submit(id, CompleteTurn(turn, answer), more)

    @precondition(lambda self: self.tasks)
    @rule(back=st.integers(1, 8), fails=st.booleans(), is_late=st.booleans(), more=held_back)
    def complete_activity(self, back: int, fails: bool, is_late: bool, more: bool) -> None:
        waiting = [task for task in self.tasks if task not in self.settled]
        tasks = self.tasks if is_late else waiting or self.tasks
        id, key = tasks[-min(back, len(tasks))]
        outcome = {"failure": failure()} if fails else {"result": "1"}
        self.submit(id, CompleteActivity(key, **outcome), more)

    @rule(seconds=st.integers(1, 1200))
    def wait(self, seconds: int) -> None:
        due_before, _ = self.memory.due(self.now)
        self.now += timedelta(seconds=seconds)

        told = self.memory.committer.due(self.now)

        assert comparable(told) == comparable(self.file.committer.due(self.now))
        due_now, _ = self.memory.due(self.now)
        told_of = {work.instance_id for work in (*told.turns, *told.batches)}
        assert told_of >= due_now - due_before

    @rule()
    def reopen_the_file(self) -> None:
        self.file.store.close()
        self.file.open(self.new_file())

        ready = comparable(self.file.committer.ready(self.now))

        assert ready == comparable(self.memory.committer.ready(self.now))

    @invariant()
    def both_hold_the_same(self) -> None:
        assert self.memory.due(self.now) == self.file.due(self.now)
        for id in self.known:
            assert self.memory.picture(id) == self.file.picture(id)
        for id in ENTITIES:
            assert self.memory.entity_picture(id) == self.file.entity_picture(id)

    @invariant()
    def what_is_at_hand_is_what_is_stored(self) -> None:
        for id in self.known:
            at_hand = self.memory.committer.instance(HUB, id)
            stored = self.memory.store.load(Key(HUB, id))
            assert (at_hand and rows(at_hand)) == (stored and rows(stored))
        for id in ENTITIES:
            entity = self.memory.committer.entity(HUB, id)
            assert (entity and entity_rows(entity)) == self.memory.entity_picture(id)

    @invariant()
    def every_instance_makes_sense(self) -> None:
        for id in self.existing():
            instance = self.stored(id)
            history = events_in(self.memory.store.history(Key(HUB, id)))
            if is_rewinding(instance):
                continue
            check_status(instance, history)
            check_history(history)
            if instance.is_live:
                assert unanswered(history) == outstanding(instance)
                attempts = Counter(row.task_id for row in instance.tasks.values())
                assert set(attempts.values()) <= {1}
            else:
                check_rest(instance)

    @invariant()
    def what_is_due_is_what_waits_visibly(self) -> None:
        times = {id: due_at(self.stored(id)) for id in self.existing()}
        times |= {entity.entity_id: entity_due_at(entity) for entity in self.entities()}
        ready, next_due = self.memory.due(self.now)
        assert ready == {id for id, at in times.items() if at is not None and at <= self.now}
        later = [at for at in times.values() if at is not None and at > self.now]
        assert next_due == min(later, default=None)

    @invariant()
    def whoever_waits_for_an_entity_is_in_its_queue(self) -> None:
        for id in self.existing():
            instance = self.stored(id)
            for waiting in instance.calls.values():
                entity = self.memory.store.load_entity(Key(HUB, waiting.entity_id))
                row = None if entity is None else entity.queue.find(id, waiting.request_id)
                assert row is not None
                assert row.caller is not None
                assert row.caller.execution_id == instance.origin.execution_id

    @invariant()
    def only_who_lives_and_wants_it_has_a_lock(self) -> None:
        for entity in self.entities():
            holder = entity.progress.holder
            if holder is not None:
                instance = self.stored(holder.instance_id)
                assert instance.is_live
                assert holder.critical_section_id in instance.locks

    def existing(self) -> list[str]:
        return [id for id in self.known if self.memory.store.load(Key(HUB, id)) is not None]

    def entities(self) -> list[Entity]:
        found = (self.memory.store.load_entity(Key(HUB, id)) for id in ENTITIES)
        return [entity for entity in found if entity is not None]

    def stored(self, id: str) -> Instance:
        instance = self.memory.store.load(Key(HUB, id))
        assert instance is not None
        return instance

    def ready(self) -> list[str]:
        ready, _ = self.memory.due(self.now)
        return sorted(ready - set(ENTITIES))

    def ready_entities(self) -> list[str]:
        ready, _ = self.memory.due(self.now)
        return sorted(ready & set(ENTITIES))

    def hand_out_batch(self, id: str) -> DispatchedBatch:
        prepared = self.memory.prepare_batch(id, self.now)
        assert prepared == self.file.prepare_batch(id, self.now)
        assert prepared is not None
        self.batches.append((id, prepared.batch))
        return prepared.batch

    def hand_out(self, id: str) -> DispatchedTurn:
        prepared = self.memory.prepare(id, self.now)
        assert prepared == self.file.prepare(id, self.now)
        assert prepared is not None
        # In the order in which they were raised, and none left out.
        seen = raised_inputs(prepared.turn.new_events)
        assert seen == ([] if prepared.turn.rewinds else self.unread.get(id, []))
        self.turns.append((id, prepared.turn))
        return prepared.turn

    def submit(self, id: str, command: Command, more: bool) -> None:
        self.batch.append(Submission(HUB, id, command))
        self.flush(more)

    def flush(self, more: bool) -> None:
        if self.batch and not more:
            batch, self.batch = self.batch, []
            self.commit(batch)

    def commit(self, batch: list[Submission]) -> None:
        # No two commits at one time, so that it tells lives of an instance apart.
        self.now += timedelta(microseconds=1)
        before, existed = self.pictures(), set(self.existing())

        commit = self.memory.commit(batch, self.now)

        same = self.file.commit(batch, self.now)
        assert commit.replies == same.replies
        assert comparable(commit.notifications) == comparable(same.notifications)
        self.known.update(key.instance_id for key in commit.notifications.changed)
        if not any(isinstance(reply, Accepted | Purged) for reply in commit.replies):
            assert self.pictures() == before
        for submission, reply in zip(batch, commit.replies, strict=True):
            self.settle(submission, reply)
        if any(isinstance(reply, Purged) for reply in commit.replies):
            self.forget_purged(existed)
        self.tasks += [(task.instance_id, task.task_key) for task in commit.notifications.tasks]
        for id in self.existing():
            self.check_unread(id)

    def forget_purged(self, existed: set[str]) -> None:
        """Let no work of instances that are gone come back to others of their ids.

        A caller may have given both the same execution id; then only tokens tell them apart.
        """
        stay = {id for id in self.existing() if self.stored(id).origin.created_at < self.now}
        gone = existed - stay
        self.turns = [each for each in self.turns if each[0] not in gone]
        self.tasks = [each for each in self.tasks if each[0] not in gone]
        self.settled = {each for each in self.settled if each[0] not in gone}
        for id in gone:
            self.unread.pop(id, None)

    def pictures(self) -> dict[str, Any]:
        pictures = {id: self.memory.picture(id) for id in self.known}
        return pictures | {id: self.memory.entity_picture(id) for id in ENTITIES}

    def settle(self, submission: Submission, reply: Reply) -> None:
        """Only the first answer to a piece of work may be accepted."""
        id, command = submission.instance_id, submission.command
        is_accepted = isinstance(reply, Accepted)
        unread = self.unread.setdefault(id, [])
        if isinstance(command, RaiseEvent) and is_accepted:
            unread.append(command.input or "")
        if not isinstance(command, CompleteTurn | CompleteActivity):
            return
        work = astuple(command.turn) if isinstance(command, CompleteTurn) else command.task_key
        assert is_accepted or isinstance(reply, Stale)
        assert not (is_accepted and (id, work) in self.settled)
        if is_accepted:
            self.settled.add((id, work))
            if isinstance(command, CompleteTurn):
                seen = raised_inputs(command.turn.new_events)
                self.unread[id] = [each for each in unread if each not in seen]

    def check_unread(self, id: str) -> None:
        """What was raised waits, in order, until a turn has seen it or the instance ends."""
        instance = self.stored(id)
        waiting = raised_inputs(row.event for row in instance.inbox.due(self.now))
        is_old = instance.origin.created_at < self.now and not is_rewinding(instance)
        if instance.is_live and is_old:
            assert waiting == self.unread.get(id, [])
        # What came before this very commit began it, or rewound it, is gone.
        self.unread[id] = waiting


def raised_inputs(encoded: Iterable[bytes]) -> list[str]:
    found = (codec.decode(messages.HistoryEvent, event).event_raised for event in encoded)
    return [each.input or "" for each in found if each is not None and each.name == "raised"]


def check_status(instance: Instance, history: list[Any]) -> None:
    progress = instance.progress
    assert progress.history_length == len(history)
    ends = [event.execution_completed for event in history if event.execution_completed]
    last = [each.orchestration_status for each in ends][-1:]
    assert last == ([progress.status] if progress.is_terminal else [])
    assert (progress.completed_at is not None) == progress.is_terminal
    if instance.is_live and progress.is_suspended:
        assert progress.status is Status.SUSPENDED
    elif instance.is_live:
        has_run = progress.turn_at is not None
        assert progress.status is (Status.RUNNING if has_run else Status.PENDING)


def check_history(history: list[Any]) -> None:
    kinds = [oneofs.which(event) for event in history]
    # Only an instance that could not be rewound has ended more than once.
    assert "execution_completed" not in kinds[:-1] or "execution_rewound" in kinds
    # Who was ended before the first turn has nothing else in his history.
    if kinds and kinds != ["execution_terminated", "execution_completed"]:
        assert kinds[:2] == ["orchestrator_started", "execution_started"]
        assert kinds.count("execution_started") == 1
    clock = [event.timestamp for event in history if event.orchestrator_started is not None]
    assert clock == sorted(clock)


def check_rest(instance: Instance) -> None:
    """Who has ended waits for nothing; scheduled activities still run unless it was killed."""
    assert list(instance.inbox) == []
    assert instance.children == instance.calls == instance.locks == {}
    if instance.progress.status is Status.TERMINATED:
        assert instance.tasks == {}


def due_at(instance: Instance) -> datetime | None:
    """The rule for it, told anew from what is stored."""
    if not instance.is_live or instance.progress.is_suspended:
        return None
    counts = (
        row.visible_at
        for row in instance.inbox
        if instance.progress.history_length or row.kind is RowKind.START
    )
    return min(counts, default=None)


def entity_due_at(entity: Entity) -> datetime | None:
    """The same for an entity, which serves its holder alone while it has one."""
    holder = entity.progress.holder
    counts = (
        row.visible_at
        for row in entity.queue
        if holder is None or (row.caller and row.caller.instance_id == holder.instance_id)
    )
    return min(counts, default=None)


def is_rewinding(instance: Instance) -> bool:
    """Whether a worker is yet to say what stays of the history."""
    return any(row.kind is RowKind.REWIND for row in instance.inbox)


TestEngine = pytest.mark.slow(EngineMachine.TestCase)
TestEngine.settings = settings(max_examples=100, stateful_step_count=50)
