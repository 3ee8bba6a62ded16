"""What a worker is configured with: its concurrency, and all else a run of it needs."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.core.versioning import VersioningOptions
    from durabletask.grpc_options import GrpcWorkerResiliencyOptions
    from durabletask.transport import AsyncTransport, Metadata

    from ._activities import ActivityHook
    from ._filters import WorkItemFilters
    from ._timing import Clock

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class ConcurrencyOptions:
    """Upper limits for what a worker does at the same time.

    The three `maximum_concurrent_…` limits are also told to the sidecar, which then has
    no more than that many work items of the kind in flight to this worker.

    Synchronous activities run on at most `maximum_thread_pool_workers` threads, and
    entities on as many of their own; `async def` activities run in the worker's event loop.
    Orchestrators have threads of their own and never wait for either. None stands for the
    default: 100 work items per CPU, and four threads more than there are CPUs.

    Example:
        ```python
        TaskHubGrpcWorker(
            concurrency_options=ConcurrencyOptions(
                maximum_concurrent_activity_work_items=10,
                maximum_thread_pool_workers=10,
            )
        )
        ```

    Raises:
        ValueError: A limit is not a whole number above zero.
    """

    def __init__(
        self,
        maximum_concurrent_activity_work_items: int | None = None,
        maximum_concurrent_orchestration_work_items: int | None = None,
        maximum_concurrent_entity_work_items: int | None = None,
        maximum_thread_pool_workers: int | None = None,
    ) -> None:
        cpus = os.cpu_count() or 1
        items = 100 * cpus
        self.maximum_concurrent_activity_work_items = (
            items
            if maximum_concurrent_activity_work_items is None
            else maximum_concurrent_activity_work_items
        )
        self.maximum_concurrent_orchestration_work_items = (
            items
            if maximum_concurrent_orchestration_work_items is None
            else maximum_concurrent_orchestration_work_items
        )
        self.maximum_concurrent_entity_work_items = (
            items
            if maximum_concurrent_entity_work_items is None
            else maximum_concurrent_entity_work_items
        )
        self.maximum_thread_pool_workers = (
            cpus + 4 if maximum_thread_pool_workers is None else maximum_thread_pool_workers
        )

    def __setattr__(self, name: str, value: object) -> None:
        # A worker with a limit of zero would be connected and never do anything.
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number above zero, not {value!r}.")
        object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Everything a worker was given by the time it starts."""

    address: str
    connect: Callable[[], AsyncTransport]
    metadata: Callable[[], Metadata]
    registry: Registry
    settings: Settings
    versioning: VersioningOptions | None
    filters: WorkItemFilters | None
    capabilities: tuple[int, ...]
    concurrency: ConcurrencyOptions
    resilience: GrpcWorkerResiliencyOptions
    max_cached_orchestrations: int
    on_activity_started: ActivityHook
    on_activity_completed: ActivityHook | None
    log: Logger
    clock: Clock
    now: Callable[[], datetime]
    draw: Callable[[], float]
