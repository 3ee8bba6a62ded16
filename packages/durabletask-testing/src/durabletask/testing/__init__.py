"""Test orchestrations in memory, without a separate sidecar and without waiting for timers.

    from durabletask.testing import VirtualTimeHub, create_test_backend

Each name is imported when it is first used: gRPC alone takes longer to load than many tests run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .in_memory_backend import InMemoryOrchestrationBackend, create_test_backend
    from .virtual_time import VirtualTimeHub

__all__ = ["InMemoryOrchestrationBackend", "VirtualTimeHub", "create_test_backend"]

_MODULES = {
    "InMemoryOrchestrationBackend": "in_memory_backend",
    "VirtualTimeHub": "virtual_time",
    "create_test_backend": "in_memory_backend",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
