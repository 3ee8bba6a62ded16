"""Settings of the whole test run."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A test is decided by what the code does, not by how fast the machine was.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Tests say themselves where they reach a sidecar of their own process without gRPC.
os.environ.setdefault("DURABLETASK_IN_PROCESS", "0")

# Many slow tests start processes and build peers; the others that last as long are stuck.
_SLOW_SECONDS = 900


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests time, and run tests with peers one after the other in one process."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))
        if item.get_closest_marker("peers"):
            # Each has processes of its own; several at once would starve each other.
            item.add_marker(pytest.mark.xdist_group("peers"))
