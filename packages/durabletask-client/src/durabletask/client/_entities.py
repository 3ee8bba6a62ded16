"""Operations on entities: signal, get, query, clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.client import _conversions as conversions
from durabletask.client._flow import Call
from durabletask.client._queries import (
    CleanEntityStorageResult,
    EntityQuery,
    Page,
    gather,
    next_token,
)
from durabletask.core import arguments
from durabletask.protocol import messages, methods
from durabletask.serialization.checks import serialized
from durabletask.transport.errors import InstanceNotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.client._flow import Flow
    from durabletask.entities import EntityInstanceId, EntityMetadata
    from durabletask.serialization import DataConverter
    from durabletask.transport.constructor_arguments import HubLogger


@dataclass(frozen=True, slots=True)
class EntityFlows:
    """The operations, with the converter and the logger that they share."""

    converter: DataConverter
    log: HubLogger

    def signal(
        self,
        entity_instance_id: EntityInstanceId,
        operation_name: str,
        *,
        input: Any,
        signal_time: datetime | None,
        request_id: str,
    ) -> Flow[None]:
        """Send an operation to an entity; `request_id` tells this signal from all others."""
        instance_id = _id(entity_instance_id)
        request = messages.SignalEntityRequest(
            instance_id=instance_id,
            name=arguments.text(operation_name, "operation_name"),
            input=serialized(input, self.converter),
            request_id=request_id,
            scheduled_time=conversions.aware(signal_time, "signal_time"),
        )
        self.log.info(
            "Signaling entity '%s' with operation '%s'",
            instance_id,
            operation_name,
            extra={"instance_id": instance_id},
        )
        yield Call(methods.SIGNAL_ENTITY, request)

    def get(
        self, entity_instance_id: EntityInstanceId, *, include_state: bool
    ) -> Flow[EntityMetadata | None]:
        """Look an entity up."""
        from durabletask.entities import EntityMetadata

        request = messages.GetEntityRequest(
            instance_id=_id(entity_instance_id), include_state=include_state
        )
        try:
            response = yield Call(methods.GET_ENTITY, request)
        except InstanceNotFoundError:
            return None
        if not response.exists:
            return None
        return EntityMetadata.from_entity_response(response, include_state, self.converter)

    def matching(self, query: EntityQuery | None) -> Flow[list[EntityMetadata]]:
        """Look up all entities that the query finds."""
        return (yield from gather(lambda token: self.matching_after(query, token)))

    def matching_after(
        self, query: EntityQuery | None, token: str | None
    ) -> Flow[Page[EntityMetadata]]:
        """Look up the page that follows the one with that token."""
        from durabletask.entities import EntityMetadata

        if query is None:
            query = EntityQuery()
        request = messages.QueryEntitiesRequest(query=_entity_query(query, token))
        response = yield Call(methods.QUERY_ENTITIES, request)
        return Page(
            [
                EntityMetadata.from_entity_metadata(entity, query.include_state, self.converter)
                for entity in response.entities
            ],
            next_token(response.continuation_token, token),
        )

    def clean(
        self, *, remove_empty_entities: bool, release_orphaned_locks: bool
    ) -> Flow[CleanEntityStorageResult]:
        """Clean the storage of entities, until the engine says that nothing is left to do."""
        self.log.info("Cleaning the storage of entities")
        rounds = yield from gather(
            lambda token: _clean_once(
                messages.CleanEntityStorageRequest(
                    continuation_token=token,
                    remove_empty_entities=remove_empty_entities,
                    release_orphaned_locks=release_orphaned_locks,
                )
            )
        )
        return CleanEntityStorageResult(
            sum(done.empty_entities_removed for done in rounds),
            sum(done.orphaned_locks_released for done in rounds),
        )


def _clean_once(
    request: messages.CleanEntityStorageRequest,
) -> Flow[Page[messages.CleanEntityStorageResponse]]:
    response = yield Call(methods.CLEAN_ENTITY_STORAGE, request)
    token = next_token(response.continuation_token, request.continuation_token)
    return Page([response], token)


def _id(entity_instance_id: object) -> str:
    from durabletask.entities import EntityInstanceId

    if not isinstance(entity_instance_id, EntityInstanceId):
        wanted = "an EntityInstanceId (EntityInstanceId.parse reads a text)"
        raise arguments.wrong_type("entity_instance_id", wanted, entity_instance_id)
    return str(entity_instance_id)


def _entity_query(query: EntityQuery, token: str | None) -> messages.EntityQuery:
    arguments.instance_of(EntityQuery, query, "entity_query")
    return messages.EntityQuery(
        instance_id_starts_with=arguments.optional_text(
            query.instance_id_starts_with, "instance_id_starts_with"
        ),
        last_modified_from=conversions.aware(query.last_modified_from, "last_modified_from"),
        last_modified_to=conversions.aware(query.last_modified_to, "last_modified_to"),
        include_state=query.include_state,
        include_transient=query.include_transient,
        page_size=conversions.count(query.page_size, "page_size") or None,
        continuation_token=token,
    )
