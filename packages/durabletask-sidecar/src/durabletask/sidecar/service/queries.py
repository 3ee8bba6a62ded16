"""The methods that search orchestrations: query their states, list their ids."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.store.queries import EndedQuery, InstanceQuery

from . import pages
from .instances import orchestration_state

if TYPE_CHECKING:
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.store.queries import InstanceSummary

    from .calls import Caller

# The page size of the official backend when the caller does not give one.
_DEFAULT_IDS = 100


class Queries:
    """The methods that search orchestrations."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def query_instances(
        self, request: messages.QueryInstancesRequest, caller: Caller
    ) -> messages.QueryInstancesResponse:
        wanted = request.query or messages.InstanceQuery()
        after = pages.key_of(wanted.continuation_token)
        if wanted.task_hub_names and caller.hub not in wanted.task_hub_names:
            return messages.QueryInstancesResponse()

        def make(summary: InstanceSummary) -> messages.OrchestrationState:
            return orchestration_state(summary, payloads=wanted.fetch_inputs_and_outputs)

        found = self._host.reader.instances(caller.hub, _instance_query(wanted), after=after)
        page = pages.page(found, make, pages.size(wanted.max_instance_count))
        token = None if page.last is None else pages.token_of_key(page.last.key)
        return messages.QueryInstancesResponse(
            orchestration_state=page.items, continuation_token=token
        )

    async def list_ids(
        self, request: messages.ListInstanceIdsRequest, caller: Caller
    ) -> messages.ListInstanceIdsResponse:
        after = pages.key_of_readable(request.last_instance_key)
        query = EndedQuery(
            frozenset(request.runtime_status),
            request.completed_time_from,
            request.completed_time_to,
        )
        most = pages.size(request.page_size or _DEFAULT_IDS)
        found = list(islice(self._host.reader.ended(caller.hub, query, after=after), most + 1))
        has_more = len(found) > most
        key = pages.readable_token_of_key(found[most - 1]) if has_more else None
        return messages.ListInstanceIdsResponse(
            instance_ids=[instance_id for _, instance_id in found[:most]], last_instance_key=key
        )

    async def page_ids(
        self, request: messages.PageInstanceIdsRequest, caller: Caller
    ) -> messages.PageInstanceIdsResponse:
        """Dapr's list: all orchestrations, in the order of their creation."""
        after = pages.key_of(request.continuation_token)
        most = pages.size(request.page_size)
        everything = self._host.reader.instances(caller.hub, InstanceQuery(), after=after)
        found = [each.key for each in islice(everything, most + 1)]
        token = pages.token_of_key(found[most - 1]) if len(found) > most else None
        return messages.PageInstanceIdsResponse(
            instance_ids=[instance_id for _, instance_id in found[:most]],
            continuation_token=token,
        )


def _instance_query(wanted: messages.InstanceQuery) -> InstanceQuery:
    return InstanceQuery(
        frozenset(wanted.runtime_status),
        wanted.created_time_from,
        wanted.created_time_to,
        wanted.instance_id_prefix or "",
    )
