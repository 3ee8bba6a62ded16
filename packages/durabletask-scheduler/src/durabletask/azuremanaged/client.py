"""Clients of the Azure Durable Task Scheduler, for threads and for event loops."""

from __future__ import annotations

# The official module has these two names, too.
from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient  # noqa: F401

from ._async_client import AsyncDurableTaskSchedulerClient
from ._sync_client import DurableTaskSchedulerClient

__all__ = ["AsyncDurableTaskSchedulerClient", "DurableTaskSchedulerClient"]
