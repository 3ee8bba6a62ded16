"""What workers see, over real gRPC and in raw messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durabletask.protocol import messages, methods, oneofs
from durabletask.sidecar.clock import ManualClock
from tests.builders.sidecar import Items, complete, connected, event, schedule, serving, timer

Status = messages.OrchestrationStatus
TOMORROW = datetime(2999, 1, 1, tzinfo=UTC)


async def test_a_turn_begins_with_the_time_and_the_start() -> None:
    async with serving() as peer:
        await peer.start("order", "a", input='"in"')

        item = await peer.work().next()

        request = item.orchestrator_request
        started, execution = request.new_events
        assert (request.instance_id, request.past_events) == ("a", [])
        assert oneofs.which(started) == "orchestrator_started"
        assert execution.execution_started.name == "order"
        assert execution.execution_started.input == '"in"'
        assert item.completion_token


async def test_a_chain_of_twenty_activities_runs_to_its_end() -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()

        for step in range(1, 21):
            await peer.decide(await items.next(), schedule(step, "add", str(step)))
            activity = await items.next()
            assert activity.activity_request.input == str(step)
            await peer.finish(activity, str(step))
        last = await items.next()
        await peer.decide(last, complete(21, '"done"'))

        state = await peer.completed()
        past = [oneofs.which(event) for event in last.orchestrator_request.past_events]
        assert (state.orchestration_status, state.output) == (Status.COMPLETED, '"done"')
        assert past.count("task_scheduled") == 20
        assert past.count("task_completed") == 19


async def test_a_turn_of_a_broken_connection_goes_to_another_worker() -> None:
    async with serving(clock=ManualClock()) as peer:
        await peer.start()
        async with connected(peer.server.address) as doomed:
            first = await doomed.work().next()

        again = await peer.work().next()

        assert again.orchestrator_request == first.orchestrator_request
        assert again.completion_token != first.completion_token


@pytest.mark.parametrize(
    "token",
    [
        "unknown",
        "[1]",
        '["x", "default", "a", "e:1"]',
        "{",
        "[" * 100_000,
        '["x", "default", "\\ud800", "e:1"]',
        json.dumps(["x", "default", "a", "e:" + "9" * 5000]),
        json.dumps(["x", "default", "a" * 100_000, "e:1"]),
    ],
    ids=range(8),
)
async def test_an_unknown_token_is_answered_with_ok(token: str) -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()
        turn = await items.next()

        for method in (methods.COMPLETE_ORCHESTRATOR_TASK, methods.COMPLETE_ACTIVITY_TASK):
            fields = {"instance_id": "a", "completion_token": token}
            await peer.call(method, method.request_class()(**fields))
        for method in (methods.ABANDON_ORCHESTRATION_TASK, methods.ABANDON_ACTIVITY_TASK):
            abandon: Any = method.request_class()
            await peer.call(method, abandon(completion_token=token))
        await peer.decide(turn, complete(1))

        assert (await peer.completed()).orchestration_status == Status.COMPLETED


async def test_a_worker_gets_no_more_at_once_than_it_announced() -> None:
    async with serving() as peer:
        for instance_id in ("a", "b", "c"):
            await peer.start(instance_id=instance_id)
        first = peer.work(max_concurrent_orchestration_work_items=1)
        held = await first.next()
        second = peer.work(max_concurrent_orchestration_work_items=2)

        others = [await second.next(), await second.next()]
        await peer.start(instance_id="d")
        await peer.decide(held)
        freed = await first.next()

        assert _instances([held, *others]) == {"a", "b", "c"}
        assert _instances([freed]) == {"d"}


async def test_a_worker_gets_only_what_it_filters_for() -> None:
    async with serving() as peer:
        await peer.start("order", "old", version="1")
        await peer.start("order", "new", version="2")
        await peer.start("refund", "any", version="9")
        wanted = messages.WorkItemFilters(
            orchestrations=[
                messages.OrchestrationFilter(name="order", versions=["2"]),
                messages.OrchestrationFilter(name="refund"),
            ]
        )
        picky = peer.work(work_item_filters=wanted)

        items = [await picky.next(), await picky.next()]
        # The filters name no activity, so activities go elsewhere.
        await peer.decide(items[0], schedule(1))
        other = peer.work()
        rest = [await other.next(), await other.next()]

        assert _instances(items) == {"new", "any"}
        assert _instances(rest) == {"old", "new"}
        assert {oneofs.which(item) for item in rest} == {"orchestrator_request", "activity_request"}


@pytest.mark.parametrize("versions", [[[], ["1"]], [["1"], []]])
async def test_a_filter_without_versions_lets_all_through_wherever_it_stands(versions) -> None:
    async with serving() as peer:
        await peer.start(version="2")
        entries = [messages.OrchestrationFilter(name="order", versions=each) for each in versions]

        item = await peer.work(
            work_item_filters=messages.WorkItemFilters(orchestrations=entries)
        ).next()

        assert item.orchestrator_request.instance_id == "a"


async def test_filters_of_one_name_add_up() -> None:
    async with serving() as peer:
        for version in ("1", "2", "3"):
            await peer.start(instance_id=version, version=version)
        entries = [
            messages.OrchestrationFilter(name="order", versions=[each]) for each in ("1", "3")
        ]
        picky = peer.work(work_item_filters=messages.WorkItemFilters(orchestrations=entries))

        items = [await picky.next(), await picky.next()]

        assert _instances(items) == {"1", "3"}


async def test_a_worker_that_allows_fewer_than_none_gets_work_all_the_same() -> None:
    async with serving() as peer:
        await peer.start()

        item = await peer.work(max_concurrent_orchestration_work_items=-1).next()

        assert item.orchestrator_request.instance_id == "a"


async def test_a_largest_message_that_is_no_sensible_number_is_not_listened_to() -> None:
    async with serving() as peer:
        await peer.start()

        item = await peer.work(max_message="9" * 5000).next()

        assert item.orchestrator_request.instance_id == "a"


async def test_events_that_do_not_fit_beside_the_history_wait_for_the_next_turn() -> None:
    async with serving() as peer:
        await peer.start()
        for name in ("first", "second"):
            await peer.raise_event(name, "x" * 3_000_000)
        items = peer.work(max_message=5_000_000)

        turn = await items.next()
        names = [event.event_raised.name for event in turn.orchestrator_request.new_events[2:]]

        assert names == ["first"]


async def test_empty_filters_let_nothing_through() -> None:
    async with serving() as peer:
        nothing = peer.work(work_item_filters=messages.WorkItemFilters())
        await nothing.opened()
        await peer.start()

        item = await peer.work().next()

        assert item.orchestrator_request.instance_id == "a"


async def test_an_abandoned_activity_comes_back_to_another_worker_first() -> None:
    async with serving() as peer:
        await peer.start()
        first = peer.work()
        await peer.decide(await first.next(), schedule(1))
        activity = await first.next()
        second = peer.work()
        await second.opened()

        await peer.call(
            methods.ABANDON_ACTIVITY_TASK,
            messages.AbandonActivityTaskRequest(completion_token=activity.completion_token),
        )

        assert (await second.next()).activity_request == activity.activity_request


async def test_work_that_keeps_being_abandoned_comes_back_after_a_pause() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        await peer.start()
        items = peer.work()

        for _ in range(2):
            token = (await items.next()).completion_token
            request = messages.AbandonOrchestrationTaskRequest(completion_token=token)
            await peer.call(methods.ABANDON_ORCHESTRATION_TASK, request)
        await peer.start(instance_id="b")
        meanwhile = await items.next()
        clock.advance(timedelta(seconds=1))
        again = await items.next()

        assert _instances([meanwhile]) == {"b"}
        assert _instances([again]) == {"a"}


async def test_a_part_of_a_response_that_comes_twice_counts_once() -> None:
    async with serving() as peer:
        await peer.start()
        await peer.start(instance_id="target", scheduled_start_timestamp=TOMORROW)
        items = peer.work()
        turn = await items.next()

        for _ in range(2):
            await peer.decide(turn, schedule(1, "one"), event("go"), is_partial=True, chunk_index=0)
        await peer.decide(turn, timer(2, TOMORROW), chunk_index=1)
        await peer.finish(await items.next())

        request = await _turn(items)
        past = [oneofs.which(event) for event in request.past_events]
        assert past == [
            "orchestrator_started",
            "execution_started",
            "task_scheduled",
            "event_sent",
            "timer_created",
        ]


async def test_parts_of_a_response_that_have_no_numbers_are_put_together_as_they_came() -> None:
    async with serving() as peer:
        await peer.start()
        items = peer.work()
        turn = await items.next()

        await peer.decide(turn, schedule(1, "one"), is_partial=True)
        await peer.decide(turn, schedule(2, "two"), is_partial=True)
        await peer.decide(turn, schedule(3, "three"))

        activities = [await items.next() for _ in range(3)]
        assert [item.activity_request.name for item in activities] == ["one", "two", "three"]


async def test_a_worker_that_keeps_asking_for_the_history_it_was_sent_is_given_a_rest() -> None:
    """Sent again at once each time, it would keep the sidecar busy with nothing else."""
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), requires_history=True)
        await peer.decide(await items.next(), requires_history=True)
        await peer.start(instance_id="b")

        other = await items.next()
        clock.advance(timedelta(seconds=1))
        again = await items.next()

        assert other.orchestrator_request.instance_id == "b"
        assert again.orchestrator_request.instance_id == "a"


async def test_a_timer_fires_when_its_time_has_come() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        await peer.start()
        items = peer.work()
        fire_at = clock.now() + timedelta(days=2, microseconds=7)
        await peer.decide(await items.next(), timer(1, fire_at))

        clock.advance(timedelta(days=2))
        await peer.start(instance_id="b")
        too_early = await items.next()
        clock.advance(timedelta(microseconds=7))
        request = await _turn(items)

        assert _instances([too_early]) == {"b"}
        assert request.new_events[0].timestamp == fire_at
        assert request.new_events[1].timer_fired == messages.TimerFiredEvent(
            fire_at=fire_at, timer_id=1
        )


async def test_timers_fire_in_the_order_of_their_times() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        await peer.start()
        items = peer.work()
        seconds = [3, 1, 2]
        timers = [timer(n, clock.now() + timedelta(seconds=n)) for n in seconds]
        await peer.decide(await items.next(), *timers)

        clock.advance(timedelta(hours=1))

        request = await _turn(items)
        assert [event.timer_fired.timer_id for event in request.new_events[1:]] == [1, 2, 3]


async def test_an_idle_stream_is_pinged() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        items = peer.work()
        await items.opened()

        for _ in range(3):
            clock.advance(timedelta(seconds=30))
            assert oneofs.which(await items.next_of_any_kind()) == "health_ping"


async def test_an_instance_too_large_for_its_worker_fails_and_says_why() -> None:
    async with serving() as peer:
        await peer.start(instance_id="large", input="x" * (5 * 1024 * 1024))
        await peer.start(instance_id="small")

        item = await peer.work().next()

        state = await peer.completed("large")
        assert _instances([item]) == {"small"}
        assert state.orchestration_status == Status.FAILED
        assert state.failure_details.error_type == "WorkItemTooLarge"
        assert str(4 * 1024 * 1024) in state.failure_details.error_message


async def test_an_activity_too_large_for_its_worker_fails_and_says_why() -> None:
    async with serving() as peer:
        await peer.start()
        only_turns = messages.WorkItemFilters(
            orchestrations=[messages.OrchestrationFilter(name="order")]
        )
        only_activities = messages.WorkItemFilters(
            activities=[messages.ActivityFilter(name="greet")]
        )
        turns = peer.work(max_message=64 * 1024 * 1024, work_item_filters=only_turns)
        peer.work(work_item_filters=only_activities)

        await peer.decide(await turns.next(), schedule(1, "greet", "x" * (4 * 1024 * 1024)))

        failure = (await _turn(turns)).new_events[-1].task_failed.failure_details
        assert failure.error_type == "WorkItemTooLarge"
        assert str(4 * 1024 * 1024) in failure.error_message


async def test_a_worker_that_accepts_more_is_sent_more() -> None:
    async with serving() as peer:
        await peer.start(input="x" * (5 * 1024 * 1024))

        item = await peer.work(max_message=64 * 1024 * 1024).next()

        assert item.orchestrator_request.instance_id == "a"


async def test_an_instance_comes_back_to_the_worker_that_knows_it() -> None:
    async with serving() as peer:
        workers = [peer.work(), peer.work()]
        for items in workers:
            await items.opened()
        for instance_id in ("a", "b"):
            await peer.start(instance_id=instance_id)
        last_workers: dict[str, Items] = {}
        for items in workers:
            turn = await items.next()
            last_workers[turn.orchestrator_request.instance_id] = items
            await peer.decide(turn)

        for instance_id in ("b", "a", "a", "b"):
            await peer.raise_event("go", to=instance_id)
            turn = await last_workers[instance_id].next()
            assert turn.orchestrator_request.instance_id == instance_id
            await peer.decide(turn)


async def _turn(items: Items) -> Any:
    return (await items.next()).orchestrator_request


def _instances(items: list) -> set[str]:
    return {
        item.orchestrator_request.instance_id
        if item.orchestrator_request
        else item.activity_request.orchestration_instance.instance_id
        for item in items
    }
