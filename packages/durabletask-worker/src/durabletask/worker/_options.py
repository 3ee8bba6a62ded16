"""How much a worker takes on at once.

Plain values: nothing here starts a thread or knows the wire.
"""

from __future__ import annotations

import os


class ConcurrencyOptions:
    """Upper limits for what a worker does at the same time.

    The three `maximum_concurrent_…` limits are also told to the sidecar, which then sends
    no more than that many unanswered work items of the kind to this worker.

    Synchronous activities run on at most `maximum_thread_pool_workers` threads, and
    entities on as many of their own; `async def` activities on the worker's event loop.
    Orchestrators have threads of their own and never wait behind either. A value left at None
    gets its default: 100 work items a CPU, and as many threads as CPUs plus four.

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
        # A worker with a limit of zero would look alive and do nothing for ever.
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number above zero, not {value!r}.")
        object.__setattr__(self, name, value)
