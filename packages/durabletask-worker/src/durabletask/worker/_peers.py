"""The engine at the other end, as far as the worker's conduct depends on it.

Knows nothing about connections; who is there has been found out by the transport.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from durabletask.core.settings import EngineCapabilities, dapr_engine

if TYPE_CHECKING:
    from durabletask.core.settings import Settings
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport.dialect import Engine


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine that sends work, and the settings for orchestrations whose history it keeps."""

    engine: Engine
    settings: Settings

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @property
    def pings(self) -> bool:
        """Whether it says something every half minute, if only that it is there."""
        return not self.engine.is_dapr

    @property
    def sends_deltas(self) -> bool:
        """Whether it leaves out history that a worker says it keeps, and has it on request."""
        return self.engine.is_dapr

    @property
    def filters(self) -> bool:
        """Whether it sends only the work that a worker asks for."""
        return not self.engine.is_dapr

    def serves(self, method: Method) -> bool:
        """Whether it can be called by that method at all."""
        return self.dialect in method.dialects


def peer_of(engine: Engine, settings: Settings) -> Peer:
    """The engine as a peer of a worker with these settings."""
    name = engine.name
    capabilities = dapr_engine(name) if engine.is_dapr else EngineCapabilities(name=name)
    return Peer(engine, replace(settings, engine=capabilities))
