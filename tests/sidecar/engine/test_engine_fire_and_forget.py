"""Orchestrations that nobody waits for: no parent, no report, no error when their id is taken."""

from __future__ import annotations

from durabletask.sidecar.engine.commands import Terminate
from tests.builders.engine import EngineDriver, Status, child, end

DETACHED = {"FireAndForget": ""}


def test_a_child_that_nobody_waits_for_has_no_parent() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(child(1, "kid", tags=DETACHED))

    assert hub.taken("kid").new[0].execution_started.parent_instance is None
    assert hub.history()[-1].sub_orchestration_instance_created.instance_id == "kid"


def test_its_end_is_no_news_to_who_started_it() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid", tags=DETACHED))

    hub.decide(end(result="1"), to="kid")

    assert hub.turn() is None


def test_it_outlives_the_recursive_termination_of_who_started_it() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "kid", tags=DETACHED))

    hub.do(Terminate(recursive=True))

    assert hub.status("kid") is Status.PENDING


def test_an_id_that_is_taken_is_left_alone() -> None:
    hub = EngineDriver()
    hub.start("kid", "other")
    hub.start()

    hub.decide(child(1, "kid", tags=DETACHED))

    assert hub.state("kid").origin.name == "other"
    assert hub.turn() is None
