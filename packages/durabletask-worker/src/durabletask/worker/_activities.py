"""Handle activity work items: call the function, and complete with its result or failure.

Plain and `async def` activities differ only in where they are called: on a thread, or in
the event loop.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.core import activity
from durabletask.protocol import messages, methods, work_items

from ._log_errors import log_errors_ignored
from ._work_items import Completion, WorkItem

if TYPE_CHECKING:
    from durabletask.core.registry import Registry
    from durabletask.failures import FailureDetails

    from ._options import Logger

ActivityHook = Callable[["messages.ActivityRequest"], None]


# Not frozen: see `WorkItem`.
@dataclass(slots=True)
class ActivityJob:
    """An activity work item, decoded, and the call it asks for."""

    item: WorkItem
    request: messages.ActivityRequest
    call: activity.ActivityCall


class ActivityHandler:
    """Does activity work items: `async def` ones in the event loop, the others on threads.

    `on_started` is called just before the user's function, where that runs, and fails the
    activity if it raises. `on_completed`, if there is one, is called in the event loop when the
    completion is delivered, or given up.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        on_started: ActivityHook,
        on_completed: ActivityHook | None,
        log: Logger,
    ) -> None:
        self._registry = registry
        self._on_started = on_started
        self._on_completed = on_completed
        self._log = log

    def prepare(self, item: WorkItem) -> ActivityJob:
        request = work_items.decode_request(
            messages.ActivityRequest, item.raw, item.peek.request, item.engine.dialect
        )
        call = activity.prepare(request, self._registry, item.engine.settings)
        return ActivityJob(item, request, call)

    def coroutine(self, job: ActivityJob) -> Coroutine[Any, Any, Completion] | None:
        return self._perform_async(job) if job.call.is_async else None

    def perform(self, job: ActivityJob) -> Completion | Coroutine[Any, Any, Completion]:
        outcome = self._call(job)
        # A plain function that wraps an `async def` returns a coroutine, too; it is awaited
        # in the event loop.
        if isinstance(outcome, activity.Returned) and inspect.iscoroutine(outcome.value):
            return self._await(job, outcome.value)
        return self._complete(job, outcome)

    def abandon(self, item: WorkItem) -> Completion:
        request = messages.AbandonActivityTaskRequest(completion_token=item.token)
        return Completion(item, methods.ABANDON_ACTIVITY_TASK, request)

    async def _perform_async(self, job: ActivityJob) -> Completion:
        begun = self.perform(job)
        return begun if isinstance(begun, Completion) else await begun

    def _call(self, job: ActivityJob) -> activity.CallOutcome:
        try:
            self._on_started(job.request)
            return activity.Returned(job.call.call())
        # SystemExit as well: it fails the activity that raised it, and not the worker.
        except BaseException as error:  # noqa: BLE001
            return activity.Raised(error)

    async def _await(self, job: ActivityJob, coroutine: Coroutine[Any, Any, Any]) -> Completion:
        try:
            outcome: activity.CallOutcome = activity.Returned(await coroutine)
        # asyncio stops the whole loop for a SystemExit that leaves a task. A cancellation
        # comes from user code; when the worker itself cancels, the completion is dropped.
        except BaseException as error:  # noqa: BLE001
            outcome = activity.Raised(error)
        return self._complete(job, outcome)

    def _complete(self, job: ActivityJob, outcome: activity.CallOutcome) -> Completion:
        failures: list[Callable[[], None]] = []
        response = self._response(
            job,
            outcome,
            on_failed=lambda *failure: failures.append(partial(self._log_failure, job, *failure)),
        )
        return Completion(
            job.item,
            methods.COMPLETE_ACTIVITY_TASK,
            response,
            fallback=partial(self._failed, job),
            on_finished=self._when_finished(job),
            log_failure=failures[0] if failures else None,
        )

    def _failed(self, job: ActivityJob, reason: Exception) -> Completion:
        """The activity fails, because the sidecar cannot accept its result."""
        error = type(reason)(
            f"The result of activity '{job.request.name}' cannot be stored: {reason}"
        )
        response = self._response(job, activity.Raised(error))
        return Completion(job.item, methods.COMPLETE_ACTIVITY_TASK, response)

    def _response(
        self,
        job: ActivityJob,
        outcome: activity.CallOutcome,
        *,
        on_failed: Callable[[BaseException, FailureDetails], None] | None = None,
    ) -> messages.ActivityResponse:
        return activity.finish(
            job.request,
            outcome,
            job.item.engine.settings,
            completion_token=job.item.token,
            on_failed=on_failed,
        )

    def _log_failure(self, job: ActivityJob, error: BaseException, details: FailureDetails) -> None:
        request = job.request
        with log_errors_ignored():
            self._log.warning(
                "Instance '%s': activity '%s' (task #%d) failed with %s: %s",
                job.item.instance_id,
                request.name,
                request.task_id,
                details.error_type,
                details.message,
                exc_info=error,
                extra=_log_fields(job),
            )

    def _when_finished(self, job: ActivityJob) -> Callable[[], None] | None:
        # Without it nothing has to be called in the event loop when a completion is delivered.
        return (
            None
            if self._on_completed is None
            else partial(self._report_end, self._on_completed, job)
        )

    def _report_end(self, hook: ActivityHook, job: ActivityJob) -> None:
        request = job.request
        try:
            hook(request)
        # Too late to fail the activity: its result is delivered.
        except BaseException:  # noqa: BLE001
            with log_errors_ignored():
                self._log.exception(
                    "Instance '%s': _on_activity_execution_completed raised an exception after "
                    "activity '%s'",
                    job.item.instance_id,
                    request.name,
                    extra=_log_fields(job),
                )


def _log_fields(job: ActivityJob) -> dict[str, str | int]:
    """What a log record about the activity carries as `extra`."""
    return {
        **job.item.log_fields,
        "task_name": job.request.name,
        "task_id": job.request.task_id,
    }
