"""What every store promises: the same claims, held by dicts, a file, and a file opened anew."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, events, messages
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import (
    CompleteTurn,
    RaiseEvent,
    Resume,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.inbox import InboxRow, RowKind
from durabletask.sidecar.engine.state import (
    CallRow,
    ChildRow,
    Instance,
    LockRow,
    Origin,
    ParentLink,
    Progress,
    TaskRow,
    blank,
)
from durabletask.sidecar.engine.transition import Transition
from durabletask.sidecar.store import Change, Due, Key
from durabletask.sidecar.store.encoded_events import repeated_field
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.queries import InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from durabletask.sidecar.work.items import WorkItemSource
from tests.builders.engine import (
    EPOCH,
    HUB,
    EngineDriver,
    Status,
    again,
    child,
    end,
    events_in,
    failure,
    schedule,
    timer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from durabletask.sidecar.engine.state import ScheduledTask
    from durabletask.sidecar.store import Store

KEY = Key(HUB, "a")
SECOND = timedelta(seconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
DOOMSDAY = datetime.max.replace(tzinfo=UTC)


class Reopened:
    """A SqliteStore that is closed and opened again before everything it is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store = SqliteStore(path)

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            self._store.close()
            self._store = SqliteStore(self._path)
            return getattr(self._store, name)(*args, **kwargs)

        return ask

    def close(self) -> None:
        self._store.close()


@pytest.fixture(params=["memory", "sqlite", "sqlite-reopened"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    kinds: dict[str, Any] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "tasks.db"),
        "sqlite-reopened": lambda: Reopened(tmp_path / "tasks.db"),
    }
    store = kinds[request.param]()
    yield store
    store.close()


ORIGIN = Origin("run-1", "order", EPOCH)
PROGRESS = Progress(Status.RUNNING, EPOCH, history_length=1)


def begun(
    key: Key = KEY, origin: Origin = ORIGIN, progress: Progress = PROGRESS, **rows: Any
) -> Change:
    """The commit that creates an instance as it is given."""
    beginning = Transition(origin=origin, progress=progress, **rows)
    instance = blank(key.instance_id, beginning)
    instance.absorb(beginning)
    return Change(key, instance, (beginning,))


def event_row(number: int, visible_at: datetime = EPOCH, event: bytes = b"e") -> InboxRow:
    return InboxRow(number, RowKind.EVENT, visible_at, event)


def parts(instance: Instance | None) -> Any:
    """All that an instance consists of, to be compared."""
    assert instance is not None
    inbox = sorted(instance.inbox, key=lambda row: row.number)
    return (
        instance.instance_id,
        instance.origin,
        instance.progress,
        inbox,
        instance.tasks,
        instance.children,
        instance.calls,
        instance.locks,
        instance.task_ids,
    )


def assert_stored(hub: EngineDriver, *instance_ids: str) -> None:
    """What the store gives back is what the committer works with."""
    for instance_id in instance_ids:
        state = hub.state(instance_id)
        assert parts(hub.store.load(Key(HUB, instance_id))) == parts(state)
        assert len(hub.history(instance_id)) == state.progress.history_length


def due(store: Store, after: datetime | None, until: datetime) -> list[str]:
    return [ready.key.instance_id for ready in store.due(after, until)]


def test_an_instance_that_was_never_stored_is_none_without_history(store: Store) -> None:
    assert store.load(KEY) is None
    assert store.history(KEY) == b""
    assert store.live_children(KEY) == []
    assert list(store.outstanding_tasks()) == []
    assert list(store.due(None, DOOMSDAY)) == []
    assert store.next_due(LONG_AGO) is None


FULL_ORIGIN = Origin(
    execution_id="run-1",
    name="order",
    created_at=EPOCH + timedelta(microseconds=1),
    input='{"cup": 1}',
    version="1.2",
    tags={"shop": "north", "": ""},
    scheduled_start=EPOCH + timedelta(microseconds=2),
    parent=ParentLink("p", "run-p", 7, "boss", "3"),
    parent_trace_context=messages.TraceContext(trace_parent="00-1-2-01", span_id="2"),
)
FULL_PROGRESS = Progress(
    status=Status.FAILED,
    updated_at=EPOCH + timedelta(microseconds=3),
    completed_at=EPOCH + timedelta(microseconds=4),
    output='"out"',
    custom_status='"custom"',
    failure=failure("no", inner_failure=failure("why"), is_non_retriable=True),
    trace_context=messages.OrchestrationTraceContext(span_id="9", span_start_time=EPOCH),
    history_length=11,
    turn_at=EPOCH + timedelta(microseconds=5),
    rows_made=12,
    suspended_at=EPOCH + timedelta(microseconds=6),
    suspend_reason="tea",
    history_bytes=13,
)


def test_every_field_comes_back_as_it_was(store: Store) -> None:
    change = begun(
        origin=FULL_ORIGIN,
        progress=FULL_PROGRESS,
        inbox_add=tuple(
            InboxRow(
                number, kind, EPOCH + number * SECOND, bytes([number]), "task:7" if number else None
            )
            for number, kind in enumerate(RowKind)
        ),
        tasks_add=(
            TaskRow(20, 1, "run-1", "greet", "2", b"request"),
            TaskRow(21, 2, "run-1", "greet", None, b""),
        ),
        children_add=(ChildRow(3, "kid"), ChildRow(4, "")),
        calls_add=(CallRow("request-1", "@cart@1"), CallRow("request-2", "@cart@1")),
        locks_set=(
            LockRow("section-1", ("@cart@1", '@"cart@2'), is_granted=True),
            LockRow("section-2", ("@cart@3",)),
        ),
    )

    store.commit([change])

    assert parts(store.load(KEY)) == parts(change.instance)


def summary(store: Any) -> Any:
    """What a store says of the instance and of everything."""
    found = store.load(KEY)
    return (
        None if found is None else parts(found),
        store.history(KEY),
        due(store, None, DOOMSDAY),
        store.next_due(LONG_AGO),
        dict(store.live_counts()),
        list(store.hubs()),
        [each.instance_id for each in store.instances(HUB, InstanceQuery())],
    )


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that is not opened anew, so that a transaction can be open."""
    is_file = request.param == "sqlite"
    store = SqliteStore(tmp_path / "tasks.db") if is_file else MemoryStore()
    yield store
    store.close()


@pytest.mark.parametrize("is_known", [True, False], ids=["changed", "new"])
def test_no_read_finds_what_is_written_before_it_is_committed_and_closed(
    open_store: Store, *, is_known: bool
) -> None:
    if is_known:
        open_store.commit([begun(events=(b"first",))])
    before = summary(open_store)
    waiting = event_row(5, EPOCH + SECOND)
    change = begun(origin=FULL_ORIGIN, events=(b"anew",), inbox_add=(waiting,))

    transaction = open_store.begin([change, begun(Key("other", "b"))])
    written = summary(open_store)
    thread = threading.Thread(target=transaction.commit)
    thread.start()
    thread.join()
    committed = summary(open_store)
    transaction.close()

    assert written == before
    assert committed == before
    assert summary(open_store) != before
    assert parts(open_store.load(KEY)) == parts(change.instance)
    assert open_store.history(KEY) == repeated_field((b"anew",))


def test_what_is_closed_without_a_commit_was_never_there(open_store: Store) -> None:
    open_store.commit([begun(events=(b"first",))])
    before = summary(open_store)

    open_store.begin([begun(events=(b"second",))]).close()

    assert summary(open_store) == before
    open_store.commit([begun(Key(HUB, "b"))])
    assert open_store.load(Key(HUB, "b")) is not None


@pytest.mark.parametrize("value", [FULL_ORIGIN, FULL_PROGRESS], ids=["origin", "progress"])
def test_the_full_values_leave_no_field_at_its_default(value: Origin | Progress) -> None:
    """Otherwise the test above would not notice a field that is not stored."""
    defaults = value._field_defaults if isinstance(value, Progress) else _defaults(value)
    assert [name for name, default in defaults.items() if getattr(value, name) == default] == []


def _defaults(value: Origin) -> dict[str, Any]:
    return {each.name: each.default for each in fields(value)}


def test_nothing_and_an_empty_text_are_different(store: Store) -> None:
    nothing = Progress(Status.RUNNING, EPOCH)
    empty = nothing._replace(output="", custom_status="", suspend_reason="")

    store.commit(
        [
            begun(Key(HUB, "none"), replace(ORIGIN, input=None, version=None), nothing),
            begun(Key(HUB, "empty"), replace(ORIGIN, input="", version=""), empty),
        ]
    )

    for instance_id, text in (("none", None), ("empty", "")):
        stored = store.load(Key(HUB, instance_id))
        assert stored is not None
        assert (stored.origin.input, stored.origin.version) == (text, text)
        progress = stored.progress
        assert (progress.output, progress.custom_status, progress.suspend_reason) == (text,) * 3


@pytest.mark.parametrize("status", list(Status))
def test_a_status_comes_back_as_a_status(
    store: Store, status: messages.OrchestrationStatus
) -> None:
    store.commit([begun(progress=Progress(status, EPOCH))])

    stored = store.load(KEY)
    assert stored is not None
    assert stored.progress.status.name == status.name


def test_what_is_loaded_belongs_to_who_loads_it(store: Store) -> None:
    store.commit([begun(inbox_add=(event_row(1),))])

    mine = store.load(KEY)
    assert mine is not None
    mine.absorb(Transition(progress=mine.progress._replace(output="mine"), inbox_remove=(1,)))

    theirs = store.load(KEY)
    assert theirs is not None
    assert theirs.progress.output is None
    assert len(theirs.inbox) == 1


def test_what_was_committed_no_longer_belongs_to_who_committed_it(store: Store) -> None:
    change = begun(inbox_add=(event_row(1),))
    store.commit([change])

    assert change.instance is not None
    change.instance.absorb(Transition(progress=PROGRESS, inbox_remove=(1,)))

    stored = store.load(KEY)
    assert stored is not None
    assert len(stored.inbox) == 1


def test_a_history_that_was_read_does_not_change_with_the_next_commit(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1))
    before = store.history(KEY)
    copy = bytes(before)

    hub.finish_next()
    hub.decide()

    assert before == copy
    assert store.history(KEY).startswith(before)


@pytest.mark.parametrize("is_read_between", [False, True], ids=["unread", "read"])
def test_history_grows_in_the_order_of_the_turns(store: Store, *, is_read_between: bool) -> None:
    hub = EngineDriver(store)
    hub.start()
    expected: list[Any] = []
    for number in range(12):
        raw = [codec.encode(events.event_raised(f"{number}.{each}")) for each in range(number % 3)]
        state = hub.store.load(KEY)
        assert state is not None
        length = state.progress.history_length + len(raw)
        grown = Transition(
            progress=state.progress._replace(history_length=length), events=tuple(raw)
        )
        state.absorb(grown)
        store.commit([Change(KEY, state, (grown,))])
        expected += [f"{number}.{each}" for each in range(number % 3)]
        if is_read_between:
            assert [event.event_raised.name for event in hub.history()] == expected

    assert [event.event_raised.name for event in hub.history()] == expected


def test_what_a_commit_adds_changes_and_removes_again_leaves_nothing(store: Store) -> None:
    requested, kept = LockRow("lock", ("@cart@1",)), LockRow("kept", ("@cart@2",))
    change = begun(
        inbox_add=(event_row(1),), locks_set=(requested, kept), children_add=(ChildRow(7, "old"),)
    )
    store.commit([change])
    state = change.instance
    assert state is not None

    steps = (
        Transition(
            progress=PROGRESS,
            inbox_add=(event_row(2), event_row(3)),
            inbox_remove=(1,),
            locks_set=(replace(requested, is_granted=True), replace(kept, is_granted=True)),
            children_remove=(7,),
            tasks_add=(TaskRow(4, 1, "run-1", "greet", None, b""),),
        ),
        Transition(
            progress=PROGRESS,
            inbox_remove=(2,),
            locks_remove=("lock",),
            children_add=(ChildRow(7, "new"),),
            tasks_remove=(4,),
        ),
    )
    for step in steps:
        state.absorb(step)
    store.commit([Change(KEY, state, steps)])

    stored = store.load(KEY)
    assert parts(stored) == parts(state)
    assert stored is not None
    assert [row.number for row in stored.inbox] == [3]
    assert stored.locks == {"kept": replace(kept, is_granted=True)}
    assert stored.children == {7: ChildRow(7, "new")}
    assert stored.tasks == {}


def test_a_turn_and_what_is_told_to_others_is_stored_as_it_is(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1), timer(2, EPOCH + SECOND), child(3, "kid"))
    hub.do(RaiseEvent("paid", "1"))
    assert_stored(hub, "a", "kid")

    hub.finish_next('"hi"')
    hub.decide(end(), to="kid")
    assert_stored(hub, "a", "kid")

    hub.decide()
    assert_stored(hub, "a", "kid")

    hub.do(Terminate())
    assert_stored(hub, "a", "kid")


def test_a_new_execution_begins_with_an_empty_history_and_the_rows_it_keeps(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1), timer(2, EPOCH + SECOND), child(3, "kid"))
    hub.finish_next()
    turn = hub.taken()
    hub.do(RaiseEvent("late"))

    hub.answer(turn, again("2", carry=(events.event_raised("carried"),)))

    assert_stored(hub, "a")
    assert hub.history() == []
    assert list(store.outstanding_tasks()) == []
    hub.decide(schedule(1))
    assert_stored(hub, "a")
    names = [event.event_raised.name for event in hub.history() if event.event_raised]
    assert names == ["carried", "late"]


def test_many_executions_leave_nothing_behind(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    for _ in range(20):
        hub.decide(schedule(1), again())
        assert_stored(hub, "a")

    hub.decide()

    assert len(hub.history()) == 2


def test_a_commit_may_add_to_an_execution_and_then_begin_another(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide()
    hub.do(RaiseEvent("go"))
    turn = hub.taken()
    store.history(KEY)

    hub.commit(
        ("a", RaiseEvent("one")),
        ("a", CompleteTurn(turn.prepared.turn, [again()])),
        ("a", RaiseEvent("two")),
        ("a", Suspend()),
    )

    assert_stored(hub, "a")
    hub.do(Resume())
    names = [event.event_raised.name for event in hub.decide().new if event.event_raised]
    assert names == ["one", "two"]
    assert_stored(hub, "a")


def test_events_that_follow_a_beginning_in_its_commit_stand_before_those_of_later_commits(
    store: Store,
) -> None:
    def grown(*names: str, length: int) -> Transition:
        encoded = tuple(codec.encode(events.event_raised(name)) for name in names)
        return Transition(progress=PROGRESS._replace(history_length=length), events=encoded)

    blank_progress = PROGRESS._replace(history_length=0)
    beginning = Transition(origin=ORIGIN, progress=blank_progress)
    first = (grown("old", length=1), beginning, grown("1", length=1), grown("2", "3", length=3))
    second = (grown("4", length=4),)
    store.commit([begun(progress=blank_progress)])
    instance = store.load(KEY)
    assert instance is not None

    for transitions in (first, second):
        for each in transitions:
            instance.absorb(each)
        store.commit([Change(KEY, instance, transitions)])

    assert [event.event_raised.name for event in events_in(store.history(KEY))] == list("1234")


def test_a_commit_may_end_an_execution_and_replace_it_twice(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1), child(2, "kid"))
    store.history(KEY)

    hub.commit(
        ("a", Terminate()),
        ("a", StartInstance("second", replaceable=frozenset({Status.TERMINATED}))),
        ("a", Terminate("no")),
        ("a", StartInstance("third", replaceable=frozenset({Status.TERMINATED}))),
        ("a", RaiseEvent("go")),
    )

    assert hub.state().origin.name == "third"
    assert_stored(hub, "a", "kid")
    assert list(store.outstanding_tasks()) == []
    hub.decide()
    assert_stored(hub, "a")


def test_a_commit_may_create_an_instance_and_replace_it(store: Store) -> None:
    hub = EngineDriver(store)
    pending = frozenset({int(Status.PENDING)})

    hub.commit(
        ("a", StartInstance("first")),
        ("a", RaiseEvent("news")),
        ("a", StartInstance("second", replaceable=pending)),
    )

    assert_stored(hub, "a")
    assert [row.kind for row in hub.state("a").inbox] == [RowKind.START]


def test_a_commit_may_create_an_instance_and_end_it(store: Store) -> None:
    hub = EngineDriver(store)

    hub.commit(("a", StartInstance("order")), ("a", RaiseEvent("go")), ("a", Terminate("no")))

    assert hub.status() is Status.TERMINATED
    assert_stored(hub, "a")
    assert hub.history_kinds() == ["execution_terminated", "execution_completed"]
    assert due(store, None, DOOMSDAY) == []


def test_the_history_of_an_ended_instance_can_still_be_read(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1))
    before = store.history(KEY)
    hub.do(Terminate())

    assert store.history(KEY).startswith(before)
    assert hub.history_kinds()[-2:] == ["execution_terminated", "execution_completed"]


def test_what_is_due_is_after_the_one_time_and_until_the_other(store: Store) -> None:
    times = {"past": LONG_AGO, "a": EPOCH, "c": EPOCH + 2 * SECOND, "b": EPOCH + SECOND}
    times["never"] = DOOMSDAY
    store.commit(
        [begun(Key(HUB, each), inbox_add=(event_row(1, at),)) for each, at in times.items()]
    )

    assert due(store, None, DOOMSDAY) == ["past", "a", "b", "c", "never"]
    assert due(store, None, EPOCH) == ["past", "a"]
    assert due(store, EPOCH, EPOCH + SECOND) == ["b"]
    assert due(store, EPOCH + SECOND, EPOCH + SECOND) == []
    tick = timedelta(microseconds=1)
    assert due(store, EPOCH - tick, EPOCH + SECOND - tick) == ["a"]


def test_the_next_time_is_the_first_after_the_one_asked_for(store: Store) -> None:
    times = [EPOCH, EPOCH + 2 * SECOND, EPOCH + SECOND, EPOCH + SECOND, DOOMSDAY]
    store.commit(
        [begun(Key(HUB, str(n)), inbox_add=(event_row(1, at),)) for n, at in enumerate(times)]
    )

    # Whoever asks is free to ask about an earlier time again.
    asked = [DOOMSDAY, EPOCH + 2 * SECOND, EPOCH + SECOND, EPOCH, EPOCH - SECOND, DOOMSDAY]

    assert [store.next_due(at) for at in asked] == [
        None,
        DOOMSDAY,
        EPOCH + 2 * SECOND,
        EPOCH + SECOND,
        EPOCH,
        None,
    ]


def test_an_instance_is_due_when_its_first_row_is_visible(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(timer(1, EPOCH + 5 * SECOND), timer(2, EPOCH + 9 * SECOND))
    assert due(store, None, DOOMSDAY) == ["a"]
    assert store.next_due(hub.now) == EPOCH + 5 * SECOND

    hub.now = EPOCH + 6 * SECOND
    hub.decide()

    assert store.next_due(hub.now) == EPOCH + 9 * SECOND


def test_a_time_that_moves_back_and_forth_is_not_lost(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(timer(1, EPOCH + 5 * SECOND))
    hub.do(RaiseEvent("go"))
    assert due(store, None, hub.now) == ["a"]

    hub.decide()

    assert due(store, None, hub.now) == []
    assert store.next_due(hub.now) == EPOCH + 5 * SECOND


def test_what_is_held_or_over_is_not_due(store: Store) -> None:
    hub = EngineDriver(store)
    for instance_id in ("held", "over", "done"):
        hub.start(instance_id)
    hub.do(Suspend(), to="held")
    hub.do(Terminate(), to="over")
    hub.decide(to="done")

    assert due(store, None, DOOMSDAY) == []
    assert store.next_due(LONG_AGO) is None

    hub.do(Resume(), to="held")

    assert due(store, None, hub.now) == ["held"]


def test_a_ready_turn_says_what_a_worker_is_chosen_by(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start("a", "order", version="2")
    hub.start("b", "order", version=None)

    ready = list(store.due(None, hub.now))

    assert ready == [Due(Key(HUB, "a"), "order", "2"), Due(Key(HUB, "b"), "order", None)]


def test_live_children_are_found_by_their_parent_of_whatever_execution(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start()
    hub.decide(child(1, "first"), child(2, "over"))
    hub.decide(end(), to="over")
    hub.decide(again())
    hub.decide(child(1, "second"), child(2, "deep"))
    hub.decide(child(1, "deeper"), to="deep")

    assert sorted(store.live_children(KEY)) == ["deep", "first", "second"]
    assert store.live_children(Key(HUB, "deep")) == ["deeper"]
    assert store.live_children(Key(HUB, "nobody")) == []


def test_an_id_that_was_taken_over_belongs_to_its_new_parent_or_to_none(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start("a")
    hub.start("b")
    hub.decide(child(1, "kid"), child(2, "orphan"), to="a")
    hub.do(Terminate(), to="kid")
    hub.decide(child(1, "kid"), to="b")
    hub.start("orphan", replaceable=frozenset({Status.PENDING}))

    assert store.live_children(Key(HUB, "a")) == []
    assert store.live_children(Key(HUB, "b")) == ["kid"]


def test_the_outstanding_tasks_of_an_instance_come_oldest_first(store: Store) -> None:
    hub = EngineDriver(store)
    hub.start("a")
    hub.start("b")
    hub.decide(*(schedule(number) for number in range(12, 0, -1)))
    hub.decide(schedule(1, "pack", version="2"), to="b")
    hub.finish(hub.tasks[0])

    found = list(store.outstanding_tasks())

    of_a = [row for key, row in found if key == KEY]
    assert [row.task_id for row in of_a] == list(range(11, 0, -1))
    assert list(map(named, of_a)) == list(map(named, hub.state().tasks.values()))
    [of_b] = [row for key, row in found if key == Key(HUB, "b")]
    [row] = hub.state("b").tasks.values()
    assert named(of_b) == named(row)
    assert (of_b.name, of_b.version) == ("pack", "2")


def named(task: ScheduledTask) -> tuple[Any, ...]:
    """All of a task but its input."""
    return task.key, task.number, task.task_id, task.execution_id, task.name, task.version


def test_to_name_the_outstanding_tasks_their_inputs_are_not_read(store: Store) -> None:
    size = 4_000_000
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1, "pack", "x" * size))

    tracemalloc.start()
    try:
        [(_, task)] = store.outstanding_tasks()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert task.name == "pack"
    assert peak < size / 4


def test_those_that_have_not_ended_are_counted_by_task_hub(store: Store) -> None:
    hub = EngineDriver(store)
    for id in ("a", "b", "c"):
        hub.start(id)
    hub.decide(end(), to="a")
    hub.do(Suspend(), "b")
    other = Submission("other", "a", StartInstance("order"))
    hub.committer.commit([other], now=hub.now, new_id=lambda: "e")

    assert dict(store.live_counts()) == {HUB: 2, "other": 1}

    store.wipe("other")
    hub.do(Terminate(), "b")
    hub.do(Terminate(), "c")

    assert dict(store.live_counts()) == {}


def test_task_hubs_are_separate(store: Store) -> None:
    committer = Committer(store)
    ids = iter("123456789")

    def commit(hub: str, instance_id: str, command: Any) -> None:
        committer.commit(
            [Submission(hub, instance_id, command)], now=EPOCH, new_id=lambda: next(ids)
        )

    for hub in ("north", "south"):
        commit(hub, "a", StartInstance(hub))
        turn = WorkItemSource(committer).prepare_turn(hub, "a", token="", now=EPOCH, room=1 << 20)
        assert turn is not None
        commit(hub, "a", CompleteTurn(turn.turn, [schedule(1, hub), child(2, "kid", name=hub)]))

    commit("north", "a", Terminate(recursive=True))

    assert committer.instance("east", "a") is None
    south = store.load(Key("south", "a"))
    assert south is not None
    assert south.is_live
    assert south.origin.name == "south"
    assert store.live_children(Key("north", "a")) == []
    assert store.live_children(Key("south", "a")) == ["kid"]
    assert [key for key, _ in store.outstanding_tasks()] == [Key("south", "a")]
    assert [ready.key.hub for ready in store.due(None, EPOCH)] == ["south"]
    assert len(events_in(store.history(Key("south", "a")))) == 4


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("grüße, 世界 🌍", id="unicode"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("\"'; DROP TABLE origins; --", id="sql"),
        pytest.param("x" * 5_000_000, id="large"),
    ],
)
def test_texts_come_back_whatever_they_hold(store: Store, text: str) -> None:
    hub = EngineDriver(store)
    short = text[:50]
    hub.start(short, short, input=text, version=short, tags={short: text})
    hub.decide(schedule(1, short, text), to=short, custom_status=text)
    hub.finish_next(text)

    assert_stored(hub, short)
    stored = store.load(Key(HUB, short))
    assert stored is not None
    assert stored.origin.input == text
    assert stored.origin.tags == {short: text}
    [event] = hub.taken(short).new
    assert event.task_completed.result == text


def test_closing_twice_does_no_harm(store: Store) -> None:
    store.close()
    store.close()


def test_the_hubs_are_those_that_have_orchestrations(store: Store) -> None:
    assert list(store.hubs()) == []

    store.commit([begun(Key(hub, name)) for hub in ("green", "blue") for name in ("a", "b")])
    assert list(store.hubs()) == ["blue", "green"]

    store.wipe("blue")
    assert list(store.hubs()) == ["green"]


def test_space_is_given_back_in_steps_and_nothing_is_lost(store: Store) -> None:
    large = replace(ORIGIN, input="x" * 200_000)
    store.commit([begun(Key("blue", name), large) for name in "abc"])
    store.commit([begun(Key("green", name), large) for name in "abc"])
    store.wipe("blue")

    while store.trim(50_000):
        pass

    for name in "abc":
        instance = store.load(Key("green", name))
        assert instance is not None
        assert instance.origin == large
