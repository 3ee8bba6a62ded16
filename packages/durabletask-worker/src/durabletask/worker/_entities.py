"""A batch of an entity's operations: work item in, results out.

Entities run on threads, as their operations are plain functions. Knows nothing about streams
and delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask import failures
from durabletask.core import entity_batch
from durabletask.protocol import messages, methods, work_items

from ._work import Answer, WorkItem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from durabletask.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Batch:
    """An entity work item; the thread that takes it decodes it."""

    item: WorkItem


class Entities:
    """Does entity work items of both forms; `now` tells the time of day, on any thread."""

    def __init__(
        self,
        registry: Registry,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._now = now

    def prepare(self, item: WorkItem) -> Batch:
        return Batch(item)

    def coroutine(self, _batch: Batch) -> Coroutine[Any, Any, Answer] | None:
        return None

    def perform(self, batch: Batch) -> Answer:
        item = batch.item
        request, infos = self._decode(item)
        result = entity_batch.run_batch(
            request, self._registry, item.peer.settings, now=self._now, completion_token=item.token
        )
        result.operation_infos = infos
        return Answer(
            item, methods.COMPLETE_ENTITY_TASK, result, or_else=partial(_refused, item, infos)
        )

    def abandon(self, item: WorkItem) -> Answer:
        request = messages.AbandonEntityTaskRequest(completion_token=item.token)
        return Answer(item, methods.ABANDON_ENTITY_TASK, request)

    def _decode(
        self, item: WorkItem
    ) -> tuple[messages.EntityBatchRequest, list[messages.OperationInfo]]:
        decoded = work_items.decode(item.raw, item.peer.dialect)
        if decoded.entity_request_v2 is not None:
            return entity_batch.from_v2(decoded.entity_request_v2)
        assert decoded.entity_request is not None
        return decoded.entity_request, []


def _refused(item: WorkItem, infos: list[messages.OperationInfo], why: Exception) -> Answer:
    """The batch failed as a whole, because the sidecar does not take what it did."""
    error = type(why)(f"What the operations of '{item.instance_id}' did cannot be stored: {why}")
    result = messages.EntityBatchResult(
        failure_details=failures.to_message(failures.details_from_exception(error)),
        completion_token=item.token,
        operation_infos=infos,
    )
    return Answer(item, methods.COMPLETE_ENTITY_TASK, result)
