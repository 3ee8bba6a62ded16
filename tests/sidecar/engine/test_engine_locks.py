"""An orchestration that has locked entities has them for itself, and nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.sidecar.engine.commands import (
    EntityLocked,
    Purge,
    RaiseEvent,
    StartInstance,
    Terminate,
)
from durabletask.sidecar.engine.entities.commands import PurgeEntity, SignalEntity
from durabletask.sidecar.engine.transition import Purged, Stale
from tests.builders.engine import HUB, EngineDriver, Status, again, child, end, fail, kill, kinds
from tests.builders.engine_entities import (
    answer,
    batch,
    call,
    entity,
    holder,
    lock,
    returned,
    run,
    signal,
    taken,
    unlock,
)

A, B, C = "@counter@a", "@counter@b", "@counter@c"


def holding(*entities: str) -> EngineDriver:
    """A hub whose orchestration 'a' has these locked, and knows it."""
    hub = EngineDriver()
    hub.start()
    hub.decide(lock(1, "s", *entities))
    assert kinds(hub.taken().new) == ["entity_lock_granted"]
    return hub


def test_a_free_entity_is_locked_at_once_and_the_grant_says_for_which_section() -> None:
    hub = holding(A)

    assert hub.taken().new[0].entity_lock_granted.critical_section_id == "s"
    assert holder(hub, A) == "a"


def test_all_of_the_set_is_locked_before_anybody_is_told() -> None:
    hub = holding(B)
    hub.start("b")
    hub.decide(lock(1, "t", C, B, A), to="b")

    assert hub.turn("b") is None
    assert [holder(hub, each) for each in (A, B, C)] == ["b", "a", None]


def test_the_set_is_taken_in_one_order_whoever_asks_and_each_entity_once() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(lock(1, "s", B, A, "@COUNTER@b"))

    assert hub.state().locks["s"].lock_set == (A, B)


def test_a_locked_entity_serves_its_holder_alone_and_the_others_after_it() -> None:
    hub = holding(A)
    hub.do(SignalEntity("early", "add"), A)
    hub.decide(call(2, "mine", A))
    assert taken(hub, A).request_ids == ["mine"]
    run(hub, A)
    assert batch(hub, A) is None

    hub.decide(unlock(3, "s", A))

    assert taken(hub, A).request_ids == ["early"]


def test_a_request_waits_for_what_is_before_it_in_the_queue() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(signal(1, "r1", A), lock(2, "s", A))
    assert holder(hub, A) is None

    run(hub, A)

    assert holder(hub, A) == "a"


def test_the_next_in_the_queue_gets_what_is_given_back() -> None:
    hub = holding(A)
    hub.start("b")
    hub.decide(lock(1, "t", A), to="b")

    hub.decide(unlock(2, "s", A))

    assert holder(hub, A) == "b"
    assert kinds(hub.taken("b").new) == ["entity_lock_granted"]


def test_one_unlock_gives_back_all_of_its_section() -> None:
    """Workers send no other after it has been recorded."""
    hub = holding(A, B)

    hub.decide(unlock(2, "s", B))

    assert [holder(hub, each) for each in (A, B)] == [None, None]
    assert hub.state().locks == {}


def test_a_grant_that_was_not_read_does_not_hide_the_next_grant_of_its_section() -> None:
    """A worker may leave a section before it reads the grant, and request it again."""
    hub = EngineDriver()
    for instance_id, section in (("b", "t"), ("a", "s"), ("c", "u")):
        hub.start(instance_id)
        hub.decide(lock(1, section, A), to=instance_id)
    hub.do(RaiseEvent("tick"))
    before_the_grant = hub.taken()
    hub.decide(unlock(2, "t", A), to="b")
    hub.answer(before_the_grant, unlock(2, "s", A), lock(3, "s", A))
    first = hub.taken()
    hub.decide(unlock(2, "u", A), to="c")

    hub.answer(first)

    assert kinds(first.new) == ["entity_lock_granted"]
    second = hub.taken()
    assert kinds(second.new) == ["entity_lock_granted"]
    assert hub.state().inbox.answer_to("lock:s") in second.prepared.turn.consumed
    hub.answer(second)
    assert holder(hub, A) == "a"


def test_only_its_own_section_gives_a_lock_back() -> None:
    hub = holding(A)

    hub.decide(unlock(2, "other", A))

    assert holder(hub, A) == "a"


@pytest.mark.parametrize(
    "ending", [end(result="1"), fail(), again("1")], ids=["completed", "failed", "continued"]
)
def test_a_lock_ends_with_its_execution(ending: object) -> None:
    hub = holding(A, B)

    hub.decide(ending)

    assert [holder(hub, each) for each in (A, B)] == [None, None]


def test_a_lock_ends_with_the_termination_of_its_holder() -> None:
    hub = holding(A)

    hub.do(Terminate())

    assert holder(hub, A) is None


def test_a_lock_ends_when_its_holder_is_replaced() -> None:
    hub = holding(A)

    hub.do(StartInstance("order", replaceable=frozenset({int(Status.RUNNING)})))

    assert holder(hub, A) is None


def test_a_lock_ends_when_its_holder_is_purged_with_its_parent() -> None:
    hub = EngineDriver()
    hub.start("parent")
    hub.decide(child(1, "kid"), end(result="1"), to="parent")
    hub.decide(lock(1, "s", A), to="kid")

    hub.do(Purge(recursive=True), "parent")

    assert holder(hub, A) is None


def test_a_request_ends_with_the_orchestration_that_waits_in_the_queue() -> None:
    hub = holding(A)
    hub.start("b")
    hub.decide(lock(1, "t", A), to="b")
    hub.start("c")
    hub.decide(lock(1, "u", A), to="c")
    hub.do(Terminate(), "b")

    hub.decide(unlock(2, "s", A))

    assert holder(hub, A) == "c"


def test_a_lock_that_is_asked_for_by_an_ending_orchestration_is_given_back() -> None:
    hub = holding(B)
    hub.start("b")

    hub.decide(lock(1, "t", A, B), end(result="1"), to="b")
    hub.decide(unlock(2, "s", B))

    assert [holder(hub, each) for each in (A, B)] == [None, None]
    assert entity(hub, A).is_empty
    assert entity(hub, B).is_empty


def test_nothing_is_locked_for_an_orchestration_that_has_ended_on_the_way() -> None:
    """Otherwise B would be locked by nobody for as long as somebody else holds C."""
    hub = holding(C)
    hub.start("b")

    hub.decide(lock(1, "t", A, B, C), end(), to="b")

    assert [holder(hub, each) for each in (A, B, C)] == [None, None, "a"]
    assert len(entity(hub, C).queue) == 0


def test_what_the_last_holder_left_at_a_worker_is_not_committed_under_the_next_one() -> None:
    hub = holding(A)
    hub.start("b")
    hub.decide(lock(1, "t", A), to="b")
    hub.decide(call(2, "of a", A))
    given = taken(hub, A)
    hub.do(Terminate())
    assert holder(hub, A) == "b"

    reply = answer(hub, given, state="of a")

    assert isinstance(reply, Stale)
    assert entity(hub, A).progress.state is None
    hub.decide(unlock(2, "t", A), to="b")
    assert taken(hub, A).request_ids == ["of a"]


def test_a_grant_that_nobody_waits_for_gives_the_entities_back() -> None:
    hub = holding(A)
    execution_id = hub.state().origin.execution_id
    hub.do(Terminate())
    hub.start("b")
    hub.decide(lock(1, "t", A), to="b")

    hub.do(EntityLocked("s", execution_id, (A,), 0))

    # The lock of another holder is not touched by it.
    assert holder(hub, A) == "b"


def test_a_lock_that_is_asked_for_again_is_not_asked_for_again() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(lock(1, "s", A))
    hub.do(RaiseEvent("go"))

    hub.decide(lock(1, "s", A))

    assert hub.turn() is None
    assert holder(hub, A) == "a"


@pytest.mark.parametrize("entities", [(), (A, "not an entity")], ids=["none", "no entity"])
def test_a_set_that_cannot_be_locked_fails_the_orchestration_once(
    entities: tuple[str, ...],
) -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(lock(1, "s", *entities))

    assert hub.status() is Status.FAILED
    assert hub.turn() is None


def test_a_locked_entity_is_not_purged() -> None:
    hub = holding(A)

    assert hub.do(PurgeEntity(), A) == Purged(0)


sections = st.lists(
    st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=4), min_size=1, max_size=6
)


@given(sections, st.randoms(use_true_random=False))
def test_whoever_asks_for_what_everybody_gets_it_in_the_end(sets: list[list[str]], chance) -> None:
    """At most one holds an entity at a time, and who is told holds all that it asked for."""
    hub = EngineDriver()
    waiting = [f"o{number}" for number in range(len(sets))]
    wanted = dict(zip(waiting, sets, strict=True))
    for instance_id in waiting:
        hub.start(instance_id)
    chance.shuffle(waiting)

    ready = list(waiting)
    while ready:
        instance_id = ready.pop(chance.randrange(len(ready)))
        granted = "entity_lock_granted" in kinds(hub.taken(instance_id).new)
        if granted:
            assert all(holder(hub, each) == instance_id for each in wanted[instance_id])
            hub.decide(unlock(2, instance_id, wanted[instance_id][0]), end(), to=instance_id)
        else:
            hub.decide(lock(1, instance_id, *wanted[instance_id]), to=instance_id)
        ready = [each for each in wanted if hub.turn(each) is not None]

    assert {hub.status(each) for each in wanted} == {Status.COMPLETED}
    assert [holder(hub, each) for each in (A, B, C)] == [None, None, None]


@given(sections, st.randoms(use_true_random=False))
def test_only_who_lives_and_wants_it_ever_holds_a_lock(sets: list[list[str]], chance) -> None:
    """Whoever ends, in whatever way and at whatever moment, leaves nothing locked."""
    hub = EngineDriver()
    wanted = {f"o{number}": entities for number, entities in enumerate(sets)}
    for instance_id in wanted:
        hub.start(instance_id)
    ends = (end(), fail(), again("1"))

    ready = list(wanted)
    while ready:
        instance_id = chance.choice(ready)
        other = chance.choice(list(wanted))
        if chance.random() < 0.2:
            hub.do(Terminate(), other)
        elif "entity_lock_granted" in kinds(hub.taken(instance_id).new):
            # It may take another one with it that waits for what it gives free.
            hub.decide(kill(2, other), chance.choice(ends[:2]), to=instance_id)
        else:
            doings = [lock(1, instance_id, *wanted[instance_id])]
            if chance.random() < 0.3:
                doings.append(chance.choice(ends))
            hub.decide(*doings, to=instance_id)
        check_holders(hub, list(wanted))
        ready = [each for each in wanted if hub.turn(each) is not None]

    assert {hub.state(each).is_live for each in wanted} == {False}
    assert [holder(hub, each) for each in (A, B, C)] == [None, None, None]


def check_holders(hub: EngineDriver, instance_ids: list[str]) -> None:
    for entity_id in (A, B, C):
        found = hub.committer.entity(HUB, entity_id)
        if found is None or found.progress.holder is None:
            continue
        instance = hub.state(found.progress.holder.instance_id)
        assert instance.is_live
        assert found.progress.holder.critical_section_id in instance.locks
    for instance_id in instance_ids:
        for row in hub.state(instance_id).locks.values():
            held = [holder(hub, each) == instance_id for each in row.lock_set]
            assert row.is_granted == all(held)


def test_the_holder_may_lock_again_what_it_holds() -> None:
    """SDKs forbid it; an engine that let it wait would have it wait for itself."""
    hub = holding(A)

    hub.decide(lock(2, "inner", A))

    assert kinds(hub.taken().new) == ["entity_lock_granted"]


def test_all_that_waits_for_a_lock_in_one_orchestration_gets_it_together() -> None:
    hub = holding(A)
    hub.start("b")
    hub.decide(lock(1, "outer", A), lock(2, "inner", A), to="b")

    hub.decide(unlock(2, "s", A))

    assert kinds(hub.taken("b").new) == ["entity_lock_granted"] * 2
    assert batch(hub, A) is None
    hub.decide(end(), to="b")
    assert holder(hub, A) is None


@pytest.mark.parametrize("last", [end(), unlock(4, "s", A)], ids=["ended", "left"])
def test_a_section_that_is_left_and_entered_again_in_one_turn_can_be_left_again(
    last: object,
) -> None:
    hub = holding(A)

    hub.decide(unlock(2, "s", A), lock(3, "s", A), last)

    assert holder(hub, A) is None
    assert hub.state().locks == {}


def test_an_operation_of_the_holder_that_is_unanswered_at_the_unlock_is_run_all_the_same() -> None:
    hub = holding(A)
    hub.decide(call(2, "mine", A), unlock(3, "s", A))

    assert holder(hub, A) is None
    run(hub, A, returned("1"))
    assert kinds(hub.taken().new) == ["entity_operation_completed"]
