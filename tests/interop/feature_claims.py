"""What our SDK can do on an engine: one claim for each row of the table in `docs/engines.md`.

Each runs with our client and worker, and fails if the engine behaves otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask import task
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.entities import EntityContext, EntityInstanceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.harness import Harness

FEATURES: dict[str, Callable[[Harness], None]] = {}


def feature(name: str) -> Callable[[Callable[[Harness], None]], Callable[[Harness], None]]:
    def told(play: Callable[[Harness], None]) -> Callable[[Harness], None]:
        FEATURES[name] = play
        return play

    return told


def double(_ctx: task.ActivityContext, number: int) -> int:
    return 2 * number


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("end"))


@feature("activities")
def _activities(harness: Harness) -> None:
    def chain_and_fan_out(ctx: task.OrchestrationContext, number: int) -> Any:
        for _ in range(3):
            number = yield ctx.call_activity(double, input=number)
        return (yield task.when_all([ctx.call_activity(double, input=n) for n in range(number)]))

    harness.host(chain_and_fan_out, activities=(double,))

    assert harness.result(chain_and_fan_out, input=1) == [2 * number for number in range(8)]


@feature("retries")
def _retries(harness: Harness) -> None:
    def shaky(_ctx: task.ActivityContext, name: str) -> str:
        harness.calls[name] += 1
        if harness.calls[name] < 3:
            raise OSError(f"attempt {harness.calls[name]} of {name}")
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

    harness.host(persistent, child, activities=(shaky,))

    assert harness.result(persistent) == ["activity", "child"]
    assert harness.calls["activity"] == 3


@feature("sub-orchestrations")
def _children(harness: Harness) -> None:
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

    harness.host(parent, child, activities=(double,))

    assert harness.result(parent) == [2, 4, "ValueError"]


@feature("timers")
def _timers(harness: Harness) -> None:
    def nap(ctx: task.OrchestrationContext, _: Any) -> Any:
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=300))
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(nap)

    assert 0.3 <= harness.result(nap) < 20


@feature("events")
def _events(harness: Harness) -> None:
    def race(ctx: task.OrchestrationContext, seconds: float) -> Any:
        event = ctx.wait_for_external_event("go")
        winner = yield task.when_any([event, ctx.create_timer(timedelta(seconds=seconds))])
        return event.get_result() if winner is event else "timer"

    harness.host(race)
    patient = harness.started(race, input=3600)
    harness.client.raise_orchestration_event(patient, "GO", data={"by": "event"})

    assert harness.wait(patient).get_output() == {"by": "event"}
    assert harness.result(race, input=0.1) == "timer"


@feature("send_event")
def _send_event(harness: Harness) -> None:
    def send(ctx: task.OrchestrationContext, target: str) -> Any:
        ctx.send_event(target, "end", data="sent")
        yield ctx.create_timer(timedelta(milliseconds=10))

    harness.host(send, waiting)
    target = harness.started(waiting)
    harness.wait(harness.start(send, input=target))

    assert harness.wait(target).get_output() == "sent"


@feature("continue-as-new")
def _continue_as_new(harness: Harness) -> None:
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

    harness.host(generations, collect)
    collecting = harness.started(collect, input=[])
    for item in "abc":
        harness.client.raise_orchestration_event(collecting, "item", data=item)

    assert harness.result(generations, input=0) == 50
    assert harness.wait(collecting).get_output() == ["a", "b", "c"]


@feature("suspend")
def _suspend(harness: Harness) -> None:
    harness.host(waiting)
    instance_id = harness.started(waiting)

    harness.client.resume_orchestration(instance_id)
    harness.client.suspend_orchestration(instance_id)
    harness.client.suspend_orchestration(instance_id)
    harness.reaches(instance_id, OrchestrationStatus.SUSPENDED)
    harness.client.raise_orchestration_event(instance_id, "end", data="over")
    assert harness.status(instance_id) is OrchestrationStatus.SUSPENDED
    harness.client.resume_orchestration(instance_id)

    assert harness.wait(instance_id).get_output() == "over"


@feature("terminate recursive")
def _terminate(harness: Harness) -> None:
    def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.call_sub_orchestrator(waiting, instance_id="child")

    harness.host(parent, waiting)
    harness.started(parent, instance_id="parent")
    harness.reaches("child", OrchestrationStatus.RUNNING)

    harness.client.terminate_orchestration("parent", output="because", recursive=True)

    assert harness.wait("parent").get_output() == "because"
    assert harness.status("parent") is OrchestrationStatus.TERMINATED
    assert harness.wait("child").runtime_status is OrchestrationStatus.TERMINATED


@feature("purge")
def _purge(harness: Harness) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    harness.host(echo)
    instance_id = harness.start(echo, input=1)
    harness.wait(instance_id)

    assert harness.client.purge_orchestration(instance_id).deleted_instance_count == 1
    assert harness.client.get_orchestration_state(instance_id) is None


@feature("entities")
def _entities(harness: Harness) -> None:
    def tally(ctx: EntityContext, amount: int) -> int:
        total = ctx.get_state(int, 0) + amount
        ctx.set_state(total)
        return total

    def add_twice(ctx: task.OrchestrationContext, _: Any) -> Any:
        entity = EntityInstanceId("tally", "one")
        yield ctx.call_entity(entity, "add", 1)
        return (yield ctx.call_entity(entity, "add", 2))

    harness.worker.add_entity(tally)
    harness.host(add_twice)

    assert harness.result(add_twice) == 3


@feature("versioning")
def _versioning(harness: Harness) -> None:
    def versioned(ctx: task.OrchestrationContext, _: Any) -> Any:
        return ctx.version

    harness.host(versioned)

    assert harness.result(versioned, version="2.1") == "2.1"


@feature("patches")
def _patches(harness: Harness) -> None:
    def patched(ctx: task.OrchestrationContext, number: int) -> Any:
        if ctx.is_patched("double it"):
            number = yield ctx.call_activity(double, input=number)
        return number

    def old(_ctx: task.OrchestrationContext, _: Any) -> str:
        return "old"

    def new(_ctx: task.OrchestrationContext, _: Any) -> str:
        return "new"

    harness.worker.orchestrator(name="named", version_name="1")(old)
    harness.worker.orchestrator(name="named", version_name="2", is_latest=True)(new)
    harness.host(patched, activities=(double,))

    assert harness.result(patched, input=1) == 2
    assert harness.result("named") == "new"


@feature("restart")
def _restart(harness: Harness) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    harness.host(echo)
    instance_id = harness.start(echo, input="again")
    harness.wait(instance_id)

    again = harness.client.restart_orchestration(instance_id, restart_with_new_instance_id=True)

    assert again != instance_id
    assert harness.output(again) == "again"


@feature("rewind")
def _rewind(harness: Harness) -> None:
    def shaky(_ctx: task.ActivityContext, _: Any) -> str:
        harness.calls["shaky"] += 1
        if harness.calls["shaky"] == 1:
            raise OSError("off")
        return "better"

    def fragile(ctx: task.OrchestrationContext, _: Any) -> Any:
        return (yield ctx.call_activity(shaky))

    harness.host(fragile, activities=(shaky,))
    instance_id = harness.start(fragile)
    assert harness.wait(instance_id).runtime_status is OrchestrationStatus.FAILED

    harness.client.rewind_orchestration(instance_id)

    harness.reaches(instance_id, OrchestrationStatus.COMPLETED)


@feature("rerun")
def _rerun(harness: Harness) -> None:
    def twice(ctx: task.OrchestrationContext, number: int) -> Any:
        number = yield ctx.call_activity(double, input=number)
        return (yield ctx.call_activity(double, input=number))

    harness.host(twice, activities=(double,))
    instance_id = harness.start(twice, input=1)
    harness.wait(instance_id)

    again = harness.client.rerun_orchestration_from_event(instance_id, 2, input=10)

    assert harness.wait(again).get_output() == 20


@feature("history")
def _history(harness: Harness) -> None:
    def once(ctx: task.OrchestrationContext, number: int) -> Any:
        return (yield ctx.call_activity(double, input=number))

    harness.host(once, activities=(double,))
    instance_id = harness.start(once, input=1)
    harness.wait(instance_id)

    kinds = [
        type(event).__name__ for event in harness.client.get_orchestration_history(instance_id)
    ]

    for kind in ("ExecutionStartedEvent", "TaskScheduledEvent", "TaskCompletedEvent"):
        assert kind in kinds


@feature("list ids")
def _ids(harness: Harness) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    harness.host(echo)
    for instance_id in ("one", "two"):
        harness.wait(harness.start(echo, instance_id=instance_id))

    assert {"one", "two"} <= set(harness.client.list_instance_ids().items)


@feature("queries")
def _queries(harness: Harness) -> None:
    def echo(_ctx: task.OrchestrationContext, value: Any) -> Any:
        return value

    harness.host(echo)
    harness.wait(harness.start(echo, instance_id="echo-1"))
    harness.wait(harness.start(echo, instance_id="other"))

    found = harness.client.get_all_orchestration_states(
        OrchestrationQuery(instance_id_prefix="echo")
    )

    assert [state.instance_id for state in found] == ["echo-1"]
