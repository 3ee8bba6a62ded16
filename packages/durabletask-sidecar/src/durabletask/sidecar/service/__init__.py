"""The methods of the protocol as plain functions, in one table.

A handler takes a decoded request and its caller. It returns a message, or, for a method with
many responses, a context manager around an iterator of encoded messages. Handlers raise the
errors that `errors.status_of` maps to a status. `network` serves the table over gRPC; without
gRPC it is called directly:

    service = Service(host)
    start = service.unary[methods.START_INSTANCE]
    response = await start(messages.CreateInstanceRequest(name="order"), Caller("default", {}))

Does not import grpc.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durabletask.protocol import dialects, messages, methods

from .calls import Caller, Submitted
from .entities import Entities
from .histories import Histories
from .hub_dialects import HubDialects
from .instances import Instances
from .management import Management
from .queries import Queries
from .work_items import WorkItems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    import betterproto2

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.sidecar.host import Host

    from .calls import Deliver

__all__ = ["Caller", "Service"]

Unary = Callable[[Any, Caller], "Awaitable[betterproto2.Message]"]
Submitting = Callable[[Any, Caller], Submitted]
Streaming = Callable[[Any, Caller], "AbstractAsyncContextManager[AsyncIterator[bytes]]"]
Delivering = Callable[[Any, Caller], "AbstractAsyncContextManager[Deliver]"]
Recognize = Callable[[bytes, Caller], Caller]


class Service:
    """Every method of the protocol, once: with one response, or with a stream of them.

    `default_dialect` is the dialect of callers that do not show one.
    """

    unary: Mapping[Method, Unary]
    submitting: Mapping[Method, Submitting]
    """The most frequent of them once more, for callers that need not await the commit."""
    streaming: Mapping[Method, Streaming]
    in_batches: Mapping[Method, Delivering]
    """The streaming methods, with as many responses at a time as there are."""

    submit_together: Callable[[Callable[[], None]], None]
    """Calls what begins several of them; their changes are stored by one commit, at once."""

    def __init__(self, host: Host, default_dialect: Dialect | None = None) -> None:
        self.submit_together = host.submit_together
        hub_dialects = HubDialects(default_dialect)
        work = WorkItems(host, hub_dialects)
        histories = Histories(host)
        instances = Instances(host, hub_dialects)
        entities = Entities(host)
        self.submitting = {
            methods.START_INSTANCE: instances.start,
            methods.RAISE_EVENT: instances.raise_event,
            methods.SIGNAL_ENTITY: entities.signal,
            methods.COMPLETE_ORCHESTRATOR_TASK: work.complete_turn,
            methods.COMPLETE_WORKFLOW_TASK: work.complete_turn,
            methods.COMPLETE_ACTIVITY_TASK: work.complete_activity,
        }
        self.unary = {
            methods.HELLO: _hello,
            methods.GET_INSTANCE_HISTORY: histories.get,
            **{method: _awaited(submit) for method, submit in self.submitting.items()},
            **_for_instances(instances),
            **_for_entities(entities),
            **_for_management(host, hub_dialects),
            **_for_workers(work),
        }
        self.streaming = {
            methods.GET_WORK_ITEMS: work.get_work_items,
            methods.STREAM_INSTANCE_HISTORY: histories.stream,
        }
        self.in_batches = {
            methods.GET_WORK_ITEMS: work.get_in_batches,
            methods.STREAM_INSTANCE_HISTORY: histories.stream_in_batches,
        }
        self._recognizers: Mapping[Method, Recognize] = {
            methods.GET_WORK_ITEMS: work.recognize_worker,
            methods.COMPLETE_ORCHESTRATOR_TASK: work.recognize_turn_completion,
            methods.COMPLETE_WORKFLOW_TASK: work.recognize_dapr_turn_completion,
        }

    def recognizer(self, method: Method) -> Recognize:
        """What finds the dialect of an encoded request; it returns the caller with it."""
        is_dapr_only = dialects.TASKHUB not in method.dialects
        own = _recognize_dapr if is_dapr_only else _recognize_nothing
        return self._recognizers.get(method, own)


def _recognize_dapr(_raw: bytes, caller: Caller) -> Caller:
    """Requests of a method that only Dapr has are in its dialect."""
    return replace(caller, dialect=dialects.DAPR)


def _recognize_nothing(_raw: bytes, caller: Caller) -> Caller:
    return caller


def _awaited(submit: Submitting) -> Unary:
    """The same as a method that returns once the change is stored."""

    async def serve(request: Any, caller: Caller) -> betterproto2.Message:
        return await submit(request, caller).wait()

    return serve


def _for_instances(instances: Instances) -> dict[Method, Unary]:
    return {
        methods.GET_INSTANCE: instances.get,
        methods.WAIT_FOR_INSTANCE_START: instances.wait_started,
        methods.WAIT_FOR_INSTANCE_COMPLETION: instances.wait_completed,
        methods.TERMINATE_INSTANCE: instances.terminate,
        methods.SUSPEND_INSTANCE: instances.suspend,
        methods.RESUME_INSTANCE: instances.resume,
    }


def _for_entities(entities: Entities) -> dict[Method, Unary]:
    return {
        methods.GET_ENTITY: entities.get,
        methods.QUERY_ENTITIES: entities.query,
        methods.CLEAN_ENTITY_STORAGE: entities.clean,
    }


def _for_management(host: Host, hub_dialects: HubDialects) -> dict[Method, Unary]:
    management = Management(host, hub_dialects)
    queries = Queries(host)
    return {
        methods.REWIND_INSTANCE: management.rewind,
        methods.RESTART_INSTANCE: management.restart,
        methods.PURGE_INSTANCES: management.purge,
        methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS: management.skip_graceful_terminations,
        methods.RERUN_ORCHESTRATION_FROM_EVENT: management.rerun,
        methods.CREATE_TASK_HUB: management.create_hub,
        methods.DELETE_TASK_HUB: management.delete_hub,
        methods.QUERY_INSTANCES: queries.query_instances,
        methods.LIST_INSTANCE_IDS: queries.list_ids,
        methods.PAGE_INSTANCE_IDS: queries.page_ids,
    }


def _for_workers(work: WorkItems) -> dict[Method, Unary]:
    return {
        methods.COMPLETE_ENTITY_TASK: work.complete_batch,
        methods.ABANDON_ORCHESTRATION_TASK: work.abandon_turn,
        methods.ABANDON_ACTIVITY_TASK: work.abandon_activity,
        methods.ABANDON_ENTITY_TASK: work.abandon_batch,
    }


async def _hello(_request: messages.Empty, _caller: Caller) -> messages.Empty:
    return messages.Empty()
