"""A Durable Task engine in pure Python, which keeps everything in one SQLite file.

    from durabletask.sidecar import Sidecar

    with Sidecar("tasks.db") as address:
        ...

Names are imported on first use, because gRPC alone takes longer to load than many programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import Clock, ManualClock, SystemClock
    from .embed import Sidecar
    from .engine.limits import Limits
    from .operations.metrics import Metrics
    from .security import Security, SecurityError
    from .server import Server, SidecarOptions
    from .store import StoreError

__all__ = [
    "Clock",
    "Limits",
    "ManualClock",
    "Metrics",
    "Security",
    "SecurityError",
    "Server",
    "Sidecar",
    "SidecarOptions",
    "StoreError",
    "SystemClock",
]

_MODULES = {
    "Clock": "clock",
    "Limits": "engine.limits",
    "ManualClock": "clock",
    "Metrics": "operations.metrics",
    "Security": "security",
    "SecurityError": "security",
    "Server": "server",
    "Sidecar": "embed",
    "SidecarOptions": "server",
    "StoreError": "store",
    "SystemClock": "clock",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
