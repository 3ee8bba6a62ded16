"""One call of an activity: work item in, result or failure out.

Sync and `async def` activities share all but the place of the call: a thread, or the
loop. Knows nothing about streams and delivery.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.core import activity
from durabletask.protocol import messages, methods, work_items

from ._work import Answer, WorkItem

if TYPE_CHECKING:
    import logging

    from durabletask.core.registry import Registry

Hook = Callable[["messages.ActivityRequest"], None]


@dataclass(frozen=True, slots=True)
class Call:
    """An activity work item, decoded, with the function it is for."""

    item: WorkItem
    request: messages.ActivityRequest
    call: activity.ActivityCall


class Activities:
    """Does activity work items: `async def` ones on the loop, the others on threads.

    `started` is called just before the user's function, where that runs, and fails the
    activity if it raises. `completed` is called on the loop when the answer is delivered.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        started: Hook,
        completed: Hook,
        log: logging.Logger,
    ) -> None:
        self._registry = registry
        self._started = started
        self._completed = completed
        self._log = log

    def prepare(self, item: WorkItem) -> Call:
        request = work_items.decode(item.raw, item.peer.dialect).activity_request
        assert request is not None
        return Call(item, request, activity.prepare(request, self._registry, item.peer.settings))

    def coroutine(self, call: Call) -> Coroutine[Any, Any, Answer] | None:
        return self._perform_async(call) if call.call.is_async else None

    def perform(self, call: Call) -> Answer | Coroutine[Any, Any, Answer]:
        outcome = self._begin(call)
        # A plain function around an `async def` gives one too, which belongs on the loop.
        if isinstance(outcome, activity.Returned) and inspect.iscoroutine(outcome.value):
            return self._await(call, outcome.value)
        return self._finish(call, outcome)

    def abandon(self, item: WorkItem) -> Answer:
        request = messages.AbandonActivityTaskRequest(completion_token=item.token)
        return Answer(item, methods.ABANDON_ACTIVITY_TASK, request)

    async def _perform_async(self, call: Call) -> Answer:
        begun = self.perform(call)
        return begun if isinstance(begun, Answer) else await begun

    def _begin(self, call: Call) -> activity.CallOutcome:
        try:
            self._started(call.request)
            return activity.Returned(call.call.call())
        # SystemExit as well: it may fail the activity that raised it, not the worker.
        except BaseException as error:  # noqa: BLE001
            return activity.Raised(error)

    async def _await(self, call: Call, coroutine: Coroutine[Any, Any, Any]) -> Answer:
        try:
            outcome: activity.CallOutcome = activity.Returned(await coroutine)
        # asyncio stops the whole loop for a SystemExit that leaves a task. A cancellation is
        # the user's own: of a worker that gives up, nobody wants the answer any more.
        except BaseException as error:  # noqa: BLE001
            outcome = activity.Raised(error)
        return self._finish(call, outcome)

    def _finish(self, call: Call, outcome: activity.CallOutcome) -> Answer:
        return Answer(
            call.item,
            methods.COMPLETE_ACTIVITY_TASK,
            self._response(call, outcome),
            or_else=partial(self._refused, call),
            then=partial(self._tell_completed, call.request),
        )

    def _refused(self, call: Call, why: Exception) -> Answer:
        error = type(why)(f"The result of activity '{call.request.name}' cannot be stored: {why}")
        response = self._response(call, activity.Raised(error))
        return Answer(call.item, methods.COMPLETE_ACTIVITY_TASK, response)

    def _response(self, call: Call, outcome: activity.CallOutcome) -> messages.ActivityResponse:
        return activity.finish(
            call.request, outcome, call.item.peer.settings, completion_token=call.item.token
        )

    def _tell_completed(self, request: messages.ActivityRequest) -> None:
        try:
            self._completed(request)
        # Too late for the activity, whose result the sidecar has.
        except BaseException:  # noqa: BLE001
            self._log.exception(
                "_on_activity_execution_completed raised after activity '%s'.", request.name
            )
