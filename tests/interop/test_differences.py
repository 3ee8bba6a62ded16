"""Differences of durabletask-go that its users notice: what exactly they notice.

Of each, first what our engine does. A test here that fails on durabletask-go may mean that its
defect is mended. `docs/engines.md` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.transport.errors import InstanceExistsError, InstanceStatusError
from tests.interop.features import GO, OURS
from tests.interop.harness import Harness

if TYPE_CHECKING:
    pass

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


def test_the_id_of_an_ended_instance_stays_taken(harness: Harness, engine: str) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    ended = [
        OrchestrationStatus.COMPLETED,
        OrchestrationStatus.FAILED,
        OrchestrationStatus.TERMINATED,
    ]
    harness.host(echo)
    harness.output(harness.start(echo, instance_id="one", input="first"))

    if engine == GO:
        with pytest.raises(InstanceExistsError):
            harness.start(echo, instance_id="one", input="second", reuse_id_policy=ended)
        harness.client.purge_orchestration("one")

    again = harness.start(echo, instance_id="one", input="second", reuse_id_policy=ended)
    assert harness.output(again) == "second"


def test_a_control_call_without_a_worker_takes_effect_later(
    harness: Harness,
    engine: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Users wait for it longer; that it never answers is so at once.
    monkeypatch.setattr("durabletask.client._dapr.PATIENCE", 0.5)
    instance_id = harness.start(waiting)

    harness.client.terminate_orchestration(instance_id, output="enough")

    late = [text for text in caplog.messages if "takes effect when a worker runs" in text]
    if engine == OURS:
        assert not late
    else:
        assert late
        assert harness.status(instance_id) is OrchestrationStatus.PENDING
        harness.host(waiting)
    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


def test_a_running_instance_is_not_purged(harness: Harness, engine: str) -> None:
    harness.host(waiting)
    instance_id = harness.started(waiting)

    if engine == GO:
        with pytest.raises(InstanceStatusError):
            harness.client.purge_orchestration(instance_id)
    else:
        assert harness.client.purge_orchestration(instance_id).deleted_instance_count == 0

    assert harness.status(instance_id) is OrchestrationStatus.RUNNING
