"""One run of a worker, from start to stop, as other threads see it.

The host lives in an event loop; those who wait for it or end it mostly do not. They meet
here, and only events of `threading` are shared.
"""

from __future__ import annotations

import asyncio
import threading

from ._connection import Link
from ._host import Host, Setup
from ._readiness import Readiness

# Seconds beyond the grace until a stop that hangs, in user code most likely, is left alone.
SLACK = 5.0
# Seconds for a loop to close, which user code that clings to it can hinder.
CLOSING = 1.0


class Run:
    """A host that is about to work, works or has worked."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._host: Host | None = None
        self._thread: threading.Thread | None = None
        self._has_host = threading.Event()
        self._is_streaming = Readiness()  # or will never be
        self._has_ended = threading.Event()
        self._last_error: Exception | None = None

    @property
    def has_ended(self) -> bool:
        return self._has_ended.is_set()

    def start(self) -> None:
        """Serve on a thread of its own, which does not keep the interpreter from exiting."""
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve_alone(),), name="durabletask-worker", daemon=True
        )
        self._thread.start()
        self._has_host.wait()

    async def serve(self) -> None:
        """Serve in the running loop."""
        try:
            self._host = Host(self._setup, on_link=self._on_link)
            self._has_host.set()
            await self._host.run()
        finally:
            self._has_ended.set()
            self._has_host.set()
            self._is_streaming.set()

    def wait_until_ready(self, timeout: float | None) -> None:
        """Wait for the stream of work items; TimeoutError after so many seconds."""
        self._refuse_own_thread(
            "wait_until_ready() would wait for its own thread: in an event loop write "
            "`await worker.until_ready()`."
        )
        self._check_ready(timeout, is_streaming=self._is_streaming.wait(timeout))

    async def until_ready(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as for threads
        """Wait for the stream in an event loop; TimeoutError after so many seconds."""
        self._check_ready(timeout, is_streaming=await self._is_streaming.wait_async(timeout))

    def stop(self, grace: float | None) -> None:
        """End, and wait for the end unless the caller's thread is needed to reach it."""
        host = self._host
        if host is None:
            return
        host.ask_to_stop(grace)
        if host.is_served_by(threading.current_thread()):
            return
        patience = None if grace is None else grace + SLACK
        if not self._has_ended.wait(patience):
            self._setup.log.error(
                "The worker did not stop within %s s; it is left alone.", patience
            )
        elif self._thread is not None:
            # Only the loop is still to be closed.
            self._thread.join(CLOSING)

    async def _serve_alone(self) -> None:
        try:
            await self.serve()
        except Exception:
            self._setup.log.exception("The worker has stopped by an error of its own.")

    def _on_link(self, link: Link, error: Exception | None) -> None:
        self._last_error = error or self._last_error
        if link is Link.STREAMING:
            self._is_streaming.set()
        else:
            self._is_streaming.clear()

    def _check_ready(self, timeout: float | None, *, is_streaming: bool) -> None:
        if self.has_ended:
            raise RuntimeError("The worker was stopped before it had a connection.")
        if is_streaming:
            return
        reason = f" The last attempt: {self._last_error}" if self._last_error else ""
        raise TimeoutError(
            f"The worker has no work item stream from {self._setup.address} "
            f"after {timeout} s.{reason}"
        )

    def _refuse_own_thread(self, text: str) -> None:
        if self._host is not None and self._host.is_served_by(threading.current_thread()):
            raise RuntimeError(text)
