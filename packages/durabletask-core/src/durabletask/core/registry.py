"""The orchestrators, activities and entities that a worker hosts, by name."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.core import arguments
from durabletask.entities import DurableEntity, EntityInstanceId
from durabletask.failures import (
    ActivityNotRegisteredError,
    EntityNotRegisteredError,
    NotRegisteredError,
    OrchestratorNotRegisteredError,
    OrchestratorVersionNotRegisteredError,
)
from durabletask.task import get_entity_name, get_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.task import Entity


@dataclass(slots=True)
class Versions:
    """The functions under one name of an orchestrator, by their version's name."""

    by_name: dict[str, Callable[..., Any]] = field(default_factory=dict)
    latest: str | None = None


class Registry:
    """The functions that a worker hosts. Names are case-sensitive, except for those of entities."""

    def __init__(self) -> None:
        self._orchestrators = _Functions("An", "orchestrator", OrchestratorNotRegisteredError)
        self._versions: dict[str, Versions] = {}
        self._activities = _Functions("An", "activity", ActivityNotRegisteredError)
        self._async_activities: set[str] = set()
        self._entities = _Functions("An", "entity", EntityNotRegisteredError)

    def add_orchestrator(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        return self._orchestrators.add(fn, name)

    def add_version(
        self,
        fn: Callable[..., Any],
        version_name: str,
        name: str | None = None,
        *,
        is_latest: bool = False,
    ) -> str:
        """Host it as one version of an orchestrator and return the orchestrator's name.

        ValueError if there is no name, the orchestrator has that version, or another latest
        one, or is registered without versions.
        """
        if fn is None:
            raise ValueError("An orchestrator function argument is required.")
        name = arguments.text(get_name(fn) if name is None else name, "name")
        if not arguments.text(version_name, "version_name"):
            raise ValueError("A non-empty version_name is required.")
        versions = self._versions.get(name)
        if versions is None:
            # So that no orchestrator without versions can be added under this name.
            self._orchestrators.add(fn, name)
            versions = self._versions[name] = Versions()
        if version_name in versions.by_name:
            raise ValueError(f"Orchestrator '{name}' already has a version '{version_name}'.")
        if is_latest and versions.latest is not None:
            raise ValueError(
                f"Orchestrator '{name}' already has a latest version, '{versions.latest}'."
            )
        versions.by_name[version_name] = fn
        if is_latest:
            versions.latest = version_name
        return name

    def version(self, name: str, wanted: str | None) -> tuple[Callable[..., Any], str | None]:
        """The orchestrator of that name in that version, and the version's name.

        None means the latest; an orchestrator without versions serves any. Raises
        OrchestratorVersionNotRegisteredError for a version that is not registered.
        """
        versions = self._versions.get(name)
        if versions is None:
            return self.orchestrator(name), None
        chosen = wanted or versions.latest
        function = versions.by_name.get(chosen or "")
        if function is None:
            raise OrchestratorVersionNotRegisteredError(name, chosen, versions.by_name)
        return function, chosen

    def has_versions(self, name: str) -> bool:
        """Whether the orchestrator of that name has versions with names."""
        return name in self._versions

    def add_activity(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        added = self._activities.add(fn, name)
        if _is_async(fn):
            self._async_activities.add(added)
        return added

    def add_entity(self, fn: Entity[Any, Any], name: str | None = None) -> str:
        """Host it and return its name as it is written.

        ValueError if there is no name, it is not valid in an entity id, or it is taken, whatever
        its case; TypeError for a class that is not a DurableEntity.
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

    def is_async_activity(self, name: str) -> bool:
        """Whether calling the activity of that name gives a coroutine."""
        return name in self._async_activities

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


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  # the function itself
    )


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
