"""The base class for entities whose operations are methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.entities.entity_context import EntityContext
    from durabletask.entities.entity_instance_id import EntityInstanceId

    TState = TypeVar("TState")


class DurableEntity:
    """Inherit from it; each public method of the subclass, and `delete`, is an operation.

    Each operation gets a new object, made without arguments, so attributes do not outlive the
    operation: keep lasting values in the state. The methods below are for use in operations,
    and are not operations themselves.

    Example:
        class Counter(DurableEntity):
            def add(self, amount: int) -> int:
                total = self.get_state(int, 0) + amount
                self.set_state(total)
                return total

    In a test give it a context: `counter.entity_context = EntityContext("@counter@a", "add")`.
    """

    _entity_context: EntityContext | None = None

    @property
    def entity_context(self) -> EntityContext:
        """The context of the current operation; there is none during `__init__`."""
        if self._entity_context is None:
            raise AttributeError(
                f"{type(self).__name__} has no entity_context: an entity has its state during "
                "its operations only, not in `__init__`. Use `self.get_state(int, 0)` in the "
                "operation to begin with a default; a test sets `entity.entity_context = "
                "EntityContext('@name@key', 'operation')`."
            )
        return self._entity_context

    @entity_context.setter
    def entity_context(self, context: EntityContext) -> None:
        self._entity_context = context

    @overload
    def get_state(self, intended_type: type[TState], default: TState) -> TState: ...
    @overload
    def get_state(self, intended_type: type[TState]) -> TState | None: ...
    @overload
    def get_state(self, intended_type: None = None, default: Any = None) -> Any: ...
    def get_state(
        self, intended_type: type[TState] | None = None, default: TState | None = None
    ) -> TState | Any | None:
        """A copy of the state, as that type; `default` if there is none.

        TypeError if the state cannot be converted to that class. To change the state, call
        `set_state`.
        """
        return self.entity_context.get_state(intended_type, default)

    def set_state(self, state: Any) -> None:
        """Set the state; None deletes the entity."""
        self.entity_context.set_state(state)

    def signal_entity(
        self,
        entity_instance_id: EntityInstanceId,
        operation: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Send an operation to an entity, due at `signal_time`, without waiting for a result.

        A naive time is UTC. An entity may signal itself.
        """
        self.entity_context.signal_entity(entity_instance_id, operation, input, signal_time)

    def schedule_new_orchestration(
        self, orchestration_name: str, input: Any = None, instance_id: str | None = None
    ) -> str:
        """Start an orchestration and return its id, which is new unless given.

        Does nothing if an orchestration with that id exists.
        """
        return self.entity_context.schedule_new_orchestration(
            orchestration_name, input, instance_id
        )

    def delete(self, input: Any = None) -> None:  # noqa: ARG002  # operations may be sent one
        """Delete the entity. Unlike the others, this method is an operation."""
        self.set_state(None)
