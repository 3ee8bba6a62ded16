"""What has ended can be forgotten, restarted, or both; what lives stays."""

from __future__ import annotations

import pytest

from durabletask.sidecar.engine.commands import Purge, RaiseEvent, Restart, StartInstance, Terminate
from durabletask.sidecar.engine.transition import ACCEPTED, FailedPrecondition, NotFound, Purged
from durabletask.sidecar.store import Key
from tests.builders.engine import HUB, EngineDriver, Status, child, end, schedule
from tests.builders.engine_entities import call, run

RECURSIVELY = Purge(recursive=True)


def exists(hub: EngineDriver, instance_id: str = "a") -> bool:
    return hub.committer.instance(HUB, instance_id) is not None


def ended() -> EngineDriver:
    hub = EngineDriver()
    hub.start(tags={"team": "red"}, version="7", input="1")
    hub.decide(end(result="1"))
    return hub


def test_a_purged_instance_is_gone_with_its_history() -> None:
    hub = ended()

    assert hub.do(Purge()) == Purged(1)

    assert not exists(hub)
    assert hub.store.history(Key(HUB, "a")) == b""


def test_there_is_nothing_to_purge_twice() -> None:
    hub = ended()
    hub.do(Purge())

    assert hub.do(Purge()) == Purged(0)


def test_a_live_instance_stays() -> None:
    hub = EngineDriver()
    hub.start()

    assert hub.do(RECURSIVELY) == Purged(0)
    assert exists(hub)


def test_the_children_of_whatever_execution_go_too_and_are_counted() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"), child(2, "gone"))
    hub.decide(child(1, "grandkid"), to="kid")
    for instance_id in ("grandkid", "kid", "gone"):
        hub.decide(end(result="1"), to=instance_id)
    hub.decide(end(result="1"))
    hub.do(Purge(), "gone")

    assert hub.do(RECURSIVELY) == Purged(3)
    assert not any(exists(hub, each) for each in ("a", "kid", "grandkid"))


def test_a_child_that_lives_under_an_ended_parent_goes_with_it() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"), end(result="1"))
    turn = hub.taken("kid")

    assert hub.do(RECURSIVELY) == Purged(2)

    hub.answer(turn, end(result="1"), to="kid")
    assert not exists(hub, "kid")


def test_without_recursion_children_stay() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"), end(result="1"))

    assert hub.do(Purge()) == Purged(1)
    assert exists(hub, "kid")


def test_the_result_of_a_task_of_a_purged_instance_reaches_nobody() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1), end(result="1"))
    (task,) = hub.tasks
    hub.do(Purge())
    hub.start()

    hub.finish(task, '"old"')

    assert [row.kind.name for row in hub.state().inbox] == ["START"]


def test_an_id_is_free_in_the_commit_that_purges_it() -> None:
    hub = ended()

    commit = hub.commit(("a", Purge()), ("a", StartInstance("again")))

    assert commit.replies == (Purged(1), ACCEPTED)
    assert hub.state().origin.name == "again"
    assert hub.taken().request.past_events == []


def test_an_instance_that_ended_begins_again_with_its_input() -> None:
    hub = ended()

    assert hub.do(Restart()) == ACCEPTED

    started = hub.taken().new[0].execution_started
    assert (started.input, started.version, started.tags) == ("1", "7", {"team": "red"})
    assert hub.status() is Status.PENDING


def test_it_begins_again_under_another_id_and_stays_what_it_was() -> None:
    hub = ended()

    assert hub.do(Restart("b")) == ACCEPTED

    assert hub.status() is Status.COMPLETED
    assert hub.taken("b").new[0].execution_started.input == "1"


def test_a_child_that_is_restarted_has_no_parent() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid"))
    hub.do(Terminate(), "kid")

    hub.do(Restart(), "kid")

    assert hub.taken("kid").new[0].execution_started.parent_instance is None


@pytest.mark.parametrize("again", [Restart(), Restart("b")])
def test_only_what_has_ended_is_restarted(again: Restart) -> None:
    hub = EngineDriver()
    hub.start()

    assert isinstance(hub.do(again), FailedPrecondition)
    assert isinstance(hub.do(again, "nobody"), NotFound)
    assert not exists(hub, "b")


def test_the_answer_of_an_entity_to_a_purged_instance_is_dropped() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(call(1, "r1"), end(result="1"))
    hub.do(Purge())
    hub.start()
    hub.do(RaiseEvent("go"))

    run(hub)

    assert len(hub.state().inbox) == 2


def test_termination_that_must_find_somebody_says_when_there_is_nobody() -> None:
    hub = ended()

    assert isinstance(hub.do(Terminate(must_be_live=True)), FailedPrecondition)
    assert hub.do(Terminate()) == ACCEPTED
