"""The worker as programs see it: make it, start it, stop it.

What it hosts it is told in `_registration.py`; what runs between start and stop is the host's
business (`_host.py`).
"""

from __future__ import annotations

import asyncio
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

from ._clock import LoopClock
from ._connect import announcement, connector, sessions_announcement
from ._host import Setup
from ._options import ConcurrencyOptions
from ._registration import Registration
from ._run import Run

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

DEFAULT_GRACE = 30.0
# Some 40 MB of small machines; what they were fed is bounded apart.
DEFAULT_MAX_CACHED_ORCHESTRATIONS = 10_000

# The official options' own values let a sidecar that was away for seconds wait up to half a
# minute for its workers. A dial costs little; a cap of five seconds still spreads many.
_QUICK_TO_RETURN = GrpcWorkerResiliencyOptions(
    reconnect_backoff_base_seconds=0.2, reconnect_backoff_cap_seconds=5.0
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

    The sidecar is looked for at `host_address`, then at `DURABLETASK_ENDPOINT`, then where
    Dapr's `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT` say, then at `localhost:4001`.
    `secure_channel` asks for TLS: True trusts gRPC's own list of authorities;
    credentials, such as `grpc.ssl_channel_credentials(root_certificates=…)`, trust and show
    what they say. A `channel` stays the caller's: it is never closed or replaced, and the
    other arguments about connecting are ignored.

    `max_cached_orchestrations` live orchestrations are kept in memory between their
    turns, which saves replaying their history; 0 replays it every time. `connect` makes
    the transport in place of gRPC; it is called in the worker's event loop, again after
    each time the connection is given up. A `payload_store` is not supported yet, and refused.

    `dialect` is the contract that the engine speaks: "taskhub" for Microsoft's, "dapr" for
    Dapr's; "auto" finds it out, and is what None and no `DURABLETASK_DIALECT` mean. On engines
    of Dapr's dialect (daprd, durabletask-go) an orchestrator that calls an entity fails with
    `UnsupportedByEngineError`, for they would not survive it; work item filters and the limits
    of the concurrency options are not told to them, and the stream is given up where other
    engines are handed a single work item back.

    A program that ends without `stop` is not kept alive by its worker; work in flight is
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
        self._log = choose_logger("durabletask.worker", logger, log_handler, log_formatter)
        self._address = str(addresses.resolve(host_address, secure=secure_channel))
        named_dialect = chosen_dialect(dialect)
        self._announce = (
            _nothing
            if connect
            else partial(
                announcement,
                host_address,
                secure=secure_channel,
                channel=channel,
                channel_options=channel_options,
            )
        )
        self._connect = connect or connector(
            host_address,
            secure=secure_channel,
            channel=channel,
            interceptors=interceptors,
            channel_options=channel_options,
            metadata=metadata,
            dialect=named_dialect,
        )
        self._resilience = resiliency_options or _QUICK_TO_RETURN
        self._concurrency = concurrency_options or ConcurrencyOptions()
        self._emit_trace_spans = emit_trace_spans
        self._max_cached_orchestrations = max_cached_orchestrations
        self._settings = Settings(
            data_converter=data_converter or DEFAULT_DATA_CONVERTER,
            maximum_timer_interval=maximum_timer_interval,
            exception_properties_provider=exception_properties_provider,
        )
        self._lock = threading.Lock()
        self._run: Run | None = None

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
        """Work on a thread and an event loop of the worker's own.

        Returns before there is a connection; `wait_until_ready` waits for one.

        Raises:
            RuntimeError: The worker is running already.
        """
        self._begin().start()

    async def run(self) -> None:
        """Work in the caller's event loop until `stop` is called or the task is cancelled.

        Other tasks of the loop can wait for the connection by `await worker.until_ready()`.

        Raises:
            RuntimeError: The worker is running already.
        """
        await self._begin().serve()

    def wait_until_ready(self, timeout: float | None = 30.0) -> None:
        """Wait until the sidecar can send work, at most `timeout` seconds; None means for ever.

        This blocks the thread: in an event loop write `await worker.until_ready()`.

        Raises:
            RuntimeError: The worker is not running, or this is its own event loop's thread.
            TimeoutError: There is no connection yet; the text holds the last error.
        """
        self._running().wait_until_ready(timeout)

    async def until_ready(
        self,
        timeout: float | None = 30.0,  # noqa: ASYNC109 - as of `wait_until_ready`
    ) -> None:
        """Wait as `wait_until_ready` does, in an event loop: the worker's own or any other.

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
            TimeoutError: There is no connection yet; the text holds the last error.
        """
        if not self._is_running():
            # A task that was made for run() has not begun until its maker waits.
            await asyncio.sleep(0)
        await self._running().until_ready(timeout)

    def stop(self, grace: float | None = DEFAULT_GRACE) -> None:
        """Take no more work, finish what has begun, and return when all is done.

        After `grace` seconds unfinished work is given up, and the sidecar will have it done
        again; None waits without limit. Its `finally` blocks get what is left of the grace,
        and a second at least; what runs on is left alone. An idle worker stops at once. May be
        called from any thread and more than once; a stopped worker can be started again. Called
        from an activity or from the event loop the worker runs in, it returns without waiting.
        """
        if self._run is not None and not self._run.has_ended:
            self._run.stop(grace)

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
        """Do something just before an activity is called, where it runs.

        What this raises fails the activity, which is then not called.
        """

    def _on_activity_execution_completed(self, request: messages.ActivityRequest) -> None:
        """Do something when the sidecar has the result or failure, or will not get it.

        Runs on the worker's event loop and must not block it. What this raises is logged.
        """

    def _begin(self) -> Run:
        with self._lock:
            self._refuse_while_running("The worker is already running.")
            self._run = Run(self._setup())
            _started.add(self)
            return self._run

    def _is_running(self) -> bool:
        return self._run is not None and not self._run.has_ended

    def _running(self) -> Run:
        if self._run is None or self._run.has_ended:
            raise RuntimeError("The worker is not running: call start() or run() first.")
        return self._run

    def _settings_now(self) -> Settings:
        if self._versioning is None:
            return self._settings
        return replace(self._settings, default_version=self._versioning.default_version)

    def _setup(self) -> Setup:
        sessions = sessions_announcement(self._max_cached_orchestrations)
        return Setup(
            address=self._address,
            connect=self._connect,
            announce=lambda: (*self._announce(), *sessions),
            registry=self._registry,
            settings=self._settings_now(),
            versioning=self._versioning,
            filters=self._wanted(),
            capabilities=tuple(sorted(self._capabilities)),
            concurrency=self._concurrency,
            resilience=self._resilience,
            max_cached_orchestrations=self._max_cached_orchestrations,
            activity_started=self._on_activity_execution_started,
            activity_completed=self._on_activity_execution_completed,
            log=self._log,
            clock=LoopClock(),
            now=partial(datetime.now, UTC),  # noqa: TID251 - the shell is where time comes from
            draw=random.random,  # noqa: TID251 - the shell is where chance comes from
        )


def _nothing() -> Metadata:
    return ()


_started: weakref.WeakSet[TaskHubGrpcWorker] = weakref.WeakSet()


@atexit.register
def _stop_forgotten_workers() -> None:
    """Close connections in good order when a program ends without stopping its workers."""
    for worker in list(_started):
        worker.stop(grace=0)
