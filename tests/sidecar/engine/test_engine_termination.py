"""Termination needs no worker, reaches as far as it is told to, and cannot be undone."""

from __future__ import annotations

import pytest

from durabletask.sidecar.engine.commands import CompleteTurn, RaiseEvent, Terminate
from durabletask.sidecar.engine.transition import Accepted, Stale
from tests.builders.engine import HUB, EngineDriver, Status, again, child, end, kill, schedule


def family(hub: EngineDriver) -> None:
    """a -> b -> c, all of them running."""
    hub.start("a")
    hub.decide(child(1, "b"), to="a")
    hub.decide(child(1, "c"), to="b")
    hub.decide(schedule(1), to="c")


def test_the_output_is_what_the_caller_says_and_history_tells_who_ended_it() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(schedule(1))

    commit = hub.commit(("a", Terminate('"enough"')))

    progress = hub.state().progress
    assert (progress.status, progress.output) == (Status.TERMINATED, '"enough"')
    assert progress.completed_at == hub.now
    assert hub.history_kinds()[-2:] == ["execution_terminated", "execution_completed"]
    assert commit.notifications.ended == commit.notifications.void_turns == ((HUB, "a"),)


def test_a_turn_that_is_out_comes_too_late() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()
    hub.do(Terminate())

    assert isinstance(hub.answer(turn, end(result="1")), Stale)
    assert hub.status() is Status.TERMINATED


def test_a_termination_that_comes_after_the_completion_changes_nothing() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(end(result="1"))
    before = hub.state().progress

    assert isinstance(hub.do(Terminate('"late"')), Accepted)

    assert hub.state().progress == before


def test_termination_beats_continue_as_new() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken()
    hub.do(Terminate())

    hub.answer(turn, again("2"))

    assert hub.status() is Status.TERMINATED
    assert hub.turn() is None


def test_the_next_execution_can_be_terminated() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(again("2"))

    hub.do(Terminate())

    assert hub.status() is Status.TERMINATED


@pytest.mark.parametrize("recursive", [False, True])
def test_children_end_with_their_parent_only_when_asked(recursive: bool) -> None:
    hub = EngineDriver()
    family(hub)

    hub.do(Terminate('"out"', recursive=recursive))

    expected = Status.TERMINATED if recursive else Status.RUNNING
    assert hub.status("a") is Status.TERMINATED
    assert (hub.status("b"), hub.status("c")) == (expected, expected)
    if recursive:
        assert hub.state("c").progress.output == '"out"'


def test_children_of_an_older_execution_end_too() -> None:
    hub = EngineDriver()
    family(hub)
    hub.do(RaiseEvent("go"))
    hub.decide(again(), to="a")

    hub.do(Terminate(recursive=True))

    assert hub.status("c") is Status.TERMINATED


def test_children_end_though_their_parent_has_ended_before() -> None:
    hub = EngineDriver()
    family(hub)
    hub.do(RaiseEvent("go"))
    hub.decide(end(), to="a")

    hub.do(Terminate(recursive=True))

    assert hub.status("a") is Status.COMPLETED
    assert (hub.status("b"), hub.status("c")) == (Status.TERMINATED, Status.TERMINATED)


def test_children_that_the_same_commit_creates_end_too() -> None:
    hub = EngineDriver()
    hub.start()
    turn = hub.taken().prepared.turn

    hub.commit(
        ("a", CompleteTurn(turn, [child(1, "b"), child(2, "c")])),
        ("a", Terminate(recursive=True)),
    )

    assert (hub.status("b"), hub.status("c")) == (Status.TERMINATED, Status.TERMINATED)


def test_children_that_have_ended_are_left_as_they_are() -> None:
    hub = EngineDriver()
    family(hub)
    hub.finish_next()
    hub.decide(end(result="1"), to="c")

    hub.do(Terminate(recursive=True))

    assert hub.status("c") is Status.COMPLETED
    assert hub.status("b") is Status.TERMINATED


def test_an_instance_that_became_its_own_child_can_be_terminated() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(child(1, "a"), end())
    assert hub.state().origin.parent is not None

    hub.do(Terminate(recursive=True))

    assert hub.status() is Status.TERMINATED


def test_a_circle_of_parents_is_walked_once() -> None:
    hub = EngineDriver()
    hub.start("a")
    hub.decide(child(1, "b"), to="a")
    hub.do(RaiseEvent("go"))
    hub.decide(end(), to="a")
    hub.decide(child(1, "a"), to="b")
    assert hub.state("a").origin.parent is not None

    hub.do(Terminate(recursive=True), "b")

    assert (hub.status("a"), hub.status("b")) == (Status.TERMINATED, Status.TERMINATED)


def test_an_orchestration_can_terminate_another_one() -> None:
    hub = EngineDriver()
    family(hub)
    hub.start("killer")

    hub.decide(kill(1, "a", reason='"why"', recurse=True), to="killer")

    assert hub.state("a").progress.output == '"why"'
    assert hub.status("c") is Status.TERMINATED


def test_an_orchestration_that_terminates_nobody_goes_on() -> None:
    hub = EngineDriver()
    hub.start()

    assert isinstance(hub.answer(hub.taken(), kill(1, "nobody")), Accepted)

    assert hub.status() is Status.RUNNING


def test_an_orchestration_may_terminate_itself() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(kill(1, "a"))

    assert hub.status() is Status.TERMINATED


@pytest.mark.parametrize("together", [False, True])
def test_it_does_not_reach_past_a_child_that_has_ended(together: bool) -> None:
    """Whether that was long ago or in the same commit: commits decide when, never what."""
    hub = EngineDriver()
    family(hub)
    steps = [("b", Terminate()), ("a", Terminate(recursive=True))]

    for commands in [steps] if together else [[step] for step in steps]:
        hub.commit(*commands)

    assert hub.status("a") is Status.TERMINATED
    assert hub.status("c") is Status.RUNNING
