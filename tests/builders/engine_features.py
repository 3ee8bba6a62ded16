"""What our SDK can do on an engine: one claim for each row of the table in `docs/engines.md`.

Each claim is played with our client and worker, and fails if the engine behaves otherwise.

Knows nothing about any one engine.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask import task
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.entities import EntityContext, EntityInstanceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.builders.stages import Stage

FEATURES: dict[str, Callable[[Stage], None]] = {}


def feature(name: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    def told(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        FEATURES[name] = play
        return play

    return told


def double(_ctx: task.ActivityContext, number: int) -> int:
    return 2 * number


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


@feature("activities")
def _activities(stage: Stage) -> None:
    def chain_and_fan_out(ctx: task.OrchestrationContext, number: int) -> Any:
        for _ in range(3):
            number = yield ctx.call_activity(double, input=number)
        return (yield task.when_all([ctx.call_activity(double, input=n) for n in range(number)]))

    stage.host(chain_and_fan_out, activities=(double,))

    assert stage.result(chain_and_fan_out, input=1) == [2 * number for number in range(8)]


@feature("retries")
def _retries(stage: Stage) -> None:
    def shaky(_ctx: task.ActivityContext, name: str) -> str:
        stage.calls[name] += 1
        if stage.calls[name] < 3:
            raise OSError(f"attempt {stage.calls[name]} of {name}")
        return name

    def child(ctx: task.OrchestrationContext, name: str) -> str:
        return shaky(task.ActivityContext("", 0), name)

    def persistent(ctx: task.OrchestrationContext, _: Any) -> Any:
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=4
        )
        done = [(yield ctx.call_activity(shaky, input="activity", retry_policy=policy))]
        return [
            *done,
            (yield ctx.call_sub_orchestrator(child, input="child", retry_policy=policy)),
        ]

    stage.host(persistent, child, activities=(shaky,))

    assert stage.result(persistent) == ["activity", "child"]
    assert stage.calls["activity"] == 3


@feature("sub-orchestrations")
def _children(stage: Stage) -> None:
    def child(ctx: task.OrchestrationContext, number: int) -> Any:
        if number < 0:
            raise ValueError("too small")
        return (yield ctx.call_activity(double, input=number))

    def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
        numbers = yield task.when_all([ctx.call_sub_orchestrator(child, input=n) for n in (1, 2)])
        try:
            yield ctx.call_sub_orchestrator(child, input=-1)
        except task.TaskFailedError as failed:
            return [*numbers, failed.details.error_type.rpartition(".")[2]]

    stage.host(parent, child, activities=(double,))

    assert stage.result(parent) == [2, 4, "ValueError"]


@feature("timers")
def _timers(stage: Stage) -> None:
    def nap(ctx: task.OrchestrationContext, _: Any) -> Any:
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=300))
        return (ctx.current_utc_datetime - before).total_seconds()

    stage.host(nap)

    assert 0.3 <= stage.result(nap) < 20


@feature("events")
def _events(stage: Stage) -> None:
    def race(ctx: task.OrchestrationContext, seconds: float) -> Any:
        event = ctx.wait_for_external_event("go")
        winner = yield task.when_any([event, ctx.create_timer(timedelta(seconds=seconds))])
        return event.get_result() if winner is event else "timer"

    stage.host(race)
    patient = stage.started(race, input=3600)
    stage.client.raise_orchestration_event(patient, "GO", data={"by": "event"})

    assert stage.wait(patient).get_output() == {"by": "event"}
    assert stage.result(race, input=0.1) == "timer"


@feature("send_event")
def _send_event(stage: Stage) -> None:
    def send(ctx: task.OrchestrationContext, target: str) -> Any:
        ctx.send_event(target, "end", data="sent")
        yield ctx.create_timer(timedelta(milliseconds=10))

    stage.host(send, waiting)
    target = stage.started(waiting)
    stage.wait(stage.start(send, input=target))

    assert stage.wait(target).get_output() == "sent"


@feature("continue-as-new")
def _continue_as_new(stage: Stage) -> None:
    def generations(ctx: task.OrchestrationContext, number: int) -> Any:
        # No activity: so it goes through its generations as fast as the engine lets it.
        if number < 50:
            ctx.continue_as_new(number + 1)
            return None
        return number

    def collect(ctx: task.OrchestrationContext, seen: list[str]) -> Any:
        seen = [*seen, (yield ctx.wait_for_external_event("item"))]
        if len(seen) < 3:
            ctx.continue_as_new(seen, save_events=True)
        return seen

    stage.host(generations, collect)
    collecting = stage.started(collect, input=[])
    for item in "abc":
        stage.client.raise_orchestration_event(collecting, "item", data=item)

    assert stage.result(generations, input=0) == 50
    assert stage.wait(collecting).get_output() == ["a", "b", "c"]


@feature("suspend")
def _suspend(stage: Stage) -> None:
    stage.host(waiting)
    instance_id = stage.started(waiting)

    stage.client.resume_orchestration(instance_id)
    stage.client.suspend_orchestration(instance_id)
    stage.client.suspend_orchestration(instance_id)
    stage.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    stage.client.raise_orchestration_event(instance_id, "end", data="over")
    assert stage.status(instance_id) is OrchestrationStatus.SUSPENDED
    stage.client.resume_orchestration(instance_id)

    assert stage.wait(instance_id).get_output() == "over"


@feature("terminate recursive")
def _terminate(stage: Stage) -> None:
    def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.call_sub_orchestrator(waiting, instance_id="child")

    stage.host(parent, waiting)
    stage.started(parent, instance_id="parent")
    stage.reaches("child", OrchestrationStatus.RUNNING)

    stage.client.terminate_orchestration("parent", output="because", recursive=True)

    assert stage.wait("parent").get_output() == "because"
    assert stage.status("parent") is OrchestrationStatus.TERMINATED
    assert stage.wait("child").runtime_status is OrchestrationStatus.TERMINATED


@feature("purge")
def _purge(stage: Stage) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    stage.host(echo)
    instance_id = stage.start(echo, input=1)
    stage.wait(instance_id)

    assert stage.client.purge_orchestration(instance_id).deleted_instance_count == 1
    assert stage.client.get_orchestration_state(instance_id) is None


@feature("entities")
def _entities(stage: Stage) -> None:
    def tally(ctx: EntityContext, amount: int) -> int:
        total = ctx.get_state(int, 0) + amount
        ctx.set_state(total)
        return total

    def add_twice(ctx: task.OrchestrationContext, _: Any) -> Any:
        entity = EntityInstanceId("tally", "one")
        yield ctx.call_entity(entity, "add", 1)
        return (yield ctx.call_entity(entity, "add", 2))

    stage.worker.add_entity(tally)
    stage.host(add_twice)

    assert stage.result(add_twice) == 3


@feature("versioning")
def _versioning(stage: Stage) -> None:
    def versioned(ctx: task.OrchestrationContext, _: Any) -> Any:
        return ctx.version

    stage.host(versioned)

    assert stage.result(versioned, version="2.1") == "2.1"


@feature("patches")
def _patches(stage: Stage) -> None:
    def patched(ctx: task.OrchestrationContext, number: int) -> Any:
        if ctx.is_patched("double it"):
            number = yield ctx.call_activity(double, input=number)
        return number

    def old(_ctx: task.OrchestrationContext, _: Any) -> str:
        return "old"

    def new(_ctx: task.OrchestrationContext, _: Any) -> str:
        return "new"

    stage.worker.orchestrator(name="named", version_name="1")(old)
    stage.worker.orchestrator(name="named", version_name="2", is_latest=True)(new)
    stage.host(patched, activities=(double,))

    assert stage.result(patched, input=1) == 2
    assert stage.result("named") == "new"


@feature("restart")
def _restart(stage: Stage) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    stage.host(echo)
    instance_id = stage.start(echo, input="again")
    stage.wait(instance_id)

    again = stage.client.restart_orchestration(instance_id, restart_with_new_instance_id=True)

    assert again != instance_id
    assert stage.output(again) == "again"


@feature("rewind")
def _rewind(stage: Stage) -> None:
    def shaky(_ctx: task.ActivityContext, _: Any) -> str:
        stage.calls["shaky"] += 1
        if stage.calls["shaky"] == 1:
            raise OSError("off")
        return "better"

    def fragile(ctx: task.OrchestrationContext, _: Any) -> Any:
        return (yield ctx.call_activity(shaky))

    stage.host(fragile, activities=(shaky,))
    instance_id = stage.start(fragile)
    assert stage.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    stage.client.rewind_orchestration(instance_id)

    stage.reaches(instance_id, OrchestrationStatus.COMPLETED)


@feature("rerun")
def _rerun(stage: Stage) -> None:
    def twice(ctx: task.OrchestrationContext, number: int) -> Any:
        number = yield ctx.call_activity(double, input=number)
        return (yield ctx.call_activity(double, input=number))

    stage.host(twice, activities=(double,))
    instance_id = stage.start(twice, input=1)
    stage.wait(instance_id)

    again = stage.client.rerun_orchestration_from_event(instance_id, 2, input=10)

    assert stage.wait(again).get_output() == 20


@feature("history")
def _history(stage: Stage) -> None:
    def once(ctx: task.OrchestrationContext, number: int) -> Any:
        return (yield ctx.call_activity(double, input=number))

    stage.host(once, activities=(double,))
    instance_id = stage.start(once, input=1)
    stage.wait(instance_id)

    kinds = [type(event).__name__ for event in stage.client.get_orchestration_history(instance_id)]

    for kind in ("ExecutionStartedEvent", "TaskScheduledEvent", "TaskCompletedEvent"):
        assert kind in kinds


@feature("list ids")
def _ids(stage: Stage) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    stage.host(echo)
    for instance_id in ("one", "two"):
        stage.wait(stage.start(echo, instance_id=instance_id))

    assert {"one", "two"} <= set(stage.client.list_instance_ids().items)


@feature("queries")
def _queries(stage: Stage) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    stage.host(echo)
    stage.wait(stage.start(echo, instance_id="echo-1"))
    stage.wait(stage.start(echo, instance_id="other"))

    found = stage.client.get_all_orchestration_states(OrchestrationQuery(instance_id_prefix="echo"))

    assert [state.instance_id for state in found] == ["echo-1"]
