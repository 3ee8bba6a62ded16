"""The methods for entities: signal one, read one or many, clean up their storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.entities.commands import SignalEntity
from durabletask.sidecar.operations import entity_cleaning
from durabletask.sidecar.store.queries import EntityQuery

from . import pages
from .calls import Submitted, check_given, check_length, entity_id

if TYPE_CHECKING:
    from durabletask.sidecar.engine.entities.state import EntityProgress
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.store.queries import EntitySummary

    from .calls import Caller


class Entities:
    """The methods that concern entities only."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def signal(self, request: messages.SignalEntityRequest, caller: Caller) -> Submitted:
        target = entity_id(request.instance_id)
        check_given("the name of the operation", request.name)
        check_length("the request id", request.request_id)
        command = SignalEntity(
            request.request_id or self._host.new_id(),
            request.name,
            request.input,
            request.scheduled_time,
        )
        storing = self._host.submit(caller.hub, target, command)
        return Submitted(messages.SignalEntityResponse(), storing)

    async def get(
        self, request: messages.GetEntityRequest, caller: Caller
    ) -> messages.GetEntityResponse:
        target = ids.normalized_entity_id(request.instance_id)
        entity = None if target is None else self._host.entity(caller.hub, target)
        if entity is None:
            return messages.GetEntityResponse(exists=False)
        metadata = _metadata(
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
            return _metadata(
                summary.entity_id,
                summary.progress,
                summary.backlog,
                with_state=wanted.include_state,
            )

        after = pages.id_of(wanted.continuation_token)
        found = self._host.reader.entities(caller.hub, _entity_query(wanted), after=after)
        page = pages.page(found, make, pages.size(wanted.page_size))
        token = None if page.last is None else pages.token_of_id(page.last.entity_id)
        return messages.QueryEntitiesResponse(entities=page.items, continuation_token=token)

    async def clean(
        self, request: messages.CleanEntityStorageRequest, caller: Caller
    ) -> messages.CleanEntityStorageResponse:
        outcome = await entity_cleaning.clean(
            self._host,
            caller.hub,
            after=pages.id_of(request.continuation_token),
            empty=request.remove_empty_entities,
            orphaned=request.release_orphaned_locks,
        )
        token = None if outcome.last is None else pages.token_of_id(outcome.last)
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


def _metadata(
    entity_id: str, progress: EntityProgress, backlog: int, *, with_state: bool
) -> messages.EntityMetadata:
    """The metadata; the state only when the caller wants it, since it may be large."""
    holder = progress.holder
    return messages.EntityMetadata(
        instance_id=entity_id,
        last_modified_time=progress.modified_at,
        backlog_queue_size=backlog,
        locked_by=None if holder is None else holder.instance_id,
        serialized_state=progress.state if with_state else None,
    )
