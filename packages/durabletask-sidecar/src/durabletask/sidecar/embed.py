"""Run a sidecar inside a program: on a thread of its own, gone when the block ends.

Knows nothing about gRPC or the engine: it starts and stops a `Server`.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from .engine.limits import DEFAULT
from .server import DRAIN_SECONDS, Server

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


class Sidecar:
    """A sidecar of this program's own.

    Without a path it forgets everything when it is closed; with one it keeps it for
    good. It listens on a free port of the loopback interface unless told otherwise.

    Example:
        with Sidecar("tasks.db") as address:
            client = TaskHubGrpcClient(host_address=address)
            ...

    With a `retention` it forgets orchestrations that ended longer ago than that.

    Entering raises `StoreError` when the file cannot be used, `SecurityError` when a file of
    certificates or tokens cannot, and `OSError` when the port cannot. Leaving ends the streams
    of connected workers and frees port and file.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        synchronous: str = "full",
        dialect: str = "auto",
        limits: Limits = DEFAULT,
        metrics: Metrics | None = None,
        retention: timedelta | None = None,
        clock: Clock | None = None,
        security: Security | None = None,
    ) -> None:
        self._make_server: Callable[[], Server] = lambda: Server(
            path,
            host,
            port,
            synchronous=synchronous,
            dialect=dialect,
            limits=limits,
            metrics=metrics,
            retention=retention,
            clock=clock,
            security=security,
        )
        self._running: _Running | None = None

    @classmethod
    def of(cls, make_server: Callable[[], Server]) -> Sidecar:
        """One that runs such a server, a new one each time that it is started."""
        sidecar = cls()
        sidecar._make_server = make_server
        return sidecar

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
        """Where it listens, as `host:port`; raises RuntimeError when it does not run."""
        if self._running is None:
            raise RuntimeError("the sidecar does not run: use it in a `with` block, or start it")
        return self._running.address

    def start(self) -> str:
        """Start it, unless it runs already, and return its address."""
        if self._running is None:
            self._running = _Running(self._make_server())
            # A program that forgets to close its sidecar still ends, and ends it cleanly.
            atexit.register(self.close)
        return self.address

    def close(self, grace: float = DRAIN_SECONDS) -> None:
        """Stop it, unless it is stopped already.

        `grace` is how many seconds peers have that do not read what they are sent.
        """
        if self._running is not None:
            atexit.unregister(self.close)
            self._running.stop(grace)
            self._running = None

    def run(self, coroutine: Coroutine[None, None, _Result]) -> _Result:
        """Run the coroutine on the sidecar's event loop, and wait for what it returns."""
        if self._running is None:
            coroutine.close()
            raise RuntimeError("the sidecar does not run: use it in a `with` block, or start it")
        return self._running.run(coroutine)


class _Running:
    """A server on the event loop of its own thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._told = asyncio.Event()
        self._grace = DRAIN_SECONDS
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._started: Future[None] = Future()
        # A daemon, because Python waits for all other threads before it runs exit handlers.
        self._thread = threading.Thread(target=self._run, name="durabletask-sidecar", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            # Also when the wait is interrupted, and the server starts all the same.
            self.stop()
            raise

    @property
    def address(self) -> str:
        return self._server.address

    def run(self, coroutine: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop.result()).result()

    def stop(self, grace: float = DRAIN_SECONDS) -> None:
        self._grace = grace
        # The loop is closed already when the server could not be started.
        with suppress(RuntimeError):
            self._loop.result().call_soon_threadsafe(self._told.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        try:
            await self._server.start()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._told.wait()
        await self._server.stop(self._grace)
