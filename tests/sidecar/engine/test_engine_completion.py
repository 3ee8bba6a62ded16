"""An instance that has ended keeps its history and its outcome, and holds nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.sidecar.engine.commands import RaiseEvent, Resume, Suspend, Terminate
from tests.builders.engine import EngineDriver, Status, child, end, fail, timer


@pytest.mark.parametrize("ending", [end(), fail(), end(status=Status.CANCELED)])
def test_what_waits_goes_when_an_orchestration_ends(ending: object) -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, hub.now + timedelta(hours=1)), child(2, "kid"))
    hub.do(RaiseEvent("go"))
    turn = hub.taken()
    hub.do(RaiseEvent("unread"))

    hub.answer(turn, timer(3, hub.now + timedelta(hours=2)), child(4, "other"), ending)

    state = hub.state()
    assert len(state.inbox) == 0
    assert state.children == {}
    assert (hub.status("kid"), hub.status("other")) == (Status.PENDING, Status.PENDING)


def test_an_instance_that_was_terminated_is_not_suspended_any_more() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(timer(1, hub.now + timedelta(hours=1)))
    hub.do(Suspend("tea"))

    hub.do(Terminate())
    hub.do(Resume())

    progress = hub.state().progress
    assert progress.status is Status.TERMINATED
    assert (progress.suspended_at, progress.suspend_reason) == (None, None)
    assert len(hub.state().inbox) == 0
