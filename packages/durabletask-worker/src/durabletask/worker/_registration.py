"""What a worker hosts, and which work it asks for: all that is set before it starts.

The calls of the official SDK return names; the decorators, which it does not have, return
what they decorate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from durabletask.core.arguments import instance_of
from durabletask.core.registry import Registry
from durabletask.core.versioning import VersioningOptions
from durabletask.task import named

from ._filters import FilterSource, WorkItemFilters, filters_from_registry

if TYPE_CHECKING:
    from durabletask.entities import DurableEntity

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound="Callable[..., Any] | type[DurableEntity]")

_ORCHESTRATORS_WHILE_RUNNING = "Orchestrators cannot be added while the worker is running."
_ACTIVITIES_WHILE_RUNNING = "Activities cannot be added while the worker is running."
_ENTITIES_WHILE_RUNNING = "Entities cannot be added while the worker is running."

# Of the protocol's capabilities, the one that this worker does not have.
_HISTORY_STREAMING = 1


class Registration(ABC):
    """The part of a worker that holds what it hosts; refuses changes while the worker runs."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._versioning: VersioningOptions | None = None
        self._filters: WorkItemFilters | FilterSource | None = None
        self._capabilities: set[int] = set()

    def add_orchestrator(self, fn: Callable[..., Any]) -> str:
        """Register an orchestrator and return its name, which is the function's.

        Raises:
            ValueError: `fn` is None or has no name, or the name is taken.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running(_ORCHESTRATORS_WHILE_RUNNING)
        return self._registry.add_orchestrator(fn)

    def add_activity(self, fn: Callable[..., Any]) -> str:
        """Register an activity and return its name, which is the function's.

        Raises:
            ValueError: `fn` is None or has no name, or the name is taken.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running(_ACTIVITIES_WHILE_RUNNING)
        return self._registry.add_activity(fn)

    def add_entity(
        self, fn: Callable[..., Any] | type[DurableEntity], name: str | None = None
    ) -> str:
        """Register an entity, a function or a class, and return its name as it was given.

        Without `name` it is `fn.__durable_entity_name__`, else the function's or class's own.
        In entity ids the name is in lower case, so that names that differ only in case are the
        same.

        Raises:
            ValueError: `fn` is None or has no name, the name is empty or contains an '@', or
                it is taken.
            TypeError: `fn` is a class that does not inherit from `DurableEntity`.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running(_ENTITIES_WHILE_RUNNING)
        return self._registry.add_entity(fn, name)

    @overload
    def orchestrator(self, fn: F, /) -> F: ...

    @overload
    def orchestrator(
        self,
        fn: None = None,
        /,
        *,
        name: str | None = None,
        version_name: str | None = None,
        is_latest: bool = False,
    ) -> Callable[[F], F]: ...

    def orchestrator(
        self,
        fn: F | None = None,
        /,
        *,
        name: str | None = None,
        version_name: str | None = None,
        is_latest: bool = False,
    ) -> F | Callable[[F], F]:
        """Register the decorated orchestrator, under its own name or another.

        Later calls that pass the function use that name; of several, the last one.

        With a `version_name` it is one of several versions of the orchestrator `name`. An
        instance starts with the version it was scheduled with, else with the one marked
        `is_latest`, and keeps that version until it ends. Engines of Dapr's dialect record
        the version's name, and wait while no worker has it (the instance is STALLED). Other
        engines record only the version that an instance was scheduled with; there an instance
        that was scheduled without a version, or with one that is missing, fails.

        Example:
            ```python
            @worker.orchestrator(name="order", version_name="1")
            def order_1(ctx: OrchestrationContext, id: str) -> Steps: ...

            @worker.orchestrator(name="order", version_name="2", is_latest=True)
            def order_2(ctx: OrchestrationContext, id: str) -> Steps: ...
            ```
        """
        _refuse_name_in_place_of_function("orchestrator", fn)
        if is_latest and version_name is None:
            raise ValueError("is_latest=True needs a version_name: pass the name of the version.")

        def register(function: F) -> F:
            self._refuse_while_running(_ORCHESTRATORS_WHILE_RUNNING)
            registry = self._registry
            if version_name is None:
                return named(function, registry.add_orchestrator(function, name))
            return named(
                function, registry.add_version(function, version_name, name, is_latest=is_latest)
            )

        return register if fn is None else register(fn)

    @overload
    def activity(self, fn: F, /) -> F: ...

    @overload
    def activity(self, fn: None = None, /, *, name: str | None = None) -> Callable[[F], F]: ...

    def activity(self, fn: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
        """Register the decorated activity, under its own name or another.

        Later calls that pass the function use that name; of several, the last one.
        """
        _refuse_name_in_place_of_function("activity", fn)

        def register(function: F) -> F:
            self._refuse_while_running(_ACTIVITIES_WHILE_RUNNING)
            return named(function, self._registry.add_activity(function, name))

        return register if fn is None else register(fn)

    @overload
    def entity(self, fn: E, /) -> E: ...

    @overload
    def entity(self, fn: None = None, /, *, name: str | None = None) -> Callable[[E], E]: ...

    def entity(self, fn: E | None = None, /, *, name: str | None = None) -> E | Callable[[E], E]:
        """Register the decorated entity, a function or a class, as `add_entity` does.

        Example:
            ```python
            @worker.entity
            class Counter(DurableEntity):
                def add(self, amount: int) -> None:
                    self.set_state(self.get_state(int, 0) + amount)
            ```
        """
        _refuse_name_in_place_of_function("entity", fn)

        def register(entity: E) -> E:
            self.add_entity(entity, name)
            return entity

        return register if fn is None else register(fn)

    def use_versioning(self, version: VersioningOptions) -> None:
        """Run only orchestrations of matching versions; set the version of sub-orchestrations.

        Raises:
            TypeError: `version` is not a VersioningOptions.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running("Cannot set default version while the worker is running.")
        self._versioning = instance_of(VersioningOptions, version, "version")

    def use_work_item_filters(
        self, filters: WorkItemFilters | FilterSource | None = FilterSource.REGISTRY
    ) -> None:
        """Ask the sidecar to send only work that matches these filters.

        Without an argument they are made from what is registered when the worker starts, and
        from its versioning options if those are strict. None removes all filters, so that the
        worker is sent any work.

        Raises:
            TypeError: `filters` is neither a WorkItemFilters nor None.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running(
            "Work item filters cannot be changed while the worker is running."
        )
        if not isinstance(filters, WorkItemFilters | FilterSource | None):
            raise TypeError("filters must be a WorkItemFilters instance, None, or omitted.")
        self._filters = filters

    def add_capability(self, capability: int) -> None:
        """Tell the sidecar that this worker has a capability, by its number in the protocol.

        This does not add the capability to the worker: announce only what it really has,
        because the sidecar relies on it.

        Raises:
            TypeError: `capability` is not a whole number.
            ValueError: It is below 1; or it is 1, history streaming, which this worker does
                not have.
            RuntimeError: The worker is running.
        """
        self._refuse_while_running("Capabilities cannot be added while the worker is running.")
        instance_of(int, capability, "capability")
        if capability < 1:
            raise ValueError(f"capability must be 1 or more, not {capability}.")
        if capability == _HISTORY_STREAMING:
            raise ValueError(
                "Capability 1 must not be announced: this worker cannot stream histories, and "
                "would be sent work items without any."
            )
        self._capabilities.add(capability)

    def configure_scheduled_tasks(self) -> None:
        """Refused: scheduled tasks are not supported yet.

        Raises:
            NotImplementedError: Always; otherwise schedules would be accepted and never run.
        """
        raise NotImplementedError("This version cannot run scheduled tasks yet.")

    @abstractmethod
    def _is_running(self) -> bool: ...

    def _refuse_while_running(self, text: str) -> None:
        if self._is_running():
            raise RuntimeError(text)

    def _effective_filters(self) -> WorkItemFilters | None:
        """The filters to send to the sidecar; None for none."""
        if isinstance(self._filters, FilterSource):
            return filters_from_registry(self._registry, self._versioning)
        return self._filters


def _refuse_name_in_place_of_function(kind: str, fn: object) -> None:
    if isinstance(fn, str):
        raise TypeError(f"Write @worker.{kind}(name={fn!r}): the name is a keyword argument.")
