"""Which function stands behind a name.

Knows nothing about how functions are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.core import arguments
from durabletask.failures import (
    ActivityNotRegisteredError,
    NotRegisteredError,
    OrchestratorNotRegisteredError,
)
from durabletask.task import get_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Registry:
    """The orchestrators and activities that a worker hosts. Names are case-sensitive."""

    def __init__(self) -> None:
        self._orchestrators = _Functions("An", "orchestrator", OrchestratorNotRegisteredError)
        self._activities = _Functions("An", "activity", ActivityNotRegisteredError)

    def add_orchestrator(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        return self._orchestrators.add(fn, name)

    def add_activity(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """Host it and return its name; ValueError if there is no name or it is taken."""
        return self._activities.add(fn, name)

    def orchestrator(self, name: str) -> Callable[..., Any]:
        """The orchestrator of that name, or OrchestratorNotRegisteredError."""
        return self._orchestrators.find(name)

    def activity(self, name: str) -> Callable[..., Any]:
        """The activity of that name, or ActivityNotRegisteredError."""
        return self._activities.find(name)

    def orchestrators(self) -> Iterator[str]:
        """Names of the orchestrators, in the order they were added."""
        return iter(self._orchestrators)

    def activities(self) -> Iterator[str]:
        """Names of the activities, in the order they were added."""
        return iter(self._activities)


class _Functions:
    """The functions of one kind."""

    def __init__(self, article: str, kind: str, missing: type[NotRegisteredError]) -> None:
        self._article = article
        self._kind = kind
        self._missing = missing
        self._by_name: dict[str, Callable[..., Any]] = {}

    def add(self, fn: Callable[..., Any] | None, name: str | None) -> str:
        if fn is None:
            raise ValueError(f"{self._article} {self._kind} function argument is required.")
        name = arguments.text(get_name(fn) if name is None else name, "name")
        if not name:
            raise ValueError(f"A non-empty {self._kind} name is required.")
        if name in self._by_name:
            raise ValueError(f"A '{name}' {self._kind} already exists.")
        self._by_name[name] = fn
        return name

    def find(self, name: str) -> Callable[..., Any]:
        try:
            return self._by_name[name]
        except KeyError:
            raise self._missing(name, self._by_name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)
