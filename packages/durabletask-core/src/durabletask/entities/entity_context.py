"""The context of an entity's operation: its state, and the actions it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.serialization import DEFAULT_DATA_CONVERTER
from durabletask.serialization.checks import optional_text, serialized, text, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.serialization import DataConverter

    TState = TypeVar("TState")


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """Signal an entity, due at `signal_time`; `input` is serialized."""

    entity_id: EntityInstanceId
    operation: str
    input: str | None = None
    signal_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Start an orchestration; `input` is serialized."""

    orchestration_name: str
    instance_id: str
    input: str | None = None


EntityRequest: TypeAlias = SignalRequest | StartRequest


class EntityState:
    """The state during one operation, held as text; `text` is None if there is none.

    Reading makes a new value each time, and setting serializes at once: changing a value that
    was read changes nothing until it is set, and what cannot be serialized fails where it is
    set.
    """

    __slots__ = ("_converter", "text")

    def __init__(self, text: str | None, converter: DataConverter) -> None:
        self.text = text
        self._converter = converter

    def get(self, intended_type: Any = None, default: Any = None) -> Any:
        """The state as that type; TypeError if it cannot be converted to that class.

        `default` if there is none. For hints that are not classes, such as `list[int]`, the
        conversion is best effort.
        """
        if self.text is None:
            return default
        value = self._converter.deserialize(self.text, intended_type)
        if isinstance(intended_type, type) and not isinstance(value, intended_type):
            raise TypeError(
                f"Could not convert state of type '{type(value).__name__}' to "
                f"'{intended_type.__name__}'"
            )
        return value

    def set(self, state: Any) -> None:
        """Set the state; None removes it."""
        self.text = serialized(state, self._converter)


class EntityContext:
    """One operation of one entity; the first argument of an entity that is a function.

    The state and the `requests` take effect only if the operation succeeds. A test needs no
    engine:

        def counter(ctx: EntityContext, amount: int) -> int:
            ctx.set_state(ctx.get_state(int, 0) + amount)
            return ctx.get_state(int)

        ctx = EntityContext("@counter@visits", "add", 5)
        assert counter(ctx, 3) == 8
        assert ctx.get_state() == 8
        assert ctx.requests == []

    `orchestration_id`, the official name, is the entity's own id as text. `state` is the state
    before the operation. `new_instance_id` gives ids to orchestrations started without one.
    """

    def __init__(
        self,
        orchestration_id: str,
        operation: str,
        state: Any = None,
        entity_id: EntityInstanceId | None = None,
        data_converter: DataConverter = DEFAULT_DATA_CONVERTER,
        *,
        new_instance_id: Callable[[], str] | None = None,
    ) -> None:
        self._orchestration_id = orchestration_id
        self._operation = operation
        self._entity_id = entity_id or EntityInstanceId.parse(orchestration_id)
        self._data_converter = data_converter
        self._new_instance_id = new_instance_id or self._numbered_instance_id
        self._requests: list[EntityRequest] = []
        if isinstance(state, EntityState):
            self._state = state
        else:
            self._state = EntityState(None, data_converter)
            self._state.set(state)

    @property
    def orchestration_id(self) -> str:
        """The entity's id, as text."""
        return self._orchestration_id

    @property
    def entity_id(self) -> EntityInstanceId:
        """The entity's id."""
        return self._entity_id

    @property
    def operation(self) -> str:
        """The name of the operation."""
        return self._operation

    @property
    def requests(self) -> list[EntityRequest]:
        """The signals and starts that the operation asked for, in order."""
        return self._requests

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
        return self._state.get(intended_type, default)

    def set_state(self, new_state: Any) -> None:
        """Set the state; None deletes the entity."""
        self._state.set(new_state)

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
        if not isinstance(entity_instance_id, EntityInstanceId):
            raise wrong_type("entity_instance_id", "an EntityInstanceId", entity_instance_id)
        if signal_time is not None and not isinstance(signal_time, datetime):
            raise wrong_type("signal_time", "a datetime or None", signal_time)
        name = text(operation, "operation")
        content = serialized(input, self._data_converter)
        self._requests.append(SignalRequest(entity_instance_id, name, content, signal_time))

    def schedule_new_orchestration(
        self, orchestration_name: str, input: Any = None, instance_id: str | None = None
    ) -> str:
        """Start an orchestration and return its id, which is new unless given.

        Does nothing if an orchestration with that id exists.
        """
        name = text(orchestration_name, "orchestration_name")
        content = serialized(input, self._data_converter)
        id = optional_text(instance_id, "instance_id") or self._new_instance_id()
        self._requests.append(StartRequest(name, id, content))
        return id

    def _numbered_instance_id(self) -> str:
        return f"{self._orchestration_id}:{len(self._requests):04x}"
