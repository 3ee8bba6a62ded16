"""A hub whose time is made, not waited for: months of it pass in milliseconds.

Knows nothing about what the time is wanted for, and nothing about the engine but when it
is at rest and what it does next.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.server import Server
from durabletask.sidecar.skipping import SkippingHost

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.host import Host

# Real seconds, against hangs.
_PATIENCE = 10.0


class VirtualTimeHub:
    """A hub in memory on a clock of its own, for workers and clients of any SDK.

    As long as anything happens, time stands still. With `auto_skip`, it jumps to the next
    timer, scheduled start or delayed signal when nothing else can happen and a client
    waits for an orchestration; without, and while no client waits, only when told to.

    A client that waits for something that never comes makes time fly: orchestrations that
    go on for ever live through years until its timeout ends the wait.

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
        self._host: SkippingHost | None = None
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
        """What to connect to; raises RuntimeError outside of the `with` block."""
        return self._sidecar.address

    @property
    def now(self) -> datetime:
        """The time in the hub, in UTC: what orchestrators see."""
        return self._clock.now()

    def advance(self, step: timedelta) -> None:
        """Move the time on, whatever is under way; what comes due by that happens then.

        To let everything that is under way come to its end first, call `wait_idle`.
        """
        self._clock.advance(step)

    def skip_to_next_due(self, *, timeout: float = _PATIENCE) -> datetime | None:
        """Wait until nothing else happens, then move the time on to what happens next.

        Returns that time, or None when nothing will happen by itself. `timeout` is in real
        seconds, after which TimeoutError is raised: some work is still out, or waits for a
        worker that takes it.
        """
        host = self._running()
        return self._within(timeout, _skip(host))

    def wait_idle(self, *, timeout: float = _PATIENCE) -> None:
        """Return once nothing happens any more until somebody calls, or time passes.

        Raises TimeoutError as `skip_to_next_due` does.
        """
        self._within(timeout, self._running().wait_idle())

    def _within(
        self, timeout: float, waiting: Coroutine[None, None, datetime | None]
    ) -> datetime | None:
        try:
            return self._sidecar.run(asyncio.wait_for(waiting, timeout))
        except TimeoutError:
            raise TimeoutError(
                f"the hub was not at rest within {timeout} s: some work is still out, or "
                "waits for a worker that takes it"
            ) from None

    def _running(self) -> SkippingHost:
        if self._host is None:
            raise RuntimeError("the hub does not run: use it in a `with` block")
        return self._host

    def _server(self) -> Server:
        return Server(
            host="localhost", port=self._port, clock=self._clock, make_host=self._make_host
        )

    def _make_host(self, committer: Committer, _: Clock, new_id: Callable[[], str]) -> Host:
        self._host = SkippingHost(committer, self._clock, new_id, skips=self._auto_skip)
        return self._host


async def _skip(host: SkippingHost) -> datetime | None:
    await host.wait_idle()
    return host.skip()
