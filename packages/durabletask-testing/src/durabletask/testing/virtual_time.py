"""A task hub on a virtual clock: months of timers pass in milliseconds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.server import Server

from ._time_skipping import TimeSkippingHost

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.host import Host

# In real seconds: a test that hangs ends with an error.
_TIMEOUT = 10.0


class VirtualTimeHub:
    """A task hub in memory with its own clock, for workers and clients of any SDK.

    Time stands still while anything happens. With `auto_skip`, it jumps to the next timer,
    scheduled start or delayed signal when nothing else can happen and a client waits for an
    orchestration. Without `auto_skip`, and while no client waits, it moves only when
    `advance` or `skip_to_next_due` is called.

    While a client waits for something that never happens, time goes on: orchestrations that
    never end run through years of timers until the client's timeout ends the wait.

    Example:
        with VirtualTimeHub() as hub:
            client = TaskHubGrpcClient(host_address=hub.address)
            ...  # a worker whose orchestrator sleeps for 30 days
            client.wait_for_orchestration_completion(instance_id)  # takes milliseconds
    """

    def __init__(
        self,
        *,
        start: datetime = datetime(2000, 1, 1, tzinfo=UTC),
        auto_skip: bool = True,
        port: int = 0,
    ) -> None:
        self._clock = ManualClock(start)
        self._auto_skip = auto_skip
        self._port = port
        self._host: TimeSkippingHost | None = None
        self._sidecar = Sidecar.of(self._server)

    def __enter__(self) -> Self:
        self._sidecar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sidecar.close()
        self._host = None

    @property
    def address(self) -> str:
        """The address to connect to; raises RuntimeError outside of the `with` block."""
        self._running_host()
        return self._sidecar.address

    @property
    def now(self) -> datetime:
        """The hub's time, in UTC, which orchestrators see."""
        return self._clock.now()

    def advance(self, step: timedelta) -> None:
        """Move the time forward at once; timers and other things that become due then happen.

        To let the work in progress finish first, call `wait_idle`.
        """
        self._clock.advance(step)

    def skip_to_next_due(self, *, timeout: float = _TIMEOUT) -> datetime | None:
        """Wait until the hub is idle, then move the time forward to what is due next.

        Returns that time, or None when nothing is due. `timeout` is in real seconds, after
        which TimeoutError is raised: some work is still in progress, or no worker takes it.
        """
        host = self._running_host()
        return self._within(timeout, _skip(host))

    def wait_idle(self, *, timeout: float = _TIMEOUT) -> None:
        """Return once nothing more happens until a worker or client calls, or time passes.

        Raises TimeoutError as `skip_to_next_due` does.
        """
        self._within(timeout, self._running_host().wait_idle())

    def _within(
        self, timeout: float, waiting: Coroutine[None, None, datetime | None]
    ) -> datetime | None:
        try:
            return self._sidecar.run(asyncio.wait_for(waiting, timeout))
        except TimeoutError:
            raise TimeoutError(
                f"The hub was not idle after {timeout} s: some work is still in progress, or "
                "waits for a worker that hosts it."
            ) from None

    def _running_host(self) -> TimeSkippingHost:
        if self._host is None:
            raise RuntimeError("The hub is not running: use it in a `with` block.")
        return self._host

    def _server(self) -> Server:
        return Server(
            host="localhost", port=self._port, clock=self._clock, make_host=self._make_host
        )

    def _make_host(self, committer: Committer, _: Clock, new_id: Callable[[], str]) -> Host:
        self._host = TimeSkippingHost(committer, self._clock, new_id, auto_skip=self._auto_skip)
        return self._host


async def _skip(host: TimeSkippingHost) -> datetime | None:
    await host.wait_idle()
    return host.skip()
