from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durabletask.worker._work_items import WorkItemRouter
from tests.builders.worker import (
    activity_item,
    connected_engine,
    entity_item,
    entity_item_v2,
    orchestrator_item,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from durabletask.worker._work_items import WorkItem


class CollectingQueue:
    """A queue that keeps what it is given."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def put(self, items: Sequence[WorkItem], /) -> None:
        self.kinds += [item.peek.kind for item in items]


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


async def test_a_kind_without_a_queue_is_logged_and_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await WorkItemRouter({}, logging.getLogger("test")).route(
        activity_item("greet", instance="one"), connected_engine()
    )

    assert "'one'" in caplog.text
    assert "'activity_request'" in caplog.text
