"""What orchestrators do: activities, timers, events, children, retries, generations."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from refusals import refused
from stage import scenario, until

from durabletask.client import OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.task import RetryPolicy, TaskFailedError, when_all, when_any
from durabletask.worker import VersionFailureStrategy, VersioningOptions, VersionMatchStrategy

SOON = timedelta(milliseconds=20)
NEVER = timedelta(hours=1)


def double(_ctx, number):
    return 2 * number


@scenario()
def a_chain_hands_on_its_results(stage):
    def chain(ctx, number):
        for _ in range(10):
            number = yield ctx.call_activity(double, input=number)
        return number

    stage.host(chain, activities=[double])

    assert stage.result(chain, input=1) == 1024


@scenario()
def a_fan_out_keeps_the_order_of_its_inputs(stage):
    def fan_out(ctx, count):
        return (yield when_all([ctx.call_activity(double, input=n) for n in range(count)]))

    stage.host(fan_out, activities=[double])

    assert stage.result(fan_out, input=50) == [2 * n for n in range(50)]


@scenario()
def nothing_is_not_the_same_as_an_empty_text(stage):
    def echo(_ctx, value):
        return value

    def echoes(ctx, value):
        return [(yield ctx.call_activity(echo, input=value)), value]

    stage.host(echoes, activities=[echo])

    assert stage.result(echoes) == [None, None]
    assert stage.result(echoes, input="") == ["", ""]
    assert stage.result(echoes, input="ß\n雪😀") == ["ß\n雪😀"] * 2


@scenario()
def a_payload_of_a_megabyte_arrives_whole(stage):
    def length(_ctx, text):
        return text + "!"

    def large(ctx, text):
        return (yield ctx.call_activity(length, input=text))

    stage.host(large, activities=[length])

    assert stage.result(large, input="x" * 2**20) == "x" * 2**20 + "!"


@scenario()
def a_timer_fires_no_earlier_than_asked(stage):
    def nap(ctx, _):
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=300))
        return (ctx.current_utc_datetime - before).total_seconds()

    stage.host(nap)

    assert 0.3 <= stage.result(nap) < 10


@scenario()
def a_long_timer_is_waited_for_in_parts(stage):
    def nap(ctx, _):
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=500))
        return (ctx.current_utc_datetime - before).total_seconds()

    stage.host(nap, maximum_timer_interval=timedelta(milliseconds=200))

    assert 0.5 <= stage.result(nap) < 10


@scenario()
def a_timer_and_an_event_race(stage):
    def race(ctx, patience):
        event = ctx.wait_for_external_event("go")
        timer = ctx.create_timer(timedelta(seconds=patience))
        winner = yield when_any([event, timer])
        return "event" if winner is event else "timer"

    stage.host(race)
    patient = stage.start(race, input=3600)
    stage.client.raise_orchestration_event(patient, "go")

    assert stage.wait(patient).get_output() == "event"
    assert stage.result(race, input=0.05) == "timer"


@scenario()
def events_are_kept_in_order_until_they_are_waited_for(stage):
    def collect(ctx, _):
        yield ctx.wait_for_external_event("start")
        items = []
        for _ in range(5):
            items.append((yield ctx.wait_for_external_event("Item")))  # noqa: PERF401
        return items

    instance_id = stage.start(collect)  # with no worker there yet
    for number in range(5):
        stage.client.raise_orchestration_event(instance_id, "item", data=number)
    stage.client.raise_orchestration_event(instance_id, "START")
    stage.host(collect)

    assert stage.wait(instance_id).get_output() == [0, 1, 2, 3, 4]


@scenario()
def an_orchestration_sends_events_to_another(stage):
    def receiver(ctx, _):
        return (yield ctx.wait_for_external_event("greeting"))

    def sender(ctx, target):
        ctx.send_event(target, "greeting", data={"from": ctx.instance_id})
        ctx.send_event("no-such-instance", "greeting")
        yield ctx.create_timer(SOON)

    stage.host(receiver, sender)
    target = stage.start(receiver)

    assert stage.run(sender, input=target, instance_id="sender-1").failure_details is None
    assert stage.wait(target).get_output() == {"from": "sender-1"}


@scenario()
def continuing_as_new_fifty_times_starts_over(stage):
    def generations(ctx, number):
        yield ctx.call_activity(double, input=number)
        if number > 50:
            return number
        ctx.continue_as_new(number + 1)

    stage.host(generations, activities=[double])

    assert stage.result(generations, input=1, instance_id="phoenix") == 51
    assert len(stage.client.get_orchestration_history("phoenix")) < 20


@scenario()
def events_survive_a_new_generation(stage):
    def collect(ctx, seen):
        seen = [*seen, (yield ctx.wait_for_external_event("item"))]
        if len(seen) == 10:
            return seen
        ctx.continue_as_new(seen, save_events=True)

    instance_id = stage.start(collect, input=[])
    for number in range(10):
        stage.client.raise_orchestration_event(instance_id, "item", data=number)
    stage.host(collect)

    assert stage.wait(instance_id).get_output() == list(range(10))


@scenario("its timers of an old generation fire into the new one")
def a_new_generation_hears_nothing_of_the_old_ones_timers(stage):
    def generations(ctx, number):
        if number == 1:
            ctx.create_timer(timedelta(milliseconds=100))
            ctx.continue_as_new(2)
            return None
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=600))
        return (ctx.current_utc_datetime - before).total_seconds()

    stage.host(generations)

    assert stage.result(generations, input=1) >= 0.6


@scenario()
def a_custom_status_is_seen_while_it_runs(stage):
    def report(ctx, _):
        ctx.set_custom_status({"step": 1})
        yield ctx.wait_for_external_event("next")
        ctx.set_custom_status({"step": 2})
        yield ctx.wait_for_external_event("next")

    stage.host(report)
    instance_id = stage.start(report)

    for step in (1, 2):
        until(lambda step=step: stage.state(instance_id).get_custom_status() == {"step": step})
        stage.client.raise_orchestration_event(instance_id, "next")
    assert stage.wait(instance_id).get_custom_status() == {"step": 2}


class _Coded:
    def get_exception_properties(self, exception):
        return {"code": 42, "kind": type(exception).__name__}


@scenario()
def a_failure_tells_what_went_wrong(stage):
    def divide(_ctx, number):
        try:
            return 1 / number
        except ZeroDivisionError as error:
            raise ValueError("not by zero") from error

    def orchestrator(ctx, number):
        return (yield ctx.call_activity(divide, input=number))

    stage.host(orchestrator, activities=[divide], exception_properties_provider=_Coded())
    state = stage.run(orchestrator, input=0)

    assert state.runtime_status is OrchestrationStatus.FAILED
    details = state.failure_details
    assert details.error_type == "durabletask.task.TaskFailedError"
    assert "not by zero" in details.message
    cause = details.inner_failure
    assert (cause.error_type, cause.message) == ("builtins.ValueError", "not by zero")
    assert "divide" in cause.stack_trace
    assert cause.properties["code"] == 42
    assert cause.inner_failure.error_type == "builtins.ZeroDivisionError"


@scenario("a failure with an empty message counts as success there")
def a_failure_without_a_message_is_a_failure(stage):
    def fail(_ctx, _):
        raise ValueError

    def orchestrator(ctx, _):
        try:
            yield ctx.call_activity(fail)
        except TaskFailedError as error:
            return error.details.error_type
        return "no failure"

    stage.host(orchestrator, activities=[fail])

    assert stage.result(orchestrator) == "builtins.ValueError"


@scenario()
def what_is_not_registered_fails_by_name(stage):
    def orchestrator(ctx, _):
        yield ctx.call_activity("nowhere")

    stage.host(orchestrator)

    assert "nowhere" in stage.run(orchestrator).failure_details.message
    assert "nothing" in stage.run("nothing").failure_details.message


def flaky(failures):
    """An activity that fails so many times for each input, and a count of its calls."""
    calls = Counter()

    def attempt(_ctx, key):
        calls[key] += 1
        if calls[key] <= failures:
            raise ConnectionError(f"attempt {calls[key]}")
        return calls[key]

    return attempt, calls


def policy(attempts):
    return RetryPolicy(
        first_retry_interval=SOON, max_number_of_attempts=attempts, backoff_coefficient=2
    )


@scenario()
def an_activity_is_tried_again_until_it_succeeds(stage):
    attempt, calls = flaky(3)

    def orchestrator(ctx, keys):
        tasks = [ctx.call_activity(attempt, input=key, retry_policy=policy(5)) for key in keys]
        return (yield when_all(tasks))

    stage.host(orchestrator, activities=[attempt])

    assert stage.result(orchestrator, input=["a", "b"]) == [4, 4]
    assert calls == {"a": 4, "b": 4}


@scenario()
def an_activity_is_tried_no_more_often_than_allowed(stage):
    attempt, calls = flaky(99)

    def orchestrator(ctx, _):
        yield ctx.call_activity(attempt, input="a", retry_policy=policy(3))

    stage.host(orchestrator, activities=[attempt])
    state = stage.run(orchestrator)

    assert state.runtime_status is OrchestrationStatus.FAILED
    assert "attempt 3" in state.failure_details.message
    assert calls == {"a": 3}


@scenario()
def a_child_is_tried_again_until_it_succeeds(stage):
    attempt, calls = flaky(2)

    def child(ctx, key):
        return (yield ctx.call_activity(attempt, input=key))

    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child, input="a", retry_policy=policy(5)))

    stage.host(parent, child, activities=[attempt])

    assert stage.result(parent) == 3
    assert calls == {"a": 3}


@scenario()
def children_return_their_results(stage):
    def child(ctx, number):
        yield ctx.create_timer(SOON)
        return [ctx.instance_id, number]

    def parent(ctx, _):
        named = ctx.call_sub_orchestrator(child, input=1, instance_id=f"{ctx.instance_id}-child")
        numbered = ctx.call_sub_orchestrator(child, input=2)
        return (yield when_all([named, numbered]))

    stage.host(parent, child)

    assert stage.result(parent, instance_id="p") == [["p-child", 1], ["p:0002", 2]]


@scenario("it never tells a child who its parent is")
def a_child_knows_its_parent(stage):
    def child(ctx, _):
        return ctx.parent_instance_id

    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child))

    stage.host(parent, child)

    assert stage.result(parent, instance_id="p") == "p"


@scenario("the type of a child's failure is lost there")
def a_childs_failure_reaches_its_parent_with_its_type(stage):
    def child(_ctx, _):
        raise KeyError("lost")

    def parent(ctx, _):
        try:
            yield ctx.call_sub_orchestrator(child)
        except TaskFailedError as error:
            return error.details.error_type

    stage.host(parent, child)

    assert stage.result(parent) == "builtins.KeyError"


@scenario()
def a_child_with_the_id_of_a_living_instance_fails(stage):
    def wait(ctx, _):
        yield ctx.wait_for_external_event("end")

    def parent(ctx, _):
        try:
            yield ctx.call_sub_orchestrator(wait, instance_id="taken")
        except TaskFailedError as error:
            return str(error)

    stage.host(parent, wait)
    stage.client.wait_for_orchestration_start(stage.start(wait, instance_id="taken"))

    assert "taken" in stage.result(parent)
    assert stage.status("taken") is OrchestrationStatus.RUNNING


@scenario()
def version_and_default_version_reach_the_orchestrator(stage):
    def child(ctx, _):
        return ctx.version

    def parent(ctx, _):
        default = yield ctx.call_sub_orchestrator(child)
        named = yield ctx.call_sub_orchestrator(child, version="3.0")
        return [ctx.version, default, named]

    worker = stage.worker(parent, child)
    # Without a strategy it would hang, on any backend.
    worker.use_versioning(
        VersioningOptions(
            default_version="2.0",
            match_strategy=VersionMatchStrategy.NONE,
            failure_strategy=VersionFailureStrategy.FAIL,
        )
    )
    worker.start()

    assert stage.result(parent, version="1.0") == ["1.0", "2.0", "3.0"]


@scenario("it starts everything at once")
def a_scheduled_start_is_waited_for(stage):
    def instant(_ctx, _): ...

    stage.host(instant)
    start_at = datetime.now(UTC) + timedelta(seconds=1)
    instance_id = stage.start(instant, start_at=start_at)

    assert stage.status(instance_id) is OrchestrationStatus.PENDING
    stage.wait(instance_id)
    assert datetime.now(UTC) >= start_at


@scenario()
def an_id_is_used_again_only_where_the_policy_says_so(stage):
    def echo(_ctx, value):
        return value

    stage.host(echo)
    again = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_COMPLETED])

    assert stage.result(echo, input=1, instance_id="one") == 1
    assert refused(stage.start, echo, input=2, instance_id="one") == "ALREADY_EXISTS"
    assert stage.result(echo, input=3, instance_id="one", reuse_id_policy=again) == 3
