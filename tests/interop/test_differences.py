"""What durabletask-go does in another way than ours, and its users feel: what exactly.

Of each, first what is so on ours. A test here that fails on durabletask-go may tell that a
defect of it is mended. `docs/engines.md` shows them.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tools.engines.features import GO, OURS, PLAYED

from builders.stages import PATIENCE, Stage, stage_on
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.transport.errors import InstanceExistsError, InstanceStatusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=PLAYED)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(engine: str, tmp_path: Path) -> Iterator[Stage]:
    with stage_on(engine, tmp_path) as stage:
        yield stage


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


def test_a_timer_of_an_older_execution_wakes_the_next(stage: Stage, engine: str) -> None:
    def renewed(ctx: task.OrchestrationContext, generation: str) -> Any:
        early = ctx.create_timer(timedelta(seconds=0.3 if generation == "old" else 1))
        if generation == "old":
            yield task.when_any([early, ctx.wait_for_external_event("go")])
            ctx.continue_as_new("new")
            return None
        before = ctx.current_utc_datetime
        yield early
        return (ctx.current_utc_datetime - before).total_seconds()

    stage.host(renewed)
    instance_id = stage.started(renewed, input="old")

    stage.client.raise_orchestration_event(instance_id, "go")

    waited = stage.output(instance_id)
    assert waited < 1 if engine == GO else waited >= 1


def test_a_result_of_an_older_execution_is_lost_with_that_of_the_next(
    stage: Stage, engine: str
) -> None:
    begun, released = threading.Event(), threading.Event()

    def answers(_ctx: task.ActivityContext, generation: str) -> str:
        if generation == "old":
            begun.set()
            assert released.wait(PATIENCE)
        return generation

    def renewed(ctx: task.OrchestrationContext, generation: str) -> Any:
        if generation == "old":
            ctx.call_activity(answers, input=generation)
            yield ctx.wait_for_external_event("go")
            ctx.continue_as_new("new")
            return None
        yield ctx.wait_for_external_event("go")
        return (yield ctx.call_activity(answers, input=generation))

    stage.host(renewed, activities=(answers,))
    instance_id = stage.started(renewed, input="old")
    assert begun.wait(PATIENCE)
    stage.client.raise_orchestration_event(instance_id, "go")
    stage.records(instance_id, "ExecutionStartedEvent", input='"new"')

    released.set()
    if engine == GO:
        stage.records(instance_id, "TaskCompletedEvent", result='"old"')
    stage.client.raise_orchestration_event(instance_id, "go")

    if engine == OURS:
        assert stage.output(instance_id) == "new"
        return
    with pytest.raises(TimeoutError):
        stage.client.wait_for_orchestration_completion(instance_id, timeout=2)
    assert stage.status(instance_id) is OrchestrationStatus.RUNNING


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
