"""Run a sidecar inside a program, on a thread of its own, until it is closed."""

from __future__ import annotations

import asyncio
import atexit
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from .engine.limits import DEFAULT
from .server import GRACE_SECONDS, Server, SidecarOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from os import PathLike
    from types import TracebackType

    from .clock import Clock
    from .engine.limits import Limits
    from .operations.metrics import Metrics
    from .security import Security

_Result = TypeVar("_Result")

_NOT_RUNNING = "the sidecar is not running: use it in a `with` block, or call start()"


class Sidecar:
    """A sidecar inside this program.

    With a `path` it keeps everything in that file; without one it keeps everything in memory,
    until it is closed. It listens on a free port of the loopback interface by default; clients
    and workers of this program do not need the port, and reach it directly under its address.
    All arguments are those of `SidecarOptions`, which explains them.

    Example:
        with Sidecar("tasks.db", retention=timedelta(days=30)) as address:
            client = TaskHubGrpcClient(host_address=address)
            ...

    Entering raises `StoreError` when the file cannot be used, `SecurityError` when a file with
    certificates or tokens cannot be used, and `OSError` when the port cannot be used. Leaving
    ends the streams of connected workers and frees the port and the file.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = 0,
        synchronous: str = "full",
        dialect: str = "auto",
        limits: Limits = DEFAULT,
        metrics: Metrics | None = None,
        retention: timedelta | None = None,
        clock: Clock | None = None,
        security: Security | None = None,
    ) -> None:
        options = SidecarOptions(
            path=path,
            host=host,
            port=port,
            synchronous=synchronous,
            dialect=dialect,
            limits=limits,
            metrics=metrics,
            retention=retention,
            clock=clock,
            security=security,
        )
        self._make_server: Callable[[], Server] = lambda: Server.from_options(options)
        self._running: _Running | None = None

    @classmethod
    def of(cls, make_server: Callable[[], Server]) -> Sidecar:
        """A sidecar that makes a new server each time it is started."""
        sidecar = cls()
        sidecar._make_server = make_server
        return sidecar

    @classmethod
    def from_options(cls, options: SidecarOptions) -> Sidecar:
        """A sidecar with these options."""
        return cls.of(lambda: Server.from_options(options))

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`; raises RuntimeError while it is not running."""
        if self._running is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._running.address

    def start(self) -> str:
        """Start the sidecar unless it is running already; return its address."""
        if self._running is None:
            self._running = _Running(self._make_server())
            # So that a program which does not close its sidecar still ends, and ends it cleanly.
            atexit.register(self.close)
        return self.address

    def close(self, grace: float = GRACE_SECONDS) -> None:
        """Stop the sidecar unless it is stopped already.

        `grace` is how many seconds to wait for peers that do not read what they are sent.
        """
        if self._running is not None:
            atexit.unregister(self.close)
            self._running.stop(grace)
            self._running = None

    def run(self, coroutine: Coroutine[None, None, _Result]) -> _Result:
        """Run the coroutine on the sidecar's event loop, wait for it, and return its result."""
        if self._running is None:
            coroutine.close()
            raise RuntimeError(_NOT_RUNNING)
        return self._running.run(coroutine)


class _Running:
    """A server on the event loop of its own thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stopping = asyncio.Event()
        self._grace = GRACE_SECONDS
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._started: Future[None] = Future()
        # A daemon thread, because Python joins all others before it runs exit handlers.
        self._thread = threading.Thread(target=self._run, name="durabletask-sidecar", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            # Ctrl-C may interrupt the wait while the server goes on starting.
            self.stop()
            raise

    @property
    def address(self) -> str:
        return self._server.address

    def run(self, coroutine: Coroutine[None, None, _Result]) -> _Result:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("the sidecar's own thread cannot wait for the sidecar: await it")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop.result()).result()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        # RuntimeError: the loop is closed, because the server could not be started.
        with suppress(RuntimeError):
            self._loop.result().call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        try:
            await self._server.start()
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stopping.wait()
        await self._server.stop(self._grace)
