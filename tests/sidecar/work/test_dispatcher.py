"""The dispatcher against a source that makes work items of nothing: no gRPC, no store."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.notifications import Kind, Work
from durabletask.sidecar.commit.pending_reply import PendingReply
from durabletask.sidecar.errors import ShuttingDownError
from durabletask.sidecar.work.dispatcher import Dispatcher
from durabletask.sidecar.work.streams import Filter, Subscription, WorkStream

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.work.leases import Lease


@dataclass
class Source:
    """Makes a work item of a lease's token; knows of work that is gone, and of large work."""

    gone: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    refused: list[tuple[str, int]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def load(self, lease: Lease, now: datetime) -> bytes | None:
        self.loaded.append(lease.token)
        if lease.work.instance_id in self.gone:
            return None
        return lease.token.encode().ljust(self.sizes.get(lease.work.instance_id, 0))

    def refuse(self, lease: Lease, size: int) -> PendingReply:
        self.refused.append((lease.work.instance_id, size))
        return under_way()


def under_way() -> PendingReply:
    """The outcome of something that is being stored."""
    return PendingReply()


@dataclass
class DispatcherFixture:
    """A dispatcher and what surrounds it."""

    clock: ManualClock = field(default_factory=ManualClock)
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.dispatcher = Dispatcher(
            self.source.load,
            self.source.refuse,
            self.clock,
            lambda work: f"{work.instance_id}#{next(numbers)}",
        )

    def worker(self, *, turns: int = 0, activities: int = 0, **subscription: object) -> WorkStream:
        slots = {Kind.TURN: turns, Kind.ACTIVITY: activities}
        return self.dispatcher.open(Subscription("default", slots, **subscription))  # type: ignore[arg-type]

    def offer(self, *works: Work) -> None:
        for work in works:
            self.dispatcher.offer(work)
        self.dispatcher.dispatch()

    def done(self, token: str) -> None:
        lease = self.dispatcher.leases.find(token)
        assert lease is not None
        self.dispatcher.finish(lease)
        self.dispatcher.dispatch()

    def abandon(self, token: str) -> None:
        lease = self.dispatcher.leases.find(token)
        assert lease is not None
        self.dispatcher.abandon(lease)


@pytest.fixture
def fixture() -> DispatcherFixture:
    return DispatcherFixture()


def turn(instance_id: str, name: str = "order", version: str | None = None) -> Work:
    return Work(Kind.TURN, "default", instance_id, name, version)


def activity(instance_id: str, key: int, name: str = "greet") -> Work:
    return Work(Kind.ACTIVITY, "default", instance_id, name, task_key=str(key), task_id=key)


def only_turns(name: str) -> dict[Kind, Filter]:
    return {Kind.TURN: Filter({name: frozenset()}), Kind.ACTIVITY: Filter({})}


async def received(stream: WorkStream) -> list[str]:
    """The tokens that were sent by now."""
    try:
        async with asyncio.timeout(0):
            return [item.decode().rstrip() for item in await stream.next_batch()]
    except TimeoutError:
        return []


async def test_work_that_was_ready_before_the_worker_came_is_handed_to_it(
    fixture: DispatcherFixture,
) -> None:
    fixture.offer(turn("a"), turn("b"))

    worker = fixture.worker()

    assert await received(worker) == ["a#1", "b#2"]


async def test_of_one_instance_at_most_one_turn_is_out(fixture: DispatcherFixture) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))
    fixture.offer(turn("a"))

    while_out = await received(worker)
    fixture.done("a#1")

    assert while_out == ["a#1"]
    assert await received(worker) == ["a#2"]


async def test_nothing_is_sent_again_when_nothing_came_in_meanwhile(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))
    await received(worker)

    fixture.done("a#1")

    assert await received(worker) == []


async def test_a_worker_never_has_more_in_flight_than_it_said(fixture: DispatcherFixture) -> None:
    worker = fixture.worker(turns=2, activities=1)
    fixture.offer(*(turn(name) for name in "abc"), activity("a", 1), activity("a", 2))

    first = await received(worker)
    fixture.done("b#2")

    assert first == ["a#1", "b#2", "a#3"]
    assert await received(worker) == ["c#4"]


async def test_a_full_worker_leaves_the_rest_to_others(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(turns=1), fixture.worker(turns=5)

    fixture.offer(*(turn(name) for name in "abcd"))

    assert await received(first) == ["a#1"]
    assert await received(second) == ["b#2", "c#3", "d#4"]


async def test_work_goes_round_robin(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(), fixture.worker()

    fixture.offer(*(turn(name) for name in "abcd"))

    assert await received(first) == ["a#1", "c#3"]
    assert await received(second) == ["b#2", "d#4"]


async def test_an_instance_comes_back_to_the_worker_that_had_it(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(), fixture.worker()
    fixture.offer(turn("a"), turn("b"))
    await received(first)
    await received(second)
    fixture.done("a#1")
    fixture.done("b#2")

    fixture.offer(turn("b"), turn("a"))

    assert await received(first) == ["a#4"]
    assert await received(second) == ["b#3"]


async def test_an_instance_that_has_ended_has_no_home_any_more(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(), fixture.worker()
    fixture.offer(turn("a"))
    fixture.done("a#1")
    await received(first)

    fixture.dispatcher.forget_affinity("default", "a")
    fixture.offer(turn("a"))

    assert await received(second) == ["a#2"]


async def test_a_busy_home_does_not_hold_an_instance_up(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(turns=1), fixture.worker(turns=1)
    fixture.offer(turn("a"))
    fixture.done("a#1")
    fixture.offer(turn("b"), turn("c"))
    fixture.done("b#2")
    await received(first)
    await received(second)

    # The first worker had the last turns of "a" and "c", and is busy with "c".
    fixture.offer(turn("a"))

    assert await received(second) == ["a#4"]


async def test_all_that_a_vanished_worker_held_goes_to_another(fixture: DispatcherFixture) -> None:
    first = fixture.worker()
    fixture.offer(turn("a"), activity("a", 7))
    await received(first)
    second = fixture.worker()

    fixture.dispatcher.close(first)

    assert await received(second) == ["a#3", "a#4"]
    assert fixture.dispatcher.leases.find("a#1") is None


async def test_work_that_was_never_written_to_a_vanished_worker_is_not_lost(
    fixture: DispatcherFixture,
) -> None:
    first = fixture.worker()
    fixture.offer(turn("a"))

    fixture.dispatcher.close(first)

    assert await received(fixture.worker()) == ["a#2"]


async def test_work_whose_completion_is_being_stored_is_not_sent_again(
    fixture: DispatcherFixture,
) -> None:
    first = fixture.worker()
    fixture.offer(turn("a"))
    lease = fixture.dispatcher.leases.find("a#1")
    assert lease is not None
    lease.committing = under_way()

    fixture.dispatcher.close(first)
    second = fixture.worker()
    while_storing = await received(second)
    fixture.dispatcher.commit_failed(lease)

    assert while_storing == []
    assert await received(second) == ["a#2"]


async def test_a_worker_gets_only_what_its_filters_name(fixture: DispatcherFixture) -> None:
    wanted = {
        Kind.TURN: Filter({"order": frozenset({"2"}), "refund": frozenset()}),
        Kind.ACTIVITY: Filter({}),
    }
    picky = fixture.worker(filters=wanted)
    fixture.offer(
        turn("a", "order", "1"),
        turn("b", "order", "2"),
        turn("c", "refund", "9"),
        turn("d", "other"),
        activity("a", 1),
    )

    everything = fixture.worker()

    assert await received(picky) == ["b#1", "c#2"]
    assert await received(everything) == ["a#3", "d#4", "a#5"]


async def test_work_that_nobody_takes_does_not_hold_up_the_rest(fixture: DispatcherFixture) -> None:
    picky = fixture.worker(
        filters={Kind.TURN: Filter({"b": frozenset()}), Kind.ACTIVITY: Filter({})}
    )

    fixture.offer(turn("1", "a"), turn("2", "b"))

    assert await received(picky) == ["2#1"]


async def test_a_worker_of_another_hub_gets_nothing(fixture: DispatcherFixture) -> None:
    stranger = fixture.dispatcher.open(Subscription("elsewhere"))

    fixture.offer(turn("a"))

    assert await received(stranger) == []


async def test_work_that_is_over_is_dropped_and_takes_no_slot(fixture: DispatcherFixture) -> None:
    worker = fixture.worker(turns=1)
    fixture.source.gone.add("a")

    fixture.offer(turn("a"), turn("b"))

    assert await received(worker) == ["b#2"]


async def test_work_that_is_too_large_is_refused_instead_of_sent(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker(max_message=1000)
    fixture.source.sizes.update(a=1001, b=1000)

    fixture.offer(turn("a"), turn("b"))

    assert await received(worker) == ["b#2"]
    assert fixture.source.refused == [("a", 1001)]


async def test_refused_work_is_not_handed_out_anew_before_its_failure_is_stored(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker(max_message=1000)
    fixture.source.sizes["a"] = 1001
    fixture.offer(turn("a"))

    fixture.dispatcher.close(worker)

    assert await received(fixture.worker(max_message=2000)) == []


async def test_abandoned_work_goes_to_another_worker_at_once(fixture: DispatcherFixture) -> None:
    first, second = fixture.worker(), fixture.worker()
    fixture.offer(turn("a"))

    fixture.abandon("a#1")

    assert await received(first) == ["a#1"]
    assert await received(second) == ["a#2"]


async def test_work_that_keeps_being_abandoned_comes_back_more_and_more_slowly(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))
    delays = []
    for number in range(1, 12):
        fixture.abandon(f"a#{number}")
        due = fixture.clock.next_alarm()
        delays.append(due - fixture.clock.now() if due else timedelta(0))
        fixture.clock.advance(delays[-1])
        await asyncio.sleep(0)

    assert [delay.total_seconds() for delay in delays] == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert len(await received(worker)) == 12


async def test_work_that_was_done_in_the_end_may_be_abandoned_at_once_again(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))
    fixture.abandon("a#1")
    fixture.done("a#2")
    fixture.offer(turn("a"))
    await received(worker)

    fixture.abandon("a#3")

    assert await received(worker) == ["a#4"]


async def test_an_event_does_not_cut_the_pause_of_abandoned_work_short(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))
    fixture.abandon("a#1")
    fixture.abandon("a#2")
    await received(worker)

    fixture.offer(turn("a"))

    assert await received(worker) == []


async def test_a_new_instance_of_an_id_need_not_wait_for_the_worker_of_the_old_one(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker(turns=2)
    fixture.offer(turn("a", "old"))
    fixture.dispatcher.revoke(turn("a").key)

    fixture.offer(turn("a", "new"))
    both = await received(worker)
    fixture.abandon("a#1")

    assert both == ["a#1", "a#2"]
    assert await received(worker) == []


async def test_abandoned_work_that_rests_comes_back_under_its_newest_name(
    fixture: DispatcherFixture,
) -> None:
    old = fixture.worker(filters=only_turns("old"))
    fixture.offer(turn("a", "old"))
    fixture.abandon("a#1")
    fixture.abandon("a#2")
    await received(old)
    new = fixture.worker(filters=only_turns("new"))

    fixture.offer(turn("a", "new"))
    fixture.clock.advance(timedelta(minutes=1))
    await asyncio.sleep(0)

    assert await received(old) == []
    assert await received(new) == ["a#3"]


async def test_void_work_rests_no_longer_and_what_was_held_against_it_is_forgotten(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a", "old"))
    fixture.abandon("a#1")
    fixture.abandon("a#2")

    fixture.dispatcher.revoke(turn("a").key)
    fixture.offer(turn("a", "new"))
    fixture.abandon("a#3")
    received_at_once = await received(worker)

    assert received_at_once == ["a#1", "a#2", "a#3", "a#4"]
    assert fixture.clock.next_alarm() is None


async def test_the_answer_to_void_work_does_not_bring_it_back(fixture: DispatcherFixture) -> None:
    fixture.worker(filters=only_turns("old"))
    fixture.offer(turn("a", "old"))
    fixture.offer(turn("a", "old"))
    fixture.dispatcher.revoke(turn("a").key)
    fixture.offer(turn("a", "new"))

    fixture.done("a#1")

    assert await received(fixture.worker(filters=only_turns("new"))) == ["a#2"]


async def test_void_work_is_not_even_looked_at(fixture: DispatcherFixture) -> None:
    fixture.offer(turn("a"), activity("a", 1))
    for work in (turn("a"), activity("a", 1)):
        fixture.dispatcher.revoke(work.key)

    fixture.worker()

    assert fixture.source.loaded == []


async def test_void_work_of_a_vanished_worker_goes_to_nobody(fixture: DispatcherFixture) -> None:
    first = fixture.worker()
    fixture.offer(activity("a", 1))
    fixture.dispatcher.revoke(activity("a", 1).key)

    fixture.dispatcher.close(first)
    fixture.worker()

    assert fixture.source.loaded == ["a#1"]


async def test_void_work_fills_its_slot_until_its_worker_has_answered(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker(activities=1)
    fixture.offer(activity("a", 1), activity("a", 2))
    fixture.dispatcher.revoke(activity("a", 1).key)

    before = await received(worker)
    fixture.done("a#1")

    assert before == ["a#1"]
    assert await received(worker) == ["a#2"]


async def test_redelivered_work_comes_back_at_once_however_often(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))

    for number in range(1, 6):
        lease = fixture.dispatcher.leases.find(f"a#{number}")
        assert lease is not None
        fixture.dispatcher.redeliver(lease)

    assert await received(worker) == [f"a#{number}" for number in range(1, 7)]


@pytest.mark.slow
async def test_names_that_come_once_take_no_room_for_ever(fixture: DispatcherFixture) -> None:
    fixture.worker()
    kilobyte = "x" * 1000
    tracemalloc.start()
    try:
        for number in range(1, 10_001):
            fixture.offer(turn("a", f"{kilobyte}{number}"))
            fixture.dispatcher.revoke(turn("a").key)
            fixture.done(f"a#{number}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 5_000 * len(kilobyte)


@pytest.mark.parametrize("stated", [0, -1])
async def test_a_worker_that_states_no_sensible_number_is_not_left_without_work(
    fixture: DispatcherFixture, stated: int
) -> None:
    fixture.offer(turn("a"))

    assert await received(fixture.worker(turns=stated)) == ["a#1"]


async def test_work_that_changed_its_name_while_it_waited_is_handed_out_once(
    fixture: DispatcherFixture,
) -> None:
    fixture.offer(turn("a", "old"))
    fixture.offer(turn("a", "new"))
    picky = fixture.worker(filters=only_turns("old"))

    everything = fixture.worker()

    assert await received(picky) == []
    assert await received(everything) == ["a#1"]


async def test_the_next_turn_follows_the_instance_to_its_new_version(
    fixture: DispatcherFixture,
) -> None:
    old = fixture.worker(
        filters={Kind.TURN: Filter({"order": frozenset({"1"})}), Kind.ACTIVITY: Filter({})}
    )
    fixture.offer(turn("a", version="1"))
    await received(old)

    fixture.offer(turn("a", version="2"))
    fixture.done("a#1")

    assert await received(old) == []
    assert await received(fixture.worker()) == ["a#2"]


async def test_a_worker_without_tokens_is_understood_when_only_one_lease_can_be_meant(
    fixture: DispatcherFixture,
) -> None:
    fixture.worker()
    fixture.offer(turn("a"), activity("a", 5), activity("b", 5))

    dispatcher = fixture.dispatcher
    found = [
        dispatcher.leases.find_only(Kind.TURN, "default", "a"),
        dispatcher.leases.find_only(Kind.ACTIVITY, "default", "b", 5),
        dispatcher.leases.find_only(Kind.ACTIVITY, "default", "b", 6),
        dispatcher.leases.find_only(Kind.TURN, "elsewhere", "a"),
    ]

    assert [lease and lease.token for lease in found] == ["a#1", "b#3", None, None]


async def test_two_attempts_of_one_activity_cannot_be_told_apart_without_a_token(
    fixture: DispatcherFixture,
) -> None:
    fixture.worker()
    first, second = activity("a", 1), activity("a", 2)
    fixture.offer(first, Work(second.kind, "default", "a", "greet", task_key="2", task_id=1))

    assert fixture.dispatcher.leases.find_only(Kind.ACTIVITY, "default", "a", 1) is None


async def test_draining_sends_nothing_more_and_still_takes_completions(
    fixture: DispatcherFixture,
) -> None:
    worker = fixture.worker()
    fixture.offer(turn("a"))

    fixture.dispatcher.disconnect()
    ended = await worker.next_batch()
    fixture.dispatcher.close(worker)

    assert ended == []
    assert fixture.dispatcher.leases.find("a#1") is not None
    with pytest.raises(ShuttingDownError):
        fixture.worker()
