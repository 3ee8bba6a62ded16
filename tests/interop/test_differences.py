"""What durabletask-go does in another way than ours, and its users feel: what exactly.

Of each, first what is so on ours. A test here that fails on durabletask-go may tell that a
defect of it is mended. `docs/engines.md` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.transport.errors import InstanceExistsError, InstanceStatusError
from tests.builders.stages import Stage
from tests.interop.features import GO, OURS

if TYPE_CHECKING:
    pass

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


def test_the_id_of_what_has_ended_stays_taken(stage: Stage, engine: str) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    ended = [
        OrchestrationStatus.COMPLETED,
        OrchestrationStatus.FAILED,
        OrchestrationStatus.TERMINATED,
    ]
    stage.host(echo)
    stage.output(stage.start(echo, instance_id="one", input="first"))

    if engine == GO:
        with pytest.raises(InstanceExistsError):
            stage.start(echo, instance_id="one", input="second", reuse_id_policy=ended)
        stage.client.purge_orchestration("one")

    again = stage.start(echo, instance_id="one", input="second", reuse_id_policy=ended)
    assert stage.output(again) == "second"


def test_what_is_told_to_an_instance_without_a_worker_waits(
    stage: Stage,
    engine: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Users wait for it longer; that it never answers is so at once.
    monkeypatch.setattr("durabletask.client._dapr.PATIENCE", 0.5)
    instance_id = stage.start(waiting)

    stage.client.terminate_orchestration(instance_id, output="enough")

    late = [text for text in caplog.messages if "takes effect when a worker runs" in text]
    if engine == OURS:
        assert not late
    else:
        assert late
        assert stage.status(instance_id) is OrchestrationStatus.PENDING
        stage.host(waiting)
    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.TERMINATED


def test_what_runs_is_not_purged(stage: Stage, engine: str) -> None:
    stage.host(waiting)
    instance_id = stage.started(waiting)

    if engine == GO:
        with pytest.raises(InstanceStatusError):
            stage.client.purge_orchestration(instance_id)
    else:
        assert stage.client.purge_orchestration(instance_id).deleted_instance_count == 0

    assert stage.status(instance_id) is OrchestrationStatus.RUNNING
