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
from durabletask.sidecar.errors import ShuttingDownError
from durabletask.sidecar.work.dispatcher import Dispatcher
from durabletask.sidecar.work.streams import Filter, Subscription, WorkStream

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.engine.transition import Reply
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

    def refuse(self, lease: Lease, size: int) -> asyncio.Future[Reply]:
        self.refused.append((lease.work.instance_id, size))
        return under_way()


def under_way() -> asyncio.Future[Reply]:
    """The outcome of something that is being stored."""
    return asyncio.get_running_loop().create_future()


@dataclass
class Desk:
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
        lease = self.dispatcher.find(token)
        assert lease is not None
        self.dispatcher.finish(lease)
        self.dispatcher.dispatch()

    def abandon(self, token: str) -> None:
        lease = self.dispatcher.find(token)
        assert lease is not None
        self.dispatcher.abandon(lease)


@pytest.fixture
def desk() -> Desk:
    return Desk()


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


async def test_work_that_was_ready_before_the_worker_came_is_handed_to_it(desk: Desk) -> None:
    desk.offer(turn("a"), turn("b"))

    worker = desk.worker()

    assert await received(worker) == ["a#1", "b#2"]


async def test_of_one_instance_at_most_one_turn_is_out(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))
    desk.offer(turn("a"))

    while_out = await received(worker)
    desk.done("a#1")

    assert while_out == ["a#1"]
    assert await received(worker) == ["a#2"]


async def test_nothing_is_sent_again_when_nothing_came_in_meanwhile(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))
    await received(worker)

    desk.done("a#1")

    assert await received(worker) == []


async def test_a_worker_never_has_more_in_flight_than_it_said(desk: Desk) -> None:
    worker = desk.worker(turns=2, activities=1)
    desk.offer(*(turn(name) for name in "abc"), activity("a", 1), activity("a", 2))

    first = await received(worker)
    desk.done("b#2")

    assert first == ["a#1", "b#2", "a#3"]
    assert await received(worker) == ["c#4"]


async def test_a_full_worker_leaves_the_rest_to_others(desk: Desk) -> None:
    first, second = desk.worker(turns=1), desk.worker(turns=5)

    desk.offer(*(turn(name) for name in "abcd"))

    assert await received(first) == ["a#1"]
    assert await received(second) == ["b#2", "c#3", "d#4"]


async def test_work_goes_round_robin(desk: Desk) -> None:
    first, second = desk.worker(), desk.worker()

    desk.offer(*(turn(name) for name in "abcd"))

    assert await received(first) == ["a#1", "c#3"]
    assert await received(second) == ["b#2", "d#4"]


async def test_an_instance_comes_back_to_the_worker_that_had_it(desk: Desk) -> None:
    first, second = desk.worker(), desk.worker()
    desk.offer(turn("a"), turn("b"))
    await received(first)
    await received(second)
    desk.done("a#1")
    desk.done("b#2")

    desk.offer(turn("b"), turn("a"))

    assert await received(first) == ["a#4"]
    assert await received(second) == ["b#3"]


async def test_an_instance_that_has_ended_has_no_home_any_more(desk: Desk) -> None:
    first, second = desk.worker(), desk.worker()
    desk.offer(turn("a"))
    desk.done("a#1")
    await received(first)

    desk.dispatcher.forget_affinity("default", "a")
    desk.offer(turn("a"))

    assert await received(second) == ["a#2"]


async def test_a_busy_home_does_not_hold_an_instance_up(desk: Desk) -> None:
    first, second = desk.worker(turns=1), desk.worker(turns=1)
    desk.offer(turn("a"))
    desk.done("a#1")
    desk.offer(turn("b"), turn("c"))
    desk.done("b#2")
    await received(first)
    await received(second)

    # Home of "a" and "c" is the first worker, which is busy with "c".
    desk.offer(turn("a"))

    assert await received(second) == ["a#4"]


async def test_all_that_a_vanished_worker_held_goes_to_another(desk: Desk) -> None:
    first = desk.worker()
    desk.offer(turn("a"), activity("a", 7))
    await received(first)
    second = desk.worker()

    desk.dispatcher.close(first)

    assert await received(second) == ["a#3", "a#4"]
    assert desk.dispatcher.find("a#1") is None


async def test_work_that_was_never_written_to_a_vanished_worker_is_not_lost(desk: Desk) -> None:
    first = desk.worker()
    desk.offer(turn("a"))

    desk.dispatcher.close(first)

    assert await received(desk.worker()) == ["a#2"]


async def test_work_whose_completion_is_being_stored_is_not_sent_again(desk: Desk) -> None:
    first = desk.worker()
    desk.offer(turn("a"))
    lease = desk.dispatcher.find("a#1")
    assert lease is not None
    lease.committing = under_way()

    desk.dispatcher.close(first)
    second = desk.worker()
    while_storing = await received(second)
    desk.dispatcher.commit_failed(lease)

    assert while_storing == []
    assert await received(second) == ["a#2"]


async def test_a_worker_gets_only_what_its_filters_name(desk: Desk) -> None:
    wanted = {
        Kind.TURN: Filter({"order": frozenset({"2"}), "refund": frozenset()}),
        Kind.ACTIVITY: Filter({}),
    }
    picky = desk.worker(filters=wanted)
    desk.offer(
        turn("a", "order", "1"),
        turn("b", "order", "2"),
        turn("c", "refund", "9"),
        turn("d", "other"),
        activity("a", 1),
    )

    everything = desk.worker()

    assert await received(picky) == ["b#1", "c#2"]
    assert await received(everything) == ["a#3", "d#4", "a#5"]


async def test_work_that_nobody_takes_does_not_hold_up_the_rest(desk: Desk) -> None:
    picky = desk.worker(filters={Kind.TURN: Filter({"b": frozenset()}), Kind.ACTIVITY: Filter({})})

    desk.offer(turn("1", "a"), turn("2", "b"))

    assert await received(picky) == ["2#1"]


async def test_a_worker_of_another_hub_gets_nothing(desk: Desk) -> None:
    stranger = desk.dispatcher.open(Subscription("elsewhere"))

    desk.offer(turn("a"))

    assert await received(stranger) == []


async def test_work_that_is_over_is_dropped_and_takes_no_slot(desk: Desk) -> None:
    worker = desk.worker(turns=1)
    desk.source.gone.add("a")

    desk.offer(turn("a"), turn("b"))

    assert await received(worker) == ["b#2"]


async def test_work_that_is_too_large_is_refused_instead_of_sent(desk: Desk) -> None:
    worker = desk.worker(max_message=1000)
    desk.source.sizes.update(a=1001, b=1000)

    desk.offer(turn("a"), turn("b"))

    assert await received(worker) == ["b#2"]
    assert desk.source.refused == [("a", 1001)]


async def test_refused_work_is_not_handed_out_anew_before_its_failure_is_stored(
    desk: Desk,
) -> None:
    worker = desk.worker(max_message=1000)
    desk.source.sizes["a"] = 1001
    desk.offer(turn("a"))

    desk.dispatcher.close(worker)

    assert await received(desk.worker(max_message=2000)) == []


async def test_abandoned_work_goes_to_another_worker_at_once(desk: Desk) -> None:
    first, second = desk.worker(), desk.worker()
    desk.offer(turn("a"))

    desk.abandon("a#1")

    assert await received(first) == ["a#1"]
    assert await received(second) == ["a#2"]


async def test_work_that_keeps_being_abandoned_comes_back_more_and_more_slowly(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))
    pauses = []
    for number in range(1, 12):
        desk.abandon(f"a#{number}")
        due = desk.clock.next_alarm()
        pauses.append(due - desk.clock.now() if due else timedelta(0))
        desk.clock.advance(pauses[-1])
        await asyncio.sleep(0)

    assert [pause.total_seconds() for pause in pauses] == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert len(await received(worker)) == 12


async def test_work_that_was_done_in_the_end_may_be_abandoned_at_once_again(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))
    desk.abandon("a#1")
    desk.done("a#2")
    desk.offer(turn("a"))
    await received(worker)

    desk.abandon("a#3")

    assert await received(worker) == ["a#4"]


async def test_an_event_does_not_cut_the_pause_of_abandoned_work_short(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))
    desk.abandon("a#1")
    desk.abandon("a#2")
    await received(worker)

    desk.offer(turn("a"))

    assert await received(worker) == []


async def test_a_new_instance_of_an_id_need_not_wait_for_the_worker_of_the_old_one(
    desk: Desk,
) -> None:
    worker = desk.worker(turns=2)
    desk.offer(turn("a", "old"))
    desk.dispatcher.revoke(turn("a").key)

    desk.offer(turn("a", "new"))
    both = await received(worker)
    desk.abandon("a#1")

    assert both == ["a#1", "a#2"]
    assert await received(worker) == []


async def test_abandoned_work_that_rests_comes_back_under_its_newest_name(desk: Desk) -> None:
    old = desk.worker(filters=only_turns("old"))
    desk.offer(turn("a", "old"))
    desk.abandon("a#1")
    desk.abandon("a#2")
    await received(old)
    new = desk.worker(filters=only_turns("new"))

    desk.offer(turn("a", "new"))
    desk.clock.advance(timedelta(minutes=1))
    await asyncio.sleep(0)

    assert await received(old) == []
    assert await received(new) == ["a#3"]


async def test_void_work_rests_no_longer_and_what_was_held_against_it_is_forgotten(
    desk: Desk,
) -> None:
    worker = desk.worker()
    desk.offer(turn("a", "old"))
    desk.abandon("a#1")
    desk.abandon("a#2")

    desk.dispatcher.revoke(turn("a").key)
    desk.offer(turn("a", "new"))
    desk.abandon("a#3")
    received_at_once = await received(worker)

    assert received_at_once == ["a#1", "a#2", "a#3", "a#4"]
    assert desk.clock.next_alarm() is None


async def test_the_answer_to_void_work_does_not_bring_it_back(desk: Desk) -> None:
    desk.worker(filters=only_turns("old"))
    desk.offer(turn("a", "old"))
    desk.offer(turn("a", "old"))
    desk.dispatcher.revoke(turn("a").key)
    desk.offer(turn("a", "new"))

    desk.done("a#1")

    assert await received(desk.worker(filters=only_turns("new"))) == ["a#2"]


async def test_void_work_is_not_even_looked_at(desk: Desk) -> None:
    desk.offer(turn("a"), activity("a", 1))
    for work in (turn("a"), activity("a", 1)):
        desk.dispatcher.revoke(work.key)

    desk.worker()

    assert desk.source.loaded == []


async def test_void_work_of_a_vanished_worker_goes_to_nobody(desk: Desk) -> None:
    first = desk.worker()
    desk.offer(activity("a", 1))
    desk.dispatcher.revoke(activity("a", 1).key)

    desk.dispatcher.close(first)
    desk.worker()

    assert desk.source.loaded == ["a#1"]


async def test_void_work_fills_its_slot_until_its_worker_has_answered(desk: Desk) -> None:
    worker = desk.worker(activities=1)
    desk.offer(activity("a", 1), activity("a", 2))
    desk.dispatcher.revoke(activity("a", 1).key)

    before = await received(worker)
    desk.done("a#1")

    assert before == ["a#1"]
    assert await received(worker) == ["a#2"]


async def test_redelivered_work_comes_back_at_once_however_often(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))

    for number in range(1, 6):
        lease = desk.dispatcher.find(f"a#{number}")
        assert lease is not None
        desk.dispatcher.redeliver(lease)

    assert await received(worker) == [f"a#{number}" for number in range(1, 7)]


@pytest.mark.slow
async def test_names_that_come_once_take_no_room_for_ever(desk: Desk) -> None:
    desk.worker()
    kilobyte = "x" * 1000
    tracemalloc.start()
    try:
        for number in range(1, 10_001):
            desk.offer(turn("a", f"{kilobyte}{number}"))
            desk.dispatcher.revoke(turn("a").key)
            desk.done(f"a#{number}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 5_000 * len(kilobyte)


@pytest.mark.parametrize("stated", [0, -1])
async def test_a_worker_that_states_no_sensible_number_is_not_left_without_work(
    desk: Desk, stated: int
) -> None:
    desk.offer(turn("a"))

    assert await received(desk.worker(turns=stated)) == ["a#1"]


async def test_work_that_changed_its_name_while_it_waited_is_handed_out_once(desk: Desk) -> None:
    desk.offer(turn("a", "old"))
    desk.offer(turn("a", "new"))
    picky = desk.worker(filters=only_turns("old"))

    everything = desk.worker()

    assert await received(picky) == []
    assert await received(everything) == ["a#1"]


async def test_the_next_turn_follows_the_instance_to_its_new_version(desk: Desk) -> None:
    old = desk.worker(
        filters={Kind.TURN: Filter({"order": frozenset({"1"})}), Kind.ACTIVITY: Filter({})}
    )
    desk.offer(turn("a", version="1"))
    await received(old)

    desk.offer(turn("a", version="2"))
    desk.done("a#1")

    assert await received(old) == []
    assert await received(desk.worker()) == ["a#2"]


async def test_a_worker_without_tokens_is_understood_when_only_one_lease_can_be_meant(
    desk: Desk,
) -> None:
    desk.worker()
    desk.offer(turn("a"), activity("a", 5), activity("b", 5))

    dispatcher = desk.dispatcher
    found = [
        dispatcher.find_only(Kind.TURN, "default", "a"),
        dispatcher.find_only(Kind.ACTIVITY, "default", "b", 5),
        dispatcher.find_only(Kind.ACTIVITY, "default", "b", 6),
        dispatcher.find_only(Kind.TURN, "elsewhere", "a"),
    ]

    assert [lease and lease.token for lease in found] == ["a#1", "b#3", None, None]


async def test_two_attempts_of_one_activity_cannot_be_told_apart_without_a_token(
    desk: Desk,
) -> None:
    desk.worker()
    first, second = activity("a", 1), activity("a", 2)
    desk.offer(first, Work(second.kind, "default", "a", "greet", task_key="2", task_id=1))

    assert desk.dispatcher.find_only(Kind.ACTIVITY, "default", "a", 1) is None


async def test_draining_sends_nothing_more_and_still_takes_completions(desk: Desk) -> None:
    worker = desk.worker()
    desk.offer(turn("a"))

    desk.dispatcher.disconnect()
    ended = await worker.next_batch()
    desk.dispatcher.close(worker)

    assert ended == []
    assert desk.dispatcher.find("a#1") is not None
    with pytest.raises(ShuttingDownError):
        desk.worker()
