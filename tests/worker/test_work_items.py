from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durabletask.worker._work_items import WorkItemRouter
from tests.builders.worker import (
    activity_item,
    entity_item,
    entity_item_v2,
    orchestrator_item,
    peer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from durabletask.worker._work_items import WorkItem


class Collecting:
    """A lane that keeps what it is given."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def put(self, items: Sequence[WorkItem], /) -> None:
        self.kinds += [item.peek.kind for item in items]


async def test_each_message_goes_to_the_lane_of_its_kind() -> None:
    turns, calls, batches = Collecting(), Collecting(), Collecting()
    queues = {
        "orchestrator_request": turns,
        "activity_request": calls,
        "entity_request": batches,
        "entity_request_v2": batches,
    }
    router = WorkItemRouter(queues, logging.getLogger("test"))

    for raw in (activity_item("greet"), entity_item(), orchestrator_item([]), entity_item_v2()):
        await router.route(raw, peer())

    assert turns.kinds == ["orchestrator_request"]
    assert calls.kinds == ["activity_request"]
    assert batches.kinds == ["entity_request", "entity_request_v2"]


async def test_a_kind_without_a_lane_is_told_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    await WorkItemRouter({}, logging.getLogger("test")).route(
        activity_item("greet", instance="one"), peer()
    )

    assert "'one'" in caplog.text
    assert "'activity_request'" in caplog.text
