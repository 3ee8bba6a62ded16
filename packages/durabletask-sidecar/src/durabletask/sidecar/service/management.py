"""The methods for operators: rewind, restart, rerun, purge and end instances; task hubs.

A task hub needs no creation: it exists as soon as a call names it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import Rerun, Restart, Rewind, Terminate
from durabletask.sidecar.engine.transition import (
    ACCEPTED,
    FailedPrecondition,
    InvalidArgument,
    instance_not_found,
)
from durabletask.sidecar.operations import purge
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.encoded_events import decoded
from durabletask.sidecar.store.queries import InstanceQuery

from .calls import INSTANCE_ID, check_given, check_length, check_new, execute
from .errors import RefusedError

if TYPE_CHECKING:
    from durabletask.sidecar.host import Host

    from .calls import Caller
    from .hub_dialects import HubDialects

_MAX_BATCH = 500


class Management:
    """The methods that operators call."""

    def __init__(self, host: Host, hub_dialects: HubDialects) -> None:
        self._host = host
        self._hub_dialects = hub_dialects

    async def rewind(
        self, request: messages.RewindInstanceRequest, caller: Caller
    ) -> messages.RewindInstanceResponse:
        await execute(self._host, caller, request.instance_id, Rewind(request.reason))
        return messages.RewindInstanceResponse()

    async def restart(
        self, request: messages.RestartInstanceRequest, caller: Caller
    ) -> messages.RestartInstanceResponse:
        new_id = self._host.new_id() if request.restart_with_new_instance_id else None
        await execute(self._host, caller, request.instance_id, Restart(new_id))
        return messages.RestartInstanceResponse(instance_id=new_id or request.instance_id)

    async def rerun(
        self, request: messages.RerunOrchestrationFromEventRequest, caller: Caller
    ) -> messages.RerunOrchestrationFromEventResponse:
        source_id = request.source_instance_id
        new_id = request.new_instance_id or self._host.new_id()
        check_new(new_id)
        self._check_source(source_id, new_id, caller)
        history = self._host.reader.history(Key(caller.hub, source_id))
        command = Rerun(
            source_id,
            decoded(history),
            request.event_id,
            request.input,
            request.overwrite_input,
            request.new_sub_orchestration_instance_id,
        )
        await execute(self._host, caller, new_id, command)
        return messages.RerunOrchestrationFromEventResponse(new_instance_id=new_id)

    def _check_source(self, source_id: str, new_id: str, caller: Caller) -> None:
        check_given(INSTANCE_ID, source_id)
        check_length(INSTANCE_ID, source_id)
        source = self._host.instance(caller.hub, source_id)
        if source is None:
            raise RefusedError(instance_not_found(source_id))
        if source.is_live:
            status = source.progress.status.name
            text = f"'{source_id}' is {status}; only an instance that has ended can be rerun"
            raise RefusedError(InvalidArgument(text))
        if source.origin.parent is not None:
            text = f"'{source_id}' is a sub-orchestration; its parent can be rerun instead"
            raise RefusedError(InvalidArgument(text))
        if source_id == new_id:
            text = f"'{source_id}' cannot be rerun under its own id"
            raise RefusedError(InvalidArgument(text))

    async def purge(
        self, request: messages.PurgeInstancesRequest, caller: Caller
    ) -> messages.PurgeInstancesResponse:
        """Remove the instances that are named, or those that the filter matches.

        The form of an id tells an orchestration from an entity. The flag for it does not:
        older clients do not send it, which reads as `false`.
        """
        wanted = request.purge_instance_filter
        if wanted is None:
            names = _names(request)
            self._check_purge(request, caller)
            outcome = await purge.purge_ids(
                self._host,
                caller.hub,
                names,
                recursive=request.recursive,
                even_live=bool(request.force),
            )
        else:
            outcome = await purge.purge_matching(
                self._host,
                caller.hub,
                _query(wanted),
                recursive=request.recursive,
                within=wanted.timeout,
            )
        return messages.PurgeInstancesResponse(
            deleted_instance_count=outcome.count, is_complete=outcome.is_complete
        )

    def _check_purge(self, request: messages.PurgeInstancesRequest, caller: Caller) -> None:
        """Refuse what cannot be purged to Dapr's clients; Microsoft's see it by the count."""
        name = request.instance_id
        is_dapr = self._hub_dialects.is_dapr(caller.hub) and not request.is_orchestration
        if name is None or request.force or not is_dapr:
            return
        instance = self._host.instance(caller.hub, name)
        if instance is None:
            raise RefusedError(instance_not_found(name))
        if instance.is_live:
            text = f"failed to purge: orchestration has not yet completed: {name}"
            raise RefusedError(FailedPrecondition(text))

    async def skip_graceful_terminations(
        self, request: messages.SkipGracefulOrchestrationTerminationsRequest, caller: Caller
    ) -> messages.SkipGracefulOrchestrationTerminationsResponse:
        """Terminate the instances; return the ids of those that were not running."""
        batch = request.instance_batch or messages.InstanceBatch()
        if len(batch.instance_ids) > _MAX_BATCH:
            given = len(batch.instance_ids)
            text = f"the batch has {given} instance ids; at most {_MAX_BATCH} are allowed"
            raise RefusedError(InvalidArgument(text))
        # An id that is given twice is terminated once.
        names = dict.fromkeys(batch.instance_ids)
        command = Terminate(request.reason, must_be_live=True)
        replies = await asyncio.gather(
            *(self._host.execute(caller.hub, name, command) for name in names)
        )
        answered = zip(names, replies, strict=True)
        return messages.SkipGracefulOrchestrationTerminationsResponse(
            unterminated_instance_ids=[name for name, reply in answered if reply != ACCEPTED]
        )

    async def create_hub(
        self, request: messages.CreateTaskHubRequest, caller: Caller
    ) -> messages.CreateTaskHubResponse:
        if request.recreate_if_exists:
            self._host.wipe(caller.hub)
        return messages.CreateTaskHubResponse()

    async def delete_hub(
        self, _request: messages.DeleteTaskHubRequest, caller: Caller
    ) -> messages.DeleteTaskHubResponse:
        self._host.wipe(caller.hub)
        return messages.DeleteTaskHubResponse()


def _names(request: messages.PurgeInstancesRequest) -> list[str]:
    if request.instance_batch is not None:
        return request.instance_batch.instance_ids
    if request.instance_id is not None:
        return [request.instance_id]
    text = "a purge needs an instance id, a batch of instance ids, or a filter"
    raise RefusedError(InvalidArgument(text))


def _query(wanted: messages.PurgeInstanceFilter) -> InstanceQuery:
    return InstanceQuery(
        frozenset(wanted.runtime_status), wanted.created_time_from, wanted.created_time_to
    )
