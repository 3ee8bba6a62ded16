"""Task hubs: made by being named, wiped as a whole, and each for itself."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import messages, methods
from tests.builders.sidecar import Peer, serving

RECREATE = messages.CreateTaskHubRequest(recreate_if_exists=True)


async def filled(peer: Peer) -> None:
    await peer.start()
    signal = messages.SignalEntityRequest(instance_id="@counter@1", name="add")
    await peer.call(methods.SIGNAL_ENTITY, signal)


async def contents(peer: Peer) -> tuple[int, int]:
    """How many instances there are, and how many entities."""
    instances = await peer.call(methods.QUERY_INSTANCES)
    query = messages.EntityQuery(include_transient=True)
    entities = await peer.call(methods.QUERY_ENTITIES, messages.QueryEntitiesRequest(query=query))
    return len(instances.orchestration_state), len(entities.entities)


@pytest.mark.parametrize(
    ("method", "request_"), [(methods.CREATE_TASK_HUB, RECREATE), (methods.DELETE_TASK_HUB, None)]
)
async def test_a_task_hub_is_wiped_and_others_are_not(method: Any, request_: Any) -> None:
    async with serving() as peer:
        mine, other = peer.of_hub("mine"), peer.of_hub("other")
        await filled(mine)
        await filled(other)

        await mine.call(method, request_)

        assert await contents(mine) == (0, 0)
        assert await contents(other) == (1, 1)


async def test_a_task_hub_that_is_made_again_keeps_what_it_has() -> None:
    async with serving() as peer:
        await filled(peer)

        await peer.call(methods.CREATE_TASK_HUB)

        assert await contents(peer) == (1, 1)


async def test_workers_go_on_in_a_task_hub_that_was_wiped() -> None:
    async with serving() as peer:
        items = peer.work()
        await peer.start("order", "old")
        await items.next()

        await peer.call(methods.DELETE_TASK_HUB)
        await peer.start("order", "new")

        assert (await items.next()).orchestrator_request.instance_id == "new"


async def test_whoever_waits_for_an_instance_learns_that_it_was_wiped() -> None:
    async with serving() as peer:
        await peer.start()
        request = messages.GetInstanceRequest(instance_id="a")
        waiting = await peer.begin(methods.WAIT_FOR_INSTANCE_COMPLETION, request)

        await peer.call(methods.DELETE_TASK_HUB)

        assert not (await waiting).exists
