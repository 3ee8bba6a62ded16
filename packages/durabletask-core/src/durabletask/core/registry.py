"""Which function stands behind a name.

Knows nothing about how functions are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.core import arguments
from durabletask.entities import DurableEntity, EntityInstanceId
from durabletask.failures import (
    ActivityNotRegisteredError,
    EntityNotRegisteredError,
    NotRegisteredError,
    OrchestratorNotRegisteredError,
)
from durabletask.task import get_entity_name, get_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.task import Entity


class Registry:
    """What a worker hosts. Names have case, but for those of entities."""

    def __init__(self) -> None:
        self._orchestrators = _Functions("An", "orchestrator", OrchestratorNotRegisteredError)
        self._activities = _Functions("An", "activity", ActivityNotRegisteredError)
        self._entities = _Functions("An", "entity", EntityNotRegisteredError)

    def add_orchestrator(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        return self._orchestrators.add(fn, name)

    def add_activity(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        return self._activities.add(fn, name)

    def add_entity(self, fn: Entity[Any, Any], name: str | None = None) -> str:
        """Host it and return its name as it is written.

        ValueError if there is no name, no entity's id can hold it, or it is taken in any case;
        TypeError for a class that is no DurableEntity.
        """
        if isinstance(fn, type) and not issubclass(fn, DurableEntity):
            raise TypeError(
                f"{fn.__name__} cannot be an entity: its class has to inherit from DurableEntity."
            )
        if fn is not None:  # else the same error as for the other kinds
            name = get_entity_name(fn) if name is None else name
            EntityInstanceId.validate_entity_name(name)
        return self._entities.add(fn, name, key=str.lower)

    def orchestrator(self, name: str) -> Callable[..., Any]:
        """The orchestrator of that name, or OrchestratorNotRegisteredError."""
        return self._orchestrators.find(name)

    def activity(self, name: str) -> Callable[..., Any]:
        """The activity of that name, or ActivityNotRegisteredError."""
        return self._activities.find(name)

    def entity(self, name: str) -> Entity[Any, Any]:
        """The entity of that name, whatever its case, or EntityNotRegisteredError."""
        return self._entities.find(name.lower())

    def orchestrator_names(self) -> tuple[str, ...]:
        """Names of the orchestrators, in the order they were added."""
        return self._orchestrators.names()

    def activity_names(self) -> tuple[str, ...]:
        """Names of the activities, in the order they were added."""
        return self._activities.names()

    def entity_names(self) -> tuple[str, ...]:
        """Names of the entities, in small letters, in the order they were added."""
        return self._entities.names()


class _Functions:
    """The functions of one kind."""

    def __init__(self, article: str, kind: str, missing: type[NotRegisteredError]) -> None:
        self._article = article
        self._kind = kind
        self._missing = missing
        self._by_name: dict[str, Callable[..., Any]] = {}

    def add(
        self,
        fn: Callable[..., Any] | None,
        name: str | None,
        key: Callable[[str], str] = str,
    ) -> str:
        if fn is None:
            raise ValueError(f"{self._article} {self._kind} function argument is required.")
        name = arguments.text(get_name(fn) if name is None else name, "name")
        if not name:
            raise ValueError(f"A non-empty {self._kind} name is required.")
        if key(name) in self._by_name:
            raise ValueError(f"A '{key(name)}' {self._kind} already exists.")
        self._by_name[key(name)] = fn
        return name

    def find(self, name: str) -> Callable[..., Any]:
        try:
            return self._by_name[name]
        except KeyError:
            raise self._missing(name, self._by_name) from None

    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)
