"""Purge over real gRPC: what goes, what stays, and in which portions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.sidecar import Peer, complete, serving

Status = messages.OrchestrationStatus
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TickingClock(ManualClock):
    """A clock on which every look takes a second."""

    def now(self) -> datetime:
        self.advance(timedelta(seconds=1))
        return super().now()


class CountingStore(MemoryStore):
    """Remembers how much each commit changed."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []

    def commit(self, changes) -> None:
        self.commits.append(len(changes))
        super().commit(changes)


async def purge(peer: Peer, **fields) -> tuple[int, bool]:
    response = await peer.call(methods.PURGE_INSTANCES, messages.PurgeInstancesRequest(**fields))
    return response.deleted_instance_count, response.is_complete


async def purge_found(peer: Peer, **fields) -> tuple[int, bool]:
    return await purge(peer, purge_instance_filter=messages.PurgeInstanceFilter(**fields))


async def ended(peer: Peer, *ids: str) -> None:
    """Instances of these ids that have been terminated."""
    for name in ids:
        await peer.start("order", name)
    for first in range(0, len(ids), 500):
        batch = messages.InstanceBatch(instance_ids=list(ids[first : first + 500]))
        request = messages.SkipGracefulOrchestrationTerminationsRequest(instance_batch=batch)
        await peer.call(methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS, request)


async def entity(peer: Peer, name: str) -> None:
    request = messages.SignalEntityRequest(instance_id=name, name="add")
    await peer.call(methods.SIGNAL_ENTITY, request)


async def exists(peer: Peer, entity_id: str) -> bool:
    request = messages.GetEntityRequest(instance_id=entity_id)
    response = await peer.call(methods.GET_ENTITY, request)
    return bool(response.exists)


@pytest.mark.parametrize("is_orchestration", [False, True])
async def test_an_id_says_whether_it_is_an_entitys_and_the_flag_does_not(
    *, is_orchestration: bool
) -> None:
    async with serving() as peer:
        await ended(peer, "a")
        await entity(peer, "@counter@1")

        of_entity = await purge(peer, instance_id="@Counter@1", is_orchestration=is_orchestration)
        of_instance = await purge(peer, instance_id="a", is_orchestration=is_orchestration)

        assert (of_entity, of_instance) == ((1, True), (1, True))
        assert not await exists(peer, "@counter@1")
        assert await peer.state("a") is None


async def test_a_batch_may_name_both_and_passes_over_what_is_live_or_missing() -> None:
    async with serving() as peer:
        await ended(peer, "a")
        await peer.start("order", "live")
        await entity(peer, "@counter@1")

        names = ["a", "live", "missing", "@counter@1", "@counter@2"]
        batch = messages.InstanceBatch(instance_ids=names)
        outcome = await purge(peer, instance_batch=batch)

        assert outcome == (2, True)
        assert await peer.state("live") is not None


async def test_a_purge_that_names_nothing_is_refused() -> None:
    async with serving() as peer:
        code, text = await peer.refusal(
            methods.PURGE_INSTANCES, messages.PurgeInstancesRequest(recursive=True)
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "filter" in text


async def test_an_empty_filter_takes_all_that_have_ended_and_nothing_else() -> None:
    async with serving() as peer:
        await ended(peer, "terminated")
        await peer.start("order", "completed")
        await peer.decide(await peer.work().next(), complete(1))
        scheduled = NOON.replace(year=9999)
        await peer.start("order", "live", scheduled_start_timestamp=scheduled)
        await entity(peer, "@counter@1")

        outcome = await purge_found(peer)

        assert outcome == (2, True)
        assert await peer.state("live") is not None
        assert await exists(peer, "@counter@1")


async def test_a_filter_for_live_statuses_alone_deletes_nothing() -> None:
    async with serving() as peer:
        await ended(peer, "a")
        await peer.start("order", "live")

        outcome = await purge_found(peer, runtime_status=[Status.PENDING, Status.RUNNING])

        assert outcome == (0, True)
        assert await peer.state("a") is not None
        assert await peer.state("live") is not None


async def test_a_batch_of_a_hundred_shares_one_commit() -> None:
    store = CountingStore()
    async with serving(store=store) as peer:
        await ended(peer, *(f"{n:03}" for n in range(250)))
        store.commits.clear()

        outcome = await purge_found(peer)

        assert outcome == (250, True)
        assert store.commits == [100, 100, 50]


async def test_a_purge_whose_time_is_up_stops_between_batches_and_can_be_repeated() -> None:
    async with serving(clock=TickingClock()) as peer:
        await ended(peer, *(f"{n:03}" for n in range(250)))
        instant = timedelta(microseconds=1)

        outcomes = [await purge_found(peer, timeout=instant) for _ in range(3)]

        assert outcomes == [(100, False), (100, False), (50, True)]


async def test_a_time_beyond_the_calendar_is_as_good_as_none() -> None:
    async with serving(clock=ManualClock(NOON)) as peer:
        await ended(peer, *(f"{n:03}" for n in range(150)))

        outcome = await purge_found(peer, timeout=timedelta(days=9_000_000))

        assert outcome == (150, True)


async def test_what_a_recursive_purge_found_twice_is_counted_once() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start("order", "parent")
        child = messages.CreateSubOrchestrationAction(name="child", instance_id="kid")
        action = messages.OrchestratorAction(id=1, create_sub_orchestration=child)
        await peer.decide(await items.next(), action)
        await peer.decide(await items.next(), complete(1))
        await peer.decide(await items.next(), complete(2))

        outcome = await purge(
            peer, purge_instance_filter=messages.PurgeInstanceFilter(), recursive=True
        )

        assert outcome == (2, True)
        assert [await peer.state(name) for name in ("parent", "kid")] == [None, None]
