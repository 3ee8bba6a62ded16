"""The methods for instances that have ended, or should have: restart, rewind, purge, end.

Knows nothing about what a command does: the engine does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar import purge
from durabletask.sidecar.engine.commands import Restart, Rewind, Terminate
from durabletask.sidecar.engine.transition import ACCEPTED, InvalidArgument
from durabletask.sidecar.store.queries import InstanceQuery

from .errors import RefusedError
from .execution import execute

if TYPE_CHECKING:
    from durabletask.sidecar.host import Host

    from .rpc import Caller

_MOST_SKIPPED = 500


class Management:
    """What an operator may ask of the sidecar."""

    def __init__(self, host: Host) -> None:
        self._host = host

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

    async def purge(
        self, request: messages.PurgeInstancesRequest, caller: Caller
    ) -> messages.PurgeInstancesResponse:
        """Forget what is named, or what the filter finds.

        Ids say by their form whether they are an orchestration's or an entity's. The flag
        for it is no help: older clients do not send it, which reads as `false`.
        """
        wanted = request.purge_instance_filter
        if wanted is None:
            names = _names(request)
            outcome = await purge.named(self._host, caller.hub, names, recursive=request.recursive)
        else:
            outcome = await purge.found(
                self._host,
                caller.hub,
                _query(wanted),
                recursive=request.recursive,
                within=wanted.timeout,
            )
        return messages.PurgeInstancesResponse(
            deleted_instance_count=outcome.count, is_complete=outcome.is_complete
        )

    async def skip_graceful_terminations(
        self, request: messages.SkipGracefulOrchestrationTerminationsRequest, caller: Caller
    ) -> messages.SkipGracefulOrchestrationTerminationsResponse:
        """End the instances, and say which of them there was nothing to end of."""
        batch = request.instance_batch or messages.InstanceBatch()
        if len(batch.instance_ids) > _MOST_SKIPPED:
            given = len(batch.instance_ids)
            text = f"{given} instances are to be terminated; {_MOST_SKIPPED} are allowed at once"
            raise RefusedError(InvalidArgument(text))
        # An id that is given twice is terminated once, and was terminated all the same.
        names = dict.fromkeys(batch.instance_ids)
        command = Terminate(request.reason, must_be_live=True)
        replies = await asyncio.gather(
            *(self._host.execute(caller.hub, name, command) for name in names)
        )
        answered = zip(names, replies, strict=True)
        return messages.SkipGracefulOrchestrationTerminationsResponse(
            unterminated_instance_ids=[name for name, reply in answered if reply != ACCEPTED]
        )


def _names(request: messages.PurgeInstancesRequest) -> list[str]:
    if request.instance_batch is not None:
        return request.instance_batch.instance_ids
    if request.instance_id is not None:
        return [request.instance_id]
    text = "a purge needs an instance id, a batch of them, or a filter"
    raise RefusedError(InvalidArgument(text))


def _query(wanted: messages.PurgeInstanceFilter) -> InstanceQuery:
    return InstanceQuery(
        frozenset(wanted.runtime_status), wanted.created_time_from, wanted.created_time_to
    )
