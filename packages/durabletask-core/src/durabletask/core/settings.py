"""What decisions depend on besides history: the worker's settings and the engine's capabilities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.core import arguments
from durabletask.failures import UnsupportedByEngineError
from durabletask.serialization import DEFAULT_DATA_CONVERTER

if TYPE_CHECKING:
    from durabletask.failures import ExceptionPropertiesProvider
    from durabletask.serialization import DataConverter

DEFAULT_MAXIMUM_TIMER_INTERVAL = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCapabilities:
    """What the engine does with actions; the defaults are those of Microsoft's protocol.

    `name` is for error texts. An engine with `unique_action_ids` takes one answer for each
    action id, and delivers answers to one execution also to the next: a retried call needs
    another id, and each execution ids of its own. Elsewhere a retried call keeps its id, as in
    the histories of the official SDK. `has_entities` is whether it takes messages to entities.
    An engine that `records_versions` records with each turn which version and patches of the
    code took it, and can wait for a worker that has that code; it also gives calls an id that
    their attempts share, and records what timers are for. An engine with
    `continues_as_new_alone` drops all other actions that come with continue-as-new.
    """

    name: str = "this engine"
    unique_action_ids: bool = False
    has_entities: bool = True
    records_versions: bool = False
    continues_as_new_alone: bool = False

    def check_entities(self, operation: str) -> None:
        """UnsupportedByEngineError where there are no entities."""
        if not self.has_entities:
            raise UnsupportedByEngineError(
                self.name,
                operation,
                "Keep the state in an orchestration that takes events and continues as new, or "
                "use an engine that has entities, such as durabletask-sidecar.",
            )

    def check_patches(self) -> None:
        """UnsupportedByEngineError where the engine does not record which patches were taken."""
        if not self.records_versions:
            raise UnsupportedByEngineError(
                self.name,
                "is_patched",
                "It does not record which patches a turn has taken, so a replay could not know. "
                "Compare ctx.version, which it does record, or use an engine of Dapr's protocol.",
            )


DEFAULT_ENGINE = EngineCapabilities()


def dapr_engine(name: str) -> EngineCapabilities:
    """The capabilities of engines that speak Dapr's protocol."""
    return EngineCapabilities(
        name=name,
        unique_action_ids=True,
        has_entities=False,
        records_versions=True,
        continues_as_new_alone=True,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that must be the same on every worker that may take an instance's next turn.

    `maximum_timer_interval` splits longer timers, for engines that cannot hold them; None or
    zero asks for each as one timer. `default_version` is the version of sub-orchestrations for
    which the orchestrator names none. `engine` is the engine that keeps their history.
    """

    data_converter: DataConverter = DEFAULT_DATA_CONVERTER
    maximum_timer_interval: timedelta | None = DEFAULT_MAXIMUM_TIMER_INTERVAL
    default_version: str | None = None
    exception_properties_provider: ExceptionPropertiesProvider | None = None
    engine: EngineCapabilities = DEFAULT_ENGINE

    def __post_init__(self) -> None:
        arguments.optional_text(self.default_version, "default_version")
