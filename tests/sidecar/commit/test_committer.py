"""One commit carries out commands with all that follows from them, and says what became of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, messages
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.notifications import Kind, Work
from durabletask.sidecar.commit.state_cache import ENDED_KEPT
from durabletask.sidecar.engine.commands import (
    CompleteActivity,
    CompleteTurn,
    RaiseEvent,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.transition import Accepted, AlreadyExists, NotFound, Stale
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.engine import (
    EPOCH,
    HUB,
    ROOMY,
    EngineDriver,
    Status,
    again,
    child,
    end,
    kill,
    schedule,
    send,
    timer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.store import Change, EntityChange, Key

SECOND = timedelta(seconds=1)


class Watched(MemoryStore):
    """Counts what it is asked, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: Counter[str] = Counter()
        self.commits: list[list[str]] = []
        self.is_full = False
        self.asked_for_due = 0

    def next_due(self, after: datetime) -> datetime | None:
        self.asked_for_due += 1
        return super().next_due(after)

    def load(self, key: Key) -> Instance | None:
        self.loads[key.instance_id] += 1
        return super().load(key)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        if self.is_full:
            raise StoreError("the disk is full")
        self.commits.append([change.key.instance_id for change in changes])
        super().commit(changes)


def ids(found: Any) -> list[str]:
    return [each.instance_id for each in found]


def test_the_replies_are_in_the_order_of_the_submissions() -> None:
    hub = EngineDriver()
    hub.start("b")

    commit = hub.commit(
        ("a", StartInstance("order")),
        ("b", StartInstance("order")),
        ("nobody", Terminate()),
        ("a", CompleteActivity("x:1")),
        ("a", RaiseEvent("go")),
    )

    kinds = [type(reply) for reply in commit.replies]
    assert kinds == [Accepted, AlreadyExists, NotFound, Stale, Accepted]


def test_a_later_submission_sees_what_an_earlier_one_did() -> None:
    hub = EngineDriver()

    commit = hub.commit(("a", StartInstance("order")), ("a", StartInstance("order")))

    assert [type(reply) for reply in commit.replies] == [Accepted, AlreadyExists]


def test_submissions_and_all_that_follows_are_one_transaction() -> None:
    store = Watched()
    hub = EngineDriver(store)
    hub.start()
    hub.start("b")
    hub.start("c")
    turn = hub.taken().prepared.turn
    store.commits.clear()

    hub.commit(
        ("a", CompleteTurn(turn, [child(1, "kid"), send(2, "b", "hi"), end()])),
        ("c", RaiseEvent("go")),
    )

    [touched] = store.commits
    assert sorted(touched) == ["a", "b", "c", "kid"]


def test_commands_that_change_nothing_reach_no_store() -> None:
    store = Watched()
    hub = EngineDriver(store)
    hub.start()
    hub.decide(end())
    store.commits.clear()

    hub.commit(("a", RaiseEvent("late")), ("a", Suspend()), ("nobody", Terminate()))

    assert store.commits == []


def test_what_follows_is_carried_out_breadth_first() -> None:
    """The second action comes before what the first one leads to."""
    hub = EngineDriver()
    hub.start("b")
    hub.decide(child(1, "c"), to="b")
    hub.start()

    hub.decide(kill(1, "b", recurse=True), child(2, "c"))

    # While b has been told already, c has not: it is live, and does not give way.
    assert hub.status("c") is Status.TERMINATED
    [event] = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "OrchestrationAlreadyExists"


def test_all_children_are_reached_before_the_first_grandchild() -> None:
    hub = EngineDriver()
    for parent, kid in (("b", "d"), ("c", "e")):
        hub.start(parent)
        hub.decide(child(1, kid), to=parent)
    hub.start()
    turn = hub.taken().prepared.turn

    actions = [kill(1, "b", recurse=True), kill(2, "c", recurse=True)]
    commit = hub.commit(("a", CompleteTurn(turn, actions)))

    assert ids(commit.notifications.changed) == ["a", "b", "c", "d", "e"]


def test_termination_knows_the_children_that_the_same_commit_has_moved() -> None:
    """The store still has the child as it was before: alive, and of another parent."""
    hub = EngineDriver()
    hub.start("a")
    hub.start("b")
    hub.decide(child(1, "kid"), to="a")
    turn = hub.taken("b").prepared.turn

    hub.commit(
        ("kid", Terminate()),
        ("b", CompleteTurn(turn, [child(1, "kid")])),
        ("a", Terminate(recursive=True)),
    )

    assert hub.status("a") is Status.TERMINATED
    assert hub.status("kid") is Status.PENDING


def test_an_instance_with_something_to_do_is_named_once_however_often_it_was_touched() -> None:
    hub = EngineDriver()

    commit = hub.commit(
        ("a", StartInstance("order", version="2")), ("a", RaiseEvent("x")), ("a", RaiseEvent("y"))
    )

    [ready] = commit.notifications.turns
    assert (ready.hub, ready.instance_id, ready.name, ready.version) == (HUB, "a", "order", "2")
    assert commit.notifications.changed == ((HUB, "a"),)


def test_new_activities_are_named_with_what_a_worker_is_chosen_by() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken().prepared.turn

    commit = hub.commit(("a", CompleteTurn(turn, [schedule(4, "greet", version="2")])))

    [row] = hub.state().tasks.values()
    assert commit.notifications.tasks == (Work(Kind.ACTIVITY, HUB, "a", "greet", "2", row.key, 4),)
    assert commit.notifications.turns == ()


def test_an_activity_that_the_same_commit_takes_back_is_not_offered() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken().prepared.turn

    commit = hub.commit(("a", CompleteTurn(turn, [schedule(1)])), ("a", Terminate()))

    assert commit.notifications.tasks == ()


def test_an_activity_with_an_outcome_is_withdrawn_from_whoever_has_it() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), schedule(2))
    first, _ = hub.tasks

    commit = hub.commit(("a", CompleteActivity(first.task_key)))

    assert commit.notifications.withdrawn == ((HUB, "a", first.task_key),)


@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "continued"])
def test_the_activities_of_an_execution_are_withdrawn_when_another_begins(
    *, is_replaced: bool
) -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))
    [task] = hub.tasks
    hub.do(RaiseEvent("go"))
    turn = hub.taken().prepared.turn
    command = (
        StartInstance("order", replaceable=frozenset({Status.RUNNING}))
        if is_replaced
        else CompleteTurn(turn, [again()])
    )

    commit = hub.commit(("a", command))

    assert commit.notifications.withdrawn == ((HUB, "a", task.task_key),)
    assert commit.notifications.void_turns == ((HUB, "a"),)
    assert commit.notifications.ended == ()


def test_an_end_voids_the_leased_turn() -> None:
    hub = EngineDriver()
    hub.start()

    commit = hub.commit(("a", Terminate()))

    assert commit.notifications.ended == commit.notifications.void_turns == ((HUB, "a"),)
    assert commit.notifications.turns == ()


def test_an_ordinary_turn_voids_nothing() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken().prepared.turn

    commit = hub.commit(("a", CompleteTurn(turn, [])))

    assert commit.notifications.changed == ((HUB, "a"),)
    assert (
        commit.notifications.void_turns
        == commit.notifications.ended
        == commit.notifications.withdrawn
        == ()
    )


def test_instances_that_a_command_reaches_through_others_are_in_the_notifications_too() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"))
    turn = hub.taken("kid").prepared.turn

    commit = hub.commit(("kid", CompleteTurn(turn, [end()])))

    assert set(ids(commit.notifications.changed)) == {"a", "kid"}
    assert ids(commit.notifications.ended) == ["kid"]
    assert ids(commit.notifications.turns) == ["a"]


def test_a_sidecar_starts_with_all_that_waits_for_a_worker() -> None:
    hub = EngineDriver()
    for instance_id in ("new", "working", "asleep", "over"):
        hub.start(instance_id)
    hub.decide(schedule(7), to="working")
    hub.decide(timer(1, EPOCH + SECOND), to="asleep")
    hub.decide(end(), to="over")

    notifications = Committer(hub.store).ready(hub.now)

    assert ids(notifications.turns) == ["new"]
    assert notifications.tasks == tuple(hub.tasks)
    assert notifications.changed == notifications.ended == notifications.void_turns == ()


def test_each_instance_that_becomes_due_is_named_by_the_first_who_asks() -> None:
    hub = EngineDriver()
    committer = hub.committer
    for number, instance_id in enumerate("abc", start=1):
        hub.start(instance_id, scheduled_start=EPOCH + number * SECOND)
    committer.ready(EPOCH)

    named = [ids(committer.due(EPOCH + n * SECOND).turns) for n in (1, 1, 3, 4)]

    assert named == [["a"], [], ["b", "c"], []]
    assert committer.next_due(EPOCH + SECOND) == EPOCH + 2 * SECOND
    assert committer.next_due(EPOCH + 3 * SECOND) is None


def test_the_history_counts_against_the_room_for_events() -> None:
    hub = EngineDriver()
    hub.start(input="x" * 50_000)
    hub.decide()
    hub.commit(*(("a", RaiseEvent("big", "x" * 10_000)) for _ in range(5)))

    prepared = hub.items.prepare_turn(HUB, "a", token="t", now=hub.now, room=80_000)

    assert prepared is not None
    assert len(prepared.turn.consumed) == 2
    assert len(prepared.work_item) <= 80_000


def test_a_work_item_is_a_whole_message_with_its_token() -> None:
    hub = EngineDriver()
    hub.start(execution_id="run-1")
    hub.decide(schedule(1))
    hub.finish_next("1")

    prepared = hub.items.prepare_turn(HUB, "a", token="täken", now=hub.now, room=ROOMY)

    assert prepared is not None
    request = messages.OrchestratorRequest(
        instance_id="a",
        execution_id="run-1",
        past_events=hub.history(),
        new_events=hub.taken().request.new_events,
        entity_parameters=messages.OrchestratorEntityParameters(
            entity_message_reorder_window=timedelta(0)
        ),
    )
    expected = messages.WorkItem(orchestrator_request=request, completion_token="täken")
    assert codec.decode(messages.WorkItem, prepared.work_item) == expected


def test_there_is_no_work_item_for_what_is_not_there() -> None:
    hub = EngineDriver()

    assert hub.turn("nobody") is None
    assert hub.items.activity_work_item(HUB, "nobody", "x:1", token="t") is None
    assert hub.committer.instance(HUB, "nobody") is None


@pytest.mark.parametrize("most_bytes", [0, 3_000, 9_000])
def test_evicted_instances_are_found_again(most_bytes: int) -> None:
    hub = EngineDriver(store := Watched())
    hub.committer = Committer(store, most_bytes=most_bytes)
    family = [child(number, f"kid-{number}") for number in range(10)]
    hub.start()

    hub.decide(*family)
    for number in range(10):
        hub.decide(end(result=str(number)), to=f"kid-{number}")

    results = [event.sub_orchestration_instance_completed.result for event in hub.taken().new]
    assert results == [str(number) for number in range(10)]
    assert store.loads["kid-0"] > 1


def test_the_instance_that_was_used_longest_ago_is_evicted_first() -> None:
    hub = EngineDriver(store := Watched())
    hub.committer = Committer(store, most_bytes=7_000)
    hub.start("a")
    hub.start("b")
    hub.state("a")
    hub.start("c")
    store.loads.clear()

    for instance_id in ("a", "c", "b"):
        hub.state(instance_id)

    assert store.loads == {"b": 1}


def test_an_instance_that_is_in_use_is_not_loaded_again() -> None:
    hub = EngineDriver(store := Watched())
    hub.start()
    store.loads.clear()

    hub.decide(schedule(1))
    hub.finish_next()
    hub.decide(end())

    assert not store.loads


def test_of_instances_that_have_ended_only_the_last_stay_in_memory() -> None:
    hub = EngineDriver(store := Watched())
    hub.start("waits")
    for number in range(ENDED_KEPT + 1):
        hub.start(f"ends-{number}")
        hub.decide(end(), to=f"ends-{number}")
    store.loads.clear()

    for instance_id in ("waits", "ends-0", "ends-1"):
        hub.state(instance_id)

    assert store.loads == {"ends-0": 1}


def test_a_commit_that_fails_has_not_happened() -> None:
    hub = EngineDriver(store := Watched())
    hub.start()
    hub.decide(schedule(1))
    turn_due = hub.finish_next("1")
    assert isinstance(turn_due, Accepted)
    turn = hub.taken()
    store.is_full = True

    with pytest.raises(StoreError, match="full"):
        hub.commit(
            ("new", StartInstance("order")),
            ("a", CompleteTurn(turn.prepared.turn, [child(2, "kid"), end(result="1")])),
        )

    assert hub.committer.instance(HUB, "new") is None
    assert hub.committer.instance(HUB, "kid") is None
    assert hub.status() is Status.RUNNING
    store.is_full = False
    assert isinstance(hub.answer(turn, end(result="2")), Accepted)
    assert hub.state().progress.output == "2"


def test_an_error_in_the_midst_of_a_commit_undoes_its_beginning() -> None:
    hub = EngineDriver()
    hub.start()
    no_command: Any = object()

    with pytest.raises(KeyError):
        hub.commit(("a", RaiseEvent("x")), ("b", StartInstance("order")), ("a", no_command))

    assert len(hub.state().inbox) == 1
    assert hub.committer.instance(HUB, "b") is None


def test_the_orchestrators_clock_does_not_run_backwards_when_the_hubs_is_set_back() -> None:
    hub = EngineDriver()
    hub.start()
    first = hub.taken()
    hub.now = EPOCH - timedelta(hours=1)

    hub.answer(first)
    hub.do(RaiseEvent("go"))

    shown = first.request.new_events[0].timestamp
    assert hub.taken().request.new_events[0].timestamp >= shown


def test_the_store_is_asked_what_is_due_next_only_when_that_time_has_come() -> None:
    hub = EngineDriver(store := Watched())
    first, second = hub.now + timedelta(hours=1), hub.now + timedelta(hours=2)
    assert hub.committer.next_due(hub.now) is None

    hub.start("b", scheduled_start=second)
    hub.start("a", scheduled_start=first)

    assert hub.committer.next_due(hub.now) == first
    assert store.asked_for_due == 1
    assert hub.committer.next_due(first) == second
    assert store.asked_for_due == 2
