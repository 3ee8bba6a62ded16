"""Errors for a name that work was sent for and that this worker does not have.

Most often the name is misspelt or the `add_...` call is missing, so the text shows what is
registered, the likeliest name first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from durabletask.failures.errors import DurableTaskError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_NAMES_SHOWN = 10


class NotRegisteredError(DurableTaskError, ValueError):
    """This worker was sent work under a name it does not have."""

    __module__ = "durabletask.worker"
    _kind: ClassVar[str] = "function"
    _added_by: ClassVar[str] = "add_..."

    def __init__(self, name: str, registered: Iterable[str] = ()) -> None:
        self.name = name
        self.registered = tuple(sorted(registered))
        super().__init__(
            f"A '{name}' {self._kind} was not registered. {self._known()} Register it with "
            f"{self._added_by}(...) before the worker starts, or correct the name where it is called."
        )

    def _known(self) -> str:
        if not self.registered:
            return f"This worker has no {self._kind} at all."
        import difflib  # slow to import, and most programs never get here

        close = difflib.get_close_matches(self.name, self.registered, n=1)
        shown = ", ".join(repr(name) for name in self.registered[:_MOST_NAMES_SHOWN])
        more = len(self.registered) - _MOST_NAMES_SHOWN
        listed = shown + (f" and {more} more" if more > 0 else "")
        guess = f"Did you mean '{close[0]}'? " if close else ""
        return f"{guess}This worker has {listed}."

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[str, ...]]]:
        return (type(self), (self.name, self.registered))


class OrchestratorNotRegisteredError(NotRegisteredError):
    """An instance was scheduled under a name this worker does not have."""

    __module__ = "durabletask.worker"
    _kind = "orchestrator"
    _added_by = "worker.add_orchestrator"


class OrchestratorVersionNotRegisteredError(OrchestratorNotRegisteredError):
    """An instance needs a version of its orchestrator that this worker does not have.

    `version` is that version's name; None if history does not tell it.
    """

    __module__ = "durabletask.worker"

    def __init__(self, name: str, version: str | None, registered: Iterable[str] = ()) -> None:
        self.name = name
        self.version = version
        self.registered = tuple(sorted(registered))
        wanted = f"version '{version}'" if version else "version that history names"
        DurableTaskError.__init__(
            self,
            f"Orchestrator '{name}' has no {wanted} in this worker, which has "
            f"{', '.join(map(repr, self.registered))}. Register that version, schedule the "
            "instance with version=..., or mark one with is_latest=True.",
        )

    def __reduce__(self) -> tuple[type[Self], tuple[str, str | None, tuple[str, ...]]]:  # type: ignore[override]
        return (type(self), (self.name, self.version, self.registered))


class ActivityNotRegisteredError(NotRegisteredError):
    """An orchestrator called an activity this worker does not have."""

    __module__ = "durabletask.worker"
    _kind = "activity"
    _added_by = "worker.add_activity"


class EntityNotRegisteredError(NotRegisteredError):
    """An operation was sent to an entity this worker does not have."""

    __module__ = "durabletask.worker"
    _kind = "entity"
    _added_by = "worker.add_entity"
