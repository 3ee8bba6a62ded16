"""Handle entity work items: run a batch of operations, and complete with their results.

Operations are plain functions, so that batches run on threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask import failures
from durabletask.core import entity_batch
from durabletask.protocol import messages, methods, work_items

from ._log_errors import log_errors_ignored
from ._work_items import Completion, WorkItem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from durabletask.core.registry import Registry
    from durabletask.failures import FailureDetails

    from ._options import Logger


# Not frozen: see `WorkItem`.
@dataclass(slots=True)
class EntityJob:
    """An entity work item; the thread that takes it decodes it."""

    item: WorkItem


class EntityHandler:
    """Does entity work items of both forms; `now` gives the current time, on any thread."""

    def __init__(
        self,
        registry: Registry,
        *,
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._registry = registry
        self._log = log
        self._now = now

    def prepare(self, item: WorkItem) -> EntityJob:
        return EntityJob(item)

    def coroutine(self, _job: EntityJob) -> Coroutine[Any, Any, Completion] | None:
        return None

    def perform(self, job: EntityJob) -> Completion:
        item = job.item
        request, infos = self._decode(item)
        result = entity_batch.run_batch(
            request,
            self._registry,
            item.engine.settings,
            now=self._now,
            completion_token=item.token,
            on_failed=partial(self._log_failure, item),
        )
        result.operation_infos = infos
        return Completion(
            item, methods.COMPLETE_ENTITY_TASK, result, fallback=partial(_failed, item, infos)
        )

    def abandon(self, item: WorkItem) -> Completion:
        request = messages.AbandonEntityTaskRequest(completion_token=item.token)
        return Completion(item, methods.ABANDON_ENTITY_TASK, request)

    def _log_failure(
        self,
        item: WorkItem,
        operation: messages.OperationRequest,
        error: BaseException,
        details: FailureDetails,
    ) -> None:
        with log_errors_ignored():
            self._log.warning(
                "Entity '%s': operation '%s' failed with %s: %s",
                item.instance_id,
                operation.operation,
                details.error_type,
                details.message,
                exc_info=error,
                extra=item.log_fields | {"task_name": operation.operation},
            )

    def _decode(
        self, item: WorkItem
    ) -> tuple[messages.EntityBatchRequest, list[messages.OperationInfo]]:
        peek, dialect = item.peek, item.engine.dialect
        if peek.kind == work_items.ENTITY_REQUEST_V2:
            newer = messages.EntityRequest
            return entity_batch.from_v2(
                work_items.decode_request(newer, item.raw, peek.request, dialect)
            )
        older = messages.EntityBatchRequest
        return work_items.decode_request(older, item.raw, peek.request, dialect), []


def _failed(item: WorkItem, infos: list[messages.OperationInfo], reason: Exception) -> Completion:
    """The batch fails as a whole, because the sidecar cannot accept its results."""
    error = type(reason)(f"The results of entity '{item.instance_id}' cannot be stored: {reason}")
    result = messages.EntityBatchResult(
        failure_details=failures.to_message(failures.details_from_exception(error)),
        completion_token=item.token,
        operation_infos=infos,
    )
    return Completion(item, methods.COMPLETE_ENTITY_TASK, result)
