"""What orchestrators do: activities, timers, events, children, retries, generations."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from harness import scenario, until
from refusals import refused

from durabletask.client import OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.task import RetryPolicy, TaskFailedError, when_all, when_any
from durabletask.worker import VersionFailureStrategy, VersioningOptions, VersionMatchStrategy

SOON = timedelta(milliseconds=20)
NEVER = timedelta(hours=1)


def double(_ctx, number):
    return 2 * number


@scenario()
def a_chain_hands_on_its_results(harness):
    def chain(ctx, number):
        for _ in range(10):
            number = yield ctx.call_activity(double, input=number)
        return number

    harness.host(chain, activities=[double])

    assert harness.result(chain, input=1) == 1024


@scenario()
def a_fan_out_keeps_the_order_of_its_inputs(harness):
    def fan_out(ctx, count):
        return (yield when_all([ctx.call_activity(double, input=n) for n in range(count)]))

    harness.host(fan_out, activities=[double])

    assert harness.result(fan_out, input=50) == [2 * n for n in range(50)]


@scenario()
def nothing_is_not_the_same_as_an_empty_text(harness):
    def echo(_ctx, value):
        return value

    def echoes(ctx, value):
        return [(yield ctx.call_activity(echo, input=value)), value]

    harness.host(echoes, activities=[echo])

    assert harness.result(echoes) == [None, None]
    assert harness.result(echoes, input="") == ["", ""]
    assert harness.result(echoes, input="ß\n雪😀") == ["ß\n雪😀"] * 2


@scenario()
def a_payload_of_a_megabyte_arrives_whole(harness):
    def length(_ctx, text):
        return text + "!"

    def large(ctx, text):
        return (yield ctx.call_activity(length, input=text))

    harness.host(large, activities=[length])

    assert harness.result(large, input="x" * 2**20) == "x" * 2**20 + "!"


@scenario()
def a_timer_fires_no_earlier_than_asked(harness):
    def nap(ctx, _):
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=300))
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(nap)

    assert 0.3 <= harness.result(nap) < 10


@scenario()
def a_long_timer_is_waited_for_in_parts(harness):
    def nap(ctx, _):
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=500))
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(nap, maximum_timer_interval=timedelta(milliseconds=200))

    assert 0.5 <= harness.result(nap) < 10


@scenario()
def a_timer_and_an_event_race(harness):
    def race(ctx, patience):
        event = ctx.wait_for_external_event("go")
        timer = ctx.create_timer(timedelta(seconds=patience))
        winner = yield when_any([event, timer])
        return "event" if winner is event else "timer"

    harness.host(race)
    patient = harness.start(race, input=3600)
    harness.client.raise_orchestration_event(patient, "go")

    assert harness.wait(patient).get_output() == "event"
    assert harness.result(race, input=0.05) == "timer"


@scenario()
def events_are_kept_in_order_until_they_are_waited_for(harness):
    def collect(ctx, _):
        yield ctx.wait_for_external_event("start")
        items = []
        for _ in range(5):
            items.append((yield ctx.wait_for_external_event("Item")))  # noqa: PERF401
        return items

    instance_id = harness.start(collect)  # with no worker there yet
    for number in range(5):
        harness.client.raise_orchestration_event(instance_id, "item", data=number)
    harness.client.raise_orchestration_event(instance_id, "START")
    harness.host(collect)

    assert harness.wait(instance_id).get_output() == [0, 1, 2, 3, 4]


@scenario()
def an_orchestration_sends_events_to_another(harness):
    def receiver(ctx, _):
        return (yield ctx.wait_for_external_event("greeting"))

    def sender(ctx, target):
        ctx.send_event(target, "greeting", data={"from": ctx.instance_id})
        ctx.send_event("no-such-instance", "greeting")
        yield ctx.create_timer(SOON)

    harness.host(receiver, sender)
    target = harness.start(receiver)

    assert harness.run(sender, input=target, instance_id="sender-1").failure_details is None
    assert harness.wait(target).get_output() == {"from": "sender-1"}


@scenario()
def continuing_as_new_fifty_times_starts_over(harness):
    def generations(ctx, number):
        yield ctx.call_activity(double, input=number)
        if number > 50:
            return number
        ctx.continue_as_new(number + 1)

    harness.host(generations, activities=[double])

    assert harness.result(generations, input=1, instance_id="phoenix") == 51
    assert len(harness.client.get_orchestration_history("phoenix")) < 20


@scenario()
def events_survive_a_new_generation(harness):
    def collect(ctx, seen):
        seen = [*seen, (yield ctx.wait_for_external_event("item"))]
        if len(seen) == 10:
            return seen
        ctx.continue_as_new(seen, save_events=True)

    instance_id = harness.start(collect, input=[])
    for number in range(10):
        harness.client.raise_orchestration_event(instance_id, "item", data=number)
    harness.host(collect)

    assert harness.wait(instance_id).get_output() == list(range(10))


@scenario("its timers of an old generation fire into the new one")
def a_new_generation_hears_nothing_of_the_old_ones_timers(harness):
    def generations(ctx, number):
        if number == 1:
            ctx.create_timer(timedelta(milliseconds=100))
            ctx.continue_as_new(2)
            return None
        before = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(milliseconds=600))
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(generations)

    assert harness.result(generations, input=1) >= 0.6


@scenario()
def a_custom_status_is_seen_while_it_runs(harness):
    def report(ctx, _):
        ctx.set_custom_status({"step": 1})
        yield ctx.wait_for_external_event("next")
        ctx.set_custom_status({"step": 2})
        yield ctx.wait_for_external_event("next")

    harness.host(report)
    instance_id = harness.start(report)

    for step in (1, 2):
        until(lambda step=step: harness.state(instance_id).get_custom_status() == {"step": step})
        harness.client.raise_orchestration_event(instance_id, "next")
    assert harness.wait(instance_id).get_custom_status() == {"step": 2}


class _Coded:
    def get_exception_properties(self, exception):
        return {"code": 42, "kind": type(exception).__name__}


@scenario()
def a_failure_tells_what_went_wrong(harness):
    def divide(_ctx, number):
        try:
            return 1 / number
        except ZeroDivisionError as error:
            raise ValueError("not by zero") from error

    def orchestrator(ctx, number):
        return (yield ctx.call_activity(divide, input=number))

    harness.host(orchestrator, activities=[divide], exception_properties_provider=_Coded())
    state = harness.run(orchestrator, input=0)

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
def a_failure_without_a_message_is_a_failure(harness):
    def fail(_ctx, _):
        raise ValueError

    def orchestrator(ctx, _):
        try:
            yield ctx.call_activity(fail)
        except TaskFailedError as error:
            return error.details.error_type
        return "no failure"

    harness.host(orchestrator, activities=[fail])

    assert harness.result(orchestrator) == "builtins.ValueError"


@scenario()
def what_is_not_registered_fails_by_name(harness):
    def orchestrator(ctx, _):
        yield ctx.call_activity("nowhere")

    harness.host(orchestrator)

    assert "nowhere" in harness.run(orchestrator).failure_details.message
    assert "nothing" in harness.run("nothing").failure_details.message


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
def an_activity_is_tried_again_until_it_succeeds(harness):
    attempt, calls = flaky(3)

    def orchestrator(ctx, keys):
        tasks = [ctx.call_activity(attempt, input=key, retry_policy=policy(5)) for key in keys]
        return (yield when_all(tasks))

    harness.host(orchestrator, activities=[attempt])

    assert harness.result(orchestrator, input=["a", "b"]) == [4, 4]
    assert calls == {"a": 4, "b": 4}


@scenario()
def an_activity_is_tried_no_more_often_than_allowed(harness):
    attempt, calls = flaky(99)

    def orchestrator(ctx, _):
        yield ctx.call_activity(attempt, input="a", retry_policy=policy(3))

    harness.host(orchestrator, activities=[attempt])
    state = harness.run(orchestrator)

    assert state.runtime_status is OrchestrationStatus.FAILED
    assert "attempt 3" in state.failure_details.message
    assert calls == {"a": 3}


@scenario()
def a_child_is_tried_again_until_it_succeeds(harness):
    attempt, calls = flaky(2)

    def child(ctx, key):
        return (yield ctx.call_activity(attempt, input=key))

    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child, input="a", retry_policy=policy(5)))

    harness.host(parent, child, activities=[attempt])

    assert harness.result(parent) == 3
    assert calls == {"a": 3}


@scenario()
def children_return_their_results(harness):
    def child(ctx, number):
        yield ctx.create_timer(SOON)
        return [ctx.instance_id, number]

    def parent(ctx, _):
        named = ctx.call_sub_orchestrator(child, input=1, instance_id=f"{ctx.instance_id}-child")
        numbered = ctx.call_sub_orchestrator(child, input=2)
        return (yield when_all([named, numbered]))

    harness.host(parent, child)

    assert harness.result(parent, instance_id="p") == [["p-child", 1], ["p:0002", 2]]


@scenario("it never tells a child who its parent is")
def a_child_knows_its_parent(harness):
    def child(ctx, _):
        return ctx.parent_instance_id

    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child))

    harness.host(parent, child)

    assert harness.result(parent, instance_id="p") == "p"


@scenario("the type of a child's failure is lost there")
def a_childs_failure_reaches_its_parent_with_its_type(harness):
    def child(_ctx, _):
        raise KeyError("lost")

    def parent(ctx, _):
        try:
            yield ctx.call_sub_orchestrator(child)
        except TaskFailedError as error:
            return error.details.error_type

    harness.host(parent, child)

    assert harness.result(parent) == "builtins.KeyError"


@scenario()
def a_child_with_the_id_of_a_living_instance_fails(harness):
    def wait(ctx, _):
        yield ctx.wait_for_external_event("end")

    def parent(ctx, _):
        try:
            yield ctx.call_sub_orchestrator(wait, instance_id="taken")
        except TaskFailedError as error:
            return str(error)

    harness.host(parent, wait)
    harness.client.wait_for_orchestration_start(harness.start(wait, instance_id="taken"))

    assert "taken" in harness.result(parent)
    assert harness.status("taken") is OrchestrationStatus.RUNNING


@scenario()
def version_and_default_version_reach_the_orchestrator(harness):
    def child(ctx, _):
        return ctx.version

    def parent(ctx, _):
        default = yield ctx.call_sub_orchestrator(child)
        named = yield ctx.call_sub_orchestrator(child, version="3.0")
        return [ctx.version, default, named]

    worker = harness.worker(parent, child)
    # Without a strategy it would hang, on any backend.
    worker.use_versioning(
        VersioningOptions(
            default_version="2.0",
            match_strategy=VersionMatchStrategy.NONE,
            failure_strategy=VersionFailureStrategy.FAIL,
        )
    )
    worker.start()

    assert harness.result(parent, version="1.0") == ["1.0", "2.0", "3.0"]


@scenario("it starts everything at once")
def a_scheduled_start_is_waited_for(harness):
    def instant(_ctx, _): ...

    harness.host(instant)
    start_at = datetime.now(UTC) + timedelta(seconds=1)
    instance_id = harness.start(instant, start_at=start_at)

    assert harness.status(instance_id) is OrchestrationStatus.PENDING
    harness.wait(instance_id)
    assert datetime.now(UTC) >= start_at


@scenario()
def an_id_is_used_again_only_where_the_policy_says_so(harness):
    def echo(_ctx, value):
        return value

    harness.host(echo)
    again = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_COMPLETED])

    assert harness.result(echo, input=1, instance_id="one") == 1
    assert refused(harness.start, echo, input=2, instance_id="one") == "ALREADY_EXISTS"
    assert harness.result(echo, input=3, instance_id="one", reuse_id_policy=again) == 3
