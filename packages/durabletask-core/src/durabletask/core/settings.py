"""What a worker's owner may choose about how its orchestrations are decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.core import arguments
from durabletask.core.engines import MICROSOFT, EngineTraits
from durabletask.serialization import DEFAULT_DATA_CONVERTER

if TYPE_CHECKING:
    from durabletask.failures import ExceptionPropertiesProvider
    from durabletask.serialization import DataConverter

DEFAULT_MAXIMUM_TIMER_INTERVAL = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices that must be the same on every worker that may take an instance's next turn.

    `maximum_timer_interval` splits longer timers, for engines that cannot hold them; None or
    zero asks for each in one piece. `default_version` is the version of children for which the
    orchestrator names none. `engine` tells what the engine that keeps their history can do.
    """

    data_converter: DataConverter = DEFAULT_DATA_CONVERTER
    maximum_timer_interval: timedelta | None = DEFAULT_MAXIMUM_TIMER_INTERVAL
    default_version: str | None = None
    exception_properties_provider: ExceptionPropertiesProvider | None = None
    engine: EngineTraits = MICROSOFT

    def __post_init__(self) -> None:
        arguments.optional_text(self.default_version, "default_version")
