from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durabletask.worker._work_items import WorkItemRouter
from tests.builders.worker import (
    activity_item,
    connected_engine,
    entity_item,
    entity_item_v2,
    health_ping,
    orchestrator_item,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from durabletask.worker._work_items import EncodedWorkItem


class CollectingQueue:
    """A queue that keeps what it is given."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.batches: list[list[bytes]] = []

    async def put(self, item: EncodedWorkItem, /) -> None:
        self.kinds.append(item.read().peek.kind)

    def take(self, items: Sequence[EncodedWorkItem], /) -> None:
        self.batches.append([item.raw for item in items])


async def test_each_work_item_goes_to_the_queue_of_its_kind() -> None:
    orchestrations, activities, entities = CollectingQueue(), CollectingQueue(), CollectingQueue()
    queues = {
        "orchestrator_request": orchestrations,
        "activity_request": activities,
        "entity_request": entities,
        "entity_request_v2": entities,
    }
    router = WorkItemRouter(queues, logging.getLogger("test"))

    for raw in (activity_item("greet"), entity_item(), orchestrator_item([]), entity_item_v2()):
        await router.route(raw, connected_engine())

    assert orchestrations.kinds == ["orchestrator_request"]
    assert activities.kinds == ["activity_request"]
    assert entities.kinds == ["entity_request", "entity_request_v2"]


def test_batches_are_taken_whole_and_what_has_no_queue_is_left_over() -> None:
    activities, entities = CollectingQueue(), CollectingQueue()
    router = WorkItemRouter(
        {"activity_request": activities, "entity_request": entities}, logging.getLogger("test")
    )
    one, two, entity = activity_item("one"), activity_item("two"), entity_item()
    turn = orchestrator_item([])

    left_over = router.route_batch(
        [one, turn, entity, health_ping(), b"\xff\xff", two], connected_engine()
    )

    assert activities.batches == [[one, two]]
    assert entities.batches == [[entity]]
    assert left_over == [turn, b"\xff\xff"]


async def test_a_kind_without_a_queue_is_logged_and_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await WorkItemRouter({}, logging.getLogger("test")).route(
        activity_item("greet", instance="one"), connected_engine()
    )

    assert "'one'" in caplog.text
    assert "'activity_request'" in caplog.text
