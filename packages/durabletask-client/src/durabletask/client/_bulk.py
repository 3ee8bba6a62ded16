"""Operations on many instances at once: query, list, purge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.client import _conversions as conversions
from durabletask.client import _dapr as dapr
from durabletask.client._flow import Call, IdentifyEngine
from durabletask.client._queries import (
    OrchestrationQuery,
    Page,
    gather,
    new_purge_instances_result,
    next_token,
)
from durabletask.client._state import parse_orchestration_state
from durabletask.core import arguments
from durabletask.protocol import messages, methods
from durabletask.transport import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.client._flow import Flow
    from durabletask.client._queries import PurgeInstancesResult
    from durabletask.client._state import OrchestrationState, OrchestrationStatus
    from durabletask.serialization import DataConverter
    from durabletask.transport.constructor_arguments import HubLogger
    from durabletask.transport.engine_detection import Engine

LONGEST_PURGE = 3600.0
"""Seconds that a purge by conditions may take when its caller sets no limit."""


@dataclass(frozen=True, slots=True)
class BulkFlows:
    """The operations, with the converter and the logger that they share."""

    converter: DataConverter
    log: HubLogger

    def states(self, query: OrchestrationQuery | None) -> Flow[list[OrchestrationState]]:
        """Look up all instances that the query finds."""
        return (yield from gather(lambda token: self.states_after(query, token)))

    def states_after(
        self, query: OrchestrationQuery | None, token: str | None
    ) -> Flow[Page[OrchestrationState]]:
        """Look up the page that follows the one with that token."""
        request = messages.QueryInstancesRequest(query=_instance_query(query, token))
        response = yield Call(methods.QUERY_INSTANCES, request)
        return Page(
            [
                parse_orchestration_state(state, self.converter)
                for state in response.orchestration_state
            ],
            next_token(response.continuation_token, token),
        )

    def ids(
        self,
        *,
        runtime_status: Iterable[OrchestrationStatus] | None,
        completed_time_from: datetime | None,
        completed_time_to: datetime | None,
        page_size: int | None,
        continuation_token: str | None,
    ) -> Flow[Page[str]]:
        """List a page of the ids of instances that have ended."""
        token = arguments.optional_text(continuation_token, "continuation_token") or None
        request = messages.ListInstanceIdsRequest(
            runtime_status=conversions.statuses(runtime_status, "runtime_status"),
            completed_time_from=conversions.aware(completed_time_from, "completed_time_from"),
            completed_time_to=conversions.aware(completed_time_to, "completed_time_to"),
            page_size=conversions.count(page_size, "page_size"),
            last_instance_key=token,
        )
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            return (yield from _all_ids(engine, request))
        response = yield Call(methods.LIST_INSTANCE_IDS, request)
        return Page(list(response.instance_ids), next_token(response.last_instance_key, token))

    def purge(
        self,
        *,
        created_time_from: datetime | None,
        created_time_to: datetime | None,
        runtime_status: Iterable[OrchestrationStatus] | None,
        recursive: bool,
        timeout: timedelta | None,
    ) -> Flow[PurgeInstancesResult]:
        """Delete all instances that have ended and meet the conditions."""
        request = messages.PurgeInstancesRequest(
            purge_instance_filter=messages.PurgeInstanceFilter(
                created_time_from=conversions.aware(created_time_from, "created_time_from"),
                created_time_to=conversions.aware(created_time_to, "created_time_to"),
                runtime_status=conversions.statuses(runtime_status, "runtime_status"),
                timeout=_positive(timeout),
            ),
            recursive=recursive,
        )
        self.log.info("Purging instances created from %s to %s", created_time_from, created_time_to)
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            yield from dapr.unsupported(
                engine,
                methods.PURGE_INSTANCES,
                "purge instances by conditions (PurgeInstances with a filter)",
                "purge each by its id with purge_orchestration; list_instance_ids gives the ids",
            )
        response = yield Call(methods.PURGE_INSTANCES, request, _deadline(timeout))
        return new_purge_instances_result(response)


def _all_ids(engine: Engine, request: messages.ListInstanceIdsRequest) -> Flow[Page[str]]:
    method, token = methods.PAGE_INSTANCE_IDS, request.last_instance_key
    if request.runtime_status or request.completed_time_from or request.completed_time_to:
        yield from dapr.unsupported(
            engine,
            method,
            f"list ids by status or time ({method.name})",
            "list all ids and look up those of interest with get_orchestration_state",
        )
    response = yield Call(
        method,
        messages.PageInstanceIdsRequest(
            continuation_token=token, page_size=request.page_size or None
        ),
    )
    return Page(list(response.instance_ids), next_token(response.continuation_token, token))


def _instance_query(query: OrchestrationQuery | None, token: str | None) -> messages.InstanceQuery:
    if query is None:
        query = OrchestrationQuery()
    arguments.instance_of(OrchestrationQuery, query, "orchestration_query")
    return messages.InstanceQuery(
        runtime_status=conversions.statuses(query.runtime_status, "runtime_status"),
        created_time_from=conversions.aware(query.created_time_from, "created_time_from"),
        created_time_to=conversions.aware(query.created_time_to, "created_time_to"),
        max_instance_count=conversions.count(query.max_instance_count, "max_instance_count"),
        continuation_token=token,
        instance_id_prefix=arguments.optional_text(query.instance_id_prefix, "instance_id_prefix"),
        fetch_inputs_and_outputs=query.fetch_inputs_and_outputs,
    )


def _positive(timeout: timedelta | None) -> timedelta | None:
    if timeout is None:
        return None
    if arguments.instance_of(timedelta, timeout, "timeout") <= timedelta(0):
        raise ValueError("timeout must be greater than zero.")
    return timeout


def _deadline(timeout: timedelta | None) -> float:
    # The engine stops in time by itself and reports what it has done; the call outlasts it.
    return LONGEST_PURGE if timeout is None else timeout.total_seconds() + DEFAULT_TIMEOUT
