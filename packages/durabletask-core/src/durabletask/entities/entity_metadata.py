"""An entity's state and metadata, as clients get them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.serialization import DEFAULT_DATA_CONVERTER

if TYPE_CHECKING:
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter

    TState = TypeVar("TState")


class EntityMetadata:
    """An entity as a client sees it.

    `last_modified` is aware UTC. `backlog_queue_size` counts the messages that wait for it.
    `locked_by` is the instance id of the orchestration that has locked it, "" if none has.
    `includes_state` says whether the state was asked for.
    """

    def __init__(  # noqa: PLR0917  # the official signature
        self,
        id: EntityInstanceId,
        last_modified: datetime,
        backlog_queue_size: int,
        locked_by: str,
        includes_state: bool,  # noqa: FBT001  # the official signature
        state: str | None,
        data_converter: DataConverter = DEFAULT_DATA_CONVERTER,
    ) -> None:
        self.id = id
        self.last_modified = last_modified
        self.backlog_queue_size = backlog_queue_size
        self.locked_by = locked_by
        self.includes_state = includes_state
        self._state = state
        self._data_converter = data_converter

    @staticmethod
    def from_entity_response(
        entity_response: messages.GetEntityResponse,
        includes_state: bool,  # noqa: FBT001  # the official signature
        data_converter: DataConverter = DEFAULT_DATA_CONVERTER,
    ) -> EntityMetadata:
        """The metadata in an engine's response; ValueError if the entity does not exist."""
        if entity_response.entity is None or not entity_response.exists:
            raise ValueError("Invalid entity instance ID in entity response.")
        return EntityMetadata.from_entity_metadata(
            entity_response.entity, includes_state, data_converter
        )

    @staticmethod
    def from_entity_metadata(
        entity: messages.EntityMetadata,
        includes_state: bool,  # noqa: FBT001  # the official signature
        data_converter: DataConverter = DEFAULT_DATA_CONVERTER,
    ) -> EntityMetadata:
        """The metadata in a message; ValueError if its id is not an entity's."""
        last_modified = entity.last_modified_time or datetime.fromtimestamp(0, UTC)
        return EntityMetadata(
            id=EntityInstanceId.parse(entity.instance_id),
            last_modified=last_modified,
            backlog_queue_size=entity.backlog_queue_size,
            locked_by=entity.locked_by or "",
            includes_state=includes_state,
            state=(entity.serialized_state or "") if includes_state else None,
            data_converter=data_converter,
        )

    @overload
    def get_state(self, intended_type: type[TState]) -> TState | None: ...
    @overload
    def get_state(self, intended_type: None = None) -> Any: ...
    def get_state(self, intended_type: type[TState] | None = None) -> TState | Any | None:
        """The state's raw text, or `intended_type` called with that text.

        For compatibility; use `get_typed_state` to deserialize the state. None if the state
        was not requested, "" if there is none. TypeError if the type refuses the text.
        """
        if intended_type is None or self._state is None:
            return self._state
        try:
            return intended_type(self._state)  # type: ignore[call-arg]  # any type of one argument
        except Exception as misfit:
            raise TypeError(
                f"Could not convert state of type '{type(self._state).__name__}' to "
                f"'{intended_type.__name__}'"
            ) from misfit

    @overload
    def get_typed_state(self, intended_type: type[TState]) -> TState | None: ...
    @overload
    def get_typed_state(self, intended_type: None = None) -> Any: ...
    def get_typed_state(self, intended_type: type[TState] | None = None) -> TState | Any | None:
        """The state as the data converter deserializes it; None if there is none."""
        return self._data_converter.deserialize(self._state, intended_type) if self._state else None

    def get_locked_by(self) -> EntityInstanceId | None:
        """The holder of the lock as an entity id; None if it is not locked.

        ValueError if the holder's id is not an entity id, which ids of orchestrations seldom
        are: use `locked_by`.
        """
        return EntityInstanceId.parse(self.locked_by) if self.locked_by else None

    def __repr__(self) -> str:
        return (
            f"EntityMetadata(id={str(self.id)!r}, last_modified={self.last_modified!s}, "
            f"backlog_queue_size={self.backlog_queue_size}, locked_by={self.locked_by!r}, "
            f"includes_state={self.includes_state})"
        )
