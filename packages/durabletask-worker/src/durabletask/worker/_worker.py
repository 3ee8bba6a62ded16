"""The worker as programs see it: make it, start it, stop it.

`_registration.py` has what it hosts; `_host.py` does the work between start and stop.
"""

from __future__ import annotations

import atexit
import random
import threading
import weakref
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from durabletask.core.settings import DEFAULT_MAXIMUM_TIMER_INTERVAL, Settings
from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.serialization import DEFAULT_DATA_CONVERTER, DataConverter
from durabletask.transport import address as addresses
from durabletask.transport.constructor_arguments import choose_logger, refuse_payload_store
from durabletask.transport.engine_detection import chosen_dialect

from ._options import ConcurrencyOptions, WorkerConfig
from ._registration import Registration
from ._transport import message_limit_metadata, sessions_metadata, transport_factory

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from types import TracebackType

    import grpc
    import grpc.aio

    from durabletask.failures import ExceptionPropertiesProvider
    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.protocol import messages
    from durabletask.transport import AsyncTransport, Metadata

    from ._activities import ActivityHook
    from ._runner import HostRunner

DEFAULT_GRACE = 30.0
# About 40 MB of small orchestrations; the bytes of their events are limited separately.
DEFAULT_MAX_CACHED_ORCHESTRATIONS = 10_000

# With the defaults of the official options, workers may return only half a minute after a
# sidecar that was away for seconds. Connecting is cheap, and five seconds still spread many
# workers.
_DEFAULT_RESILIENCE = GrpcWorkerResiliencyOptions(
    reconnect_backoff_base_seconds=0.1, reconnect_backoff_cap_seconds=5.0
)


class TaskHubGrpcWorker(Registration):
    """Hosts orchestrators, activities and entities and does the work a sidecar has for them.

    Example:
        ```python
        worker = TaskHubGrpcWorker()

        @worker.activity
        def greet(ctx: ActivityContext, name: str) -> str:
            return f"Hello {name}!"

        @worker.orchestrator
        async def greeting(ctx: OrchestrationContext, name: str) -> str:
            return await ctx.call_activity(greet, input=name)

        with worker:
            worker.start()
            worker.wait_until_ready(timeout=10)
            ...
        ```

    The worker connects to the first address that is given: `host_address`, the variable
    `DURABLETASK_ENDPOINT`, Dapr's `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT`, else
    `localhost:4001`. `secure_channel` asks for TLS: True trusts the certificate authorities
    that gRPC comes with; pass credentials, such as
    `grpc.ssl_channel_credentials(root_certificates=…)`, to trust others or to show a client
    certificate. A `channel` belongs to the caller: it is never closed or replaced, and the
    other arguments about connecting are ignored.

    Up to `max_cached_orchestrations` orchestrations are kept in memory between their turns,
    which saves replaying their history; 0 replays it every time. `connect` makes the
    transport in place of gRPC; it is called in the worker's event loop, and again whenever
    the worker needs a new connection. A `payload_store` is not supported yet, and refused.

    `dialect` is the protocol of the engine: "taskhub" for Microsoft's, "dapr" for Dapr's;
    "auto" finds it out, and is the default unless `DURABLETASK_DIALECT` is set. With engines
    of Dapr's dialect (daprd, durabletask-go) an orchestrator that calls an entity fails with
    `UnsupportedByEngineError`, because they do not support entities; they are not told work
    item filters and the limits of the concurrency options; and because they cannot take back
    a single work item, the worker reconnects instead.

    A program that ends without `stop` is not kept running by its worker; work in flight is
    then done again elsewhere.
    """

    def __init__(
        self,
        *,
        host_address: str | None = None,
        metadata: Sequence[tuple[str, str]] | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        logger: logging.Logger | None = None,
        channel: grpc.Channel | grpc.aio.Channel | None = None,
        secure_channel: bool | grpc.ChannelCredentials = False,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcWorkerResiliencyOptions | None = None,
        concurrency_options: ConcurrencyOptions | None = None,
        maximum_timer_interval: timedelta | None = DEFAULT_MAXIMUM_TIMER_INTERVAL,
        payload_store: object | None = None,
        data_converter: DataConverter | None = None,
        exception_properties_provider: ExceptionPropertiesProvider | None = None,
        emit_trace_spans: bool = True,
        max_cached_orchestrations: int = DEFAULT_MAX_CACHED_ORCHESTRATIONS,
        connect: Callable[[], AsyncTransport] | None = None,
        dialect: str | None = None,
    ) -> None:
        super().__init__()
        refuse_payload_store(payload_store)
        if max_cached_orchestrations < 0:
            raise ValueError(
                "max_cached_orchestrations must be zero or more, "
                f"not {max_cached_orchestrations!r}."
            )
        self._log = choose_logger(
            "durabletask.worker", logger, log_handler, log_formatter, metadata=metadata
        )
        self._address = str(addresses.resolve(host_address, secure=secure_channel))
        given_dialect = chosen_dialect(dialect)
        self._limit_metadata = (
            _no_metadata
            if connect
            else partial(
                message_limit_metadata,
                host_address,
                secure=secure_channel,
                channel=channel,
                channel_options=channel_options,
            )
        )
        self._connect = connect or transport_factory(
            host_address,
            secure=secure_channel,
            channel=channel,
            interceptors=interceptors,
            channel_options=channel_options,
            metadata=metadata,
            dialect=given_dialect,
        )
        self._resilience = resiliency_options or _DEFAULT_RESILIENCE
        self._concurrency = concurrency_options or ConcurrencyOptions()
        self._emit_trace_spans = emit_trace_spans
        self._max_cached_orchestrations = max_cached_orchestrations
        self._settings = Settings(
            data_converter=data_converter or DEFAULT_DATA_CONVERTER,
            maximum_timer_interval=maximum_timer_interval,
            exception_properties_provider=exception_properties_provider,
        )
        self._lock = threading.Lock()
        self._runner: HostRunner | None = None

    @property
    def concurrency_options(self) -> ConcurrencyOptions:
        return self._concurrency

    @property
    def maximum_timer_interval(self) -> timedelta | None:
        return self._settings.maximum_timer_interval

    @property
    def emit_trace_spans(self) -> bool:
        return self._emit_trace_spans

    # Lifecycle.

    def start(self) -> None:
        """Work on a thread and in an event loop of the worker's own.

        Returns before the worker is connected; `wait_until_ready` waits for that.

        Raises:
            RuntimeError: The worker is running already.
        """
        self._new_runner().start()

    async def run(self) -> None:
        """Work in the caller's event loop until `stop` is called or the task is cancelled.

        Other tasks of the loop can wait for the connection with `await worker.until_ready()`.

        Raises:
            RuntimeError: The worker is running already.
        """
        await self._new_runner().run()

    def wait_until_ready(self, timeout: float | None = 30.0) -> None:
        """Wait until the sidecar can send work, at most `timeout` seconds; None: no limit.

        This blocks the thread: in an event loop write `await worker.until_ready()`.

        Raises:
            RuntimeError: The worker is not running, or this is its own event loop's thread.
            TimeoutError: The worker is not connected; the text contains the last error.
        """
        self._active_runner().wait_until_ready(timeout)

    async def until_ready(
        self,
        timeout: float | None = 30.0,  # noqa: ASYNC109 - as of `wait_until_ready`
    ) -> None:
        """Wait as `wait_until_ready` does, in any event loop, the worker's or another.

        Example:
            ```python
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run())
                await worker.until_ready(timeout=10)
                ...
                worker.stop()
            ```

        Raises:
            RuntimeError: The worker is not running.
            TimeoutError: The worker is not connected; the text contains the last error.
        """
        import asyncio

        if not self._is_running():
            # A task that was just created for run() begins when the current one waits.
            await asyncio.sleep(0)
        await self._active_runner().until_ready(timeout)

    def stop(self, grace: float | None = DEFAULT_GRACE) -> None:
        """Take no more work, finish what has begun, and return when that is done.

        After `grace` seconds unfinished work is cancelled, and the sidecar will have it done
        again; None waits without limit. Its `finally` blocks get what is left of the grace,
        but at least a second; what still runs then is left alone. An idle worker stops at
        once. May be called from any thread and more than once; a stopped worker can be started
        again. Called from an activity, or from the event loop the worker runs in, it returns
        without waiting.
        """
        if self._runner is not None and not self._runner.has_ended:
            self._runner.stop(grace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Hooks for subclasses.

    def _on_activity_execution_started(self, request: messages.ActivityRequest) -> None:
        """Do something just before an activity is called, on its thread or in the event loop.

        An exception that this raises fails the activity, which is then not called.
        """

    def _on_activity_execution_completed(self, request: messages.ActivityRequest) -> None:
        """Do something when the result or failure is delivered, or delivery is given up.

        When the worker stops, delivery is given up for all that has ended by then. For an
        activity that ends later, or is cancelled by the stop, this is not called.

        Runs in the worker's event loop and must not block it. An exception that this raises
        is logged.
        """

    def _new_runner(self) -> HostRunner:
        # Late: making workers and registering functions needs neither asyncio nor the host.
        from ._runner import HostRunner

        with self._lock:
            self._refuse_while_running("The worker is already running.")
            self._runner = HostRunner(self._config())
            _started.add(self)
            return self._runner

    def _is_running(self) -> bool:
        return self._runner is not None and not self._runner.has_ended

    def _active_runner(self) -> HostRunner:
        if self._runner is None or self._runner.has_ended:
            raise RuntimeError("The worker is not running: call start() or run() first.")
        return self._runner

    def _current_settings(self) -> Settings:
        if self._versioning is None:
            return self._settings
        return replace(self._settings, default_version=self._versioning.default_version)

    def _overridden_completed_hook(self) -> ActivityHook | None:
        """The hook for the end of an activity; None, which costs nothing, if it does nothing."""
        hook = self._on_activity_execution_completed
        default = TaskHubGrpcWorker._on_activity_execution_completed
        return None if getattr(hook, "__func__", None) is default else hook

    def _config(self) -> WorkerConfig:
        from ._timing import LoopClock

        sessions = sessions_metadata(self._max_cached_orchestrations)
        return WorkerConfig(
            address=self._address,
            connect=self._connect,
            metadata=lambda: (*self._limit_metadata(), *sessions),
            registry=self._registry,
            settings=self._current_settings(),
            versioning=self._versioning,
            filters=self._effective_filters(),
            capabilities=tuple(sorted(self._capabilities)),
            concurrency=self._concurrency,
            resilience=self._resilience,
            max_cached_orchestrations=self._max_cached_orchestrations,
            on_activity_started=self._on_activity_execution_started,
            on_activity_completed=self._overridden_completed_hook(),
            log=self._log,
            clock=LoopClock(),
            now=partial(datetime.now, UTC),  # noqa: TID251 - the shell is where time comes from
            draw=random.random,  # noqa: TID251 - the shell is where chance comes from
        )


def _no_metadata() -> Metadata:
    return ()


_started: weakref.WeakSet[TaskHubGrpcWorker] = weakref.WeakSet()


@atexit.register
def _stop_running_workers() -> None:
    """Close connections properly when a program ends without stopping its workers."""
    for worker in list(_started):
        worker.stop(grace=0)
