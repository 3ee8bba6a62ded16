"""Run a worker's host, and let other threads wait until it is ready and stop it.

The host lives in an event loop; most of those who wait for it or stop it do not. Only
thread-safe events are shared between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

from ._connection import ConnectionState
from ._host import WorkerHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._options import WorkerConfig

# Seconds beyond the grace until a stop that hangs, most likely in user code, is given up.
STOP_SLACK = 5.0
# Seconds for the event loop to close, which user code that still runs in it can delay.
LOOP_CLOSE_TIMEOUT = 1.0


class ReadyEvent:
    """A flag that is set and cleared in one thread and waited for in any thread or loop."""

    def __init__(self) -> None:
        self._is_set = threading.Event()
        self._wakers: set[Callable[[], object]] = set()

    def set(self) -> None:
        self._is_set.set()
        for wake in tuple(self._wakers):
            # In a loop that is closed nobody waits any more.
            with contextlib.suppress(RuntimeError):
                wake()

    def clear(self) -> None:
        self._is_set.clear()

    def wait(self, timeout: float | None) -> bool:
        """Block the thread for at most that many seconds; whether the flag was set."""
        return self._is_set.wait(timeout)

    async def wait_async(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - as for threads
        """Wait in the running event loop, whichever it is, for at most that many seconds."""
        woken = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        self._wakers.add(wake)
        try:
            # After the waker is added: a flag that is set between the two is not missed.
            if not self._is_set.is_set():
                await asyncio.wait_for(woken.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._wakers.discard(wake)
        return True


class HostRunner:
    """Runs one host from start to stop, on a thread of its own or in the running loop."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._host: WorkerHost | None = None
        self._thread: threading.Thread | None = None
        self._has_host = threading.Event()
        self._is_streaming = ReadyEvent()  # or will never be
        self._has_ended = threading.Event()
        self._last_error: Exception | None = None

    @property
    def has_ended(self) -> bool:
        return self._has_ended.is_set()

    def start(self) -> None:
        """Run on a new thread, which does not keep the interpreter from exiting."""
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._run_logged(),), name="durabletask-worker", daemon=True
        )
        self._thread.start()
        self._has_host.wait()

    async def run(self) -> None:
        """Run in the current event loop."""
        try:
            self._host = WorkerHost(self._config, on_state_change=self._on_state_change)
            self._has_host.set()
            await self._host.run()
        finally:
            self._has_ended.set()
            self._has_host.set()
            self._is_streaming.set()

    def wait_until_ready(self, timeout: float | None) -> None:
        """Wait for the stream of work items; TimeoutError after that many seconds."""
        self._refuse_own_thread(
            "wait_until_ready() cannot wait on the worker's own thread: in an event loop write "
            "`await worker.until_ready()`."
        )
        self._check_ready(timeout, is_streaming=self._is_streaming.wait(timeout))

    async def until_ready(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as for threads
        """Wait for the stream in an event loop; TimeoutError after that many seconds."""
        self._check_ready(timeout, is_streaming=await self._is_streaming.wait_async(timeout))

    def stop(self, grace: float | None) -> None:
        """Stop the host, and wait until it has ended unless it needs the calling thread."""
        host = self._host
        if host is None:
            return
        host.request_stop(grace)
        if host.needs_thread(threading.current_thread()):
            return
        timeout = None if grace is None else grace + STOP_SLACK
        if not self._has_ended.wait(timeout):
            self._config.log.error(
                "The worker did not stop within %s s; it is left running in the background",
                timeout,
            )
        elif self._thread is not None:
            # Only the loop is still to be closed.
            self._thread.join(LOOP_CLOSE_TIMEOUT)

    async def _run_logged(self) -> None:
        try:
            await self.run()
        except Exception:
            self._config.log.exception("The worker has stopped because of an internal error")

    def _on_state_change(self, state: ConnectionState, error: Exception | None) -> None:
        self._last_error = error or self._last_error
        if state is ConnectionState.STREAMING:
            self._is_streaming.set()
        else:
            self._is_streaming.clear()

    def _check_ready(self, timeout: float | None, *, is_streaming: bool) -> None:
        if self.has_ended:
            raise RuntimeError("The worker was stopped before it was connected.")
        if is_streaming:
            return
        reason = f" The last error: {self._last_error}" if self._last_error else ""
        raise TimeoutError(
            f"The worker is not connected to the sidecar at {self._config.address} "
            f"after {timeout} s.{reason}"
        )

    def _refuse_own_thread(self, text: str) -> None:
        if self._host is not None and self._host.needs_thread(threading.current_thread()):
            raise RuntimeError(text)
