"""The methods for entities: signal one, look at one or many, clear up after them.

Knows nothing about operations: the engine does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.entities.commands import SignalEntity
from durabletask.sidecar.operations import entity_cleaning
from durabletask.sidecar.store.queries import EntityQuery

from . import continuation, pages, states
from .errors import check
from .ids import check_given, check_length, entity_id

if TYPE_CHECKING:
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.network.rpc import Caller
    from durabletask.sidecar.store.queries import EntitySummary


class Entities:
    """What a client may ask of entities."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def signal(
        self, request: messages.SignalEntityRequest, caller: Caller
    ) -> messages.SignalEntityResponse:
        target = entity_id(request.instance_id)
        check_given("the name of the operation", request.name)
        check_length("the request id", request.request_id)
        command = SignalEntity(
            request.request_id or self._host.new_id(),
            request.name,
            request.input,
            request.scheduled_time,
        )
        check(await self._host.execute(caller.hub, target, command))
        return messages.SignalEntityResponse()

    async def get(
        self, request: messages.GetEntityRequest, caller: Caller
    ) -> messages.GetEntityResponse:
        target = ids.normalized_entity_id(request.instance_id)
        entity = None if target is None else self._host.entity(caller.hub, target)
        if entity is None:
            return messages.GetEntityResponse(exists=False)
        metadata = states.of_entity(
            entity.entity_id,
            entity.progress,
            len(entity.queue),
            with_state=request.include_state,
        )
        return messages.GetEntityResponse(exists=True, entity=metadata)

    async def query(
        self, request: messages.QueryEntitiesRequest, caller: Caller
    ) -> messages.QueryEntitiesResponse:
        wanted = request.query or messages.EntityQuery()

        def make(summary: EntitySummary) -> messages.EntityMetadata:
            return states.of_entity(
                summary.entity_id,
                summary.progress,
                summary.backlog,
                with_state=wanted.include_state,
            )

        after = continuation.id_of(wanted.continuation_token)
        found = self._host.reader.entities(caller.hub, _entity_query(wanted), after=after)
        page = pages.page(found, make, pages.size(wanted.page_size))
        token = None if page.last is None else continuation.behind_id(page.last.entity_id)
        return messages.QueryEntitiesResponse(entities=page.items, continuation_token=token)

    async def clean(
        self, request: messages.CleanEntityStorageRequest, caller: Caller
    ) -> messages.CleanEntityStorageResponse:
        outcome = await entity_cleaning.clean(
            self._host,
            caller.hub,
            after=continuation.id_of(request.continuation_token),
            empty=request.remove_empty_entities,
            orphaned=request.release_orphaned_locks,
        )
        token = None if outcome.last is None else continuation.behind_id(outcome.last)
        return messages.CleanEntityStorageResponse(
            continuation_token=token,
            empty_entities_removed=outcome.removed,
            orphaned_locks_released=outcome.released,
        )


def _entity_query(wanted: messages.EntityQuery) -> EntityQuery:
    return EntityQuery(
        ids.normalized_entity_id_prefix(wanted.instance_id_starts_with or ""),
        wanted.last_modified_from,
        wanted.last_modified_to,
        wanted.include_transient,
    )
