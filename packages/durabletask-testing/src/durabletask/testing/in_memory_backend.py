"""A backend for tests: the real engine on a real port, and nothing on disk.

Knows nothing about the engine but how to start it, to stop it and to have it forget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.engine.limits import Limits
from durabletask.sidecar.host import Host
from durabletask.sidecar.server import GRACE_SECONDS, Server

from ._hub_store import HubStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer

_HOST = "localhost"


class InMemoryOrchestrationBackend:
    """A backend that lives in this process, for workers and clients in this one or another.

    It listens on the loopback interface, IPv4 and IPv6 alike; with `port` 0 on a port that
    is free, and after a restart on that one again. What it knows outlives a restart, but
    not `reset`. An orchestration fails when a turn that does not end it would give its history
    more than `max_history_size` events.

    Example:
        with InMemoryOrchestrationBackend(port=0) as backend:
            client = TaskHubGrpcClient(host_address=backend.address)
            ...
    """

    def __init__(self, max_history_size: int = 10000, port: int = 50051) -> None:
        # No turn leaves a history of one event or none: 1 allows as little as 0.
        self._limits = Limits(history_events=max(1, max_history_size))
        self._port = port
        self._store = HubStore()
        self._host: Host | None = None
        self._sidecar = Sidecar.of(self._server)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What to connect to; raises RuntimeError when the backend does not run."""
        return self._sidecar.address

    def start(self) -> str:
        """Start it, unless it runs already, and return its address, `localhost:<port>`.

        Raises OSError when the port is in use.
        """
        address = self._sidecar.start()
        self._port = int(address.rpartition(":")[2])
        return address

    def stop(self, grace: float | None = None) -> None:
        """Stop it and free its port, unless it is stopped already.

        Streams of workers end cleanly and waiting clients are sent away, both at once;
        `grace` is how many seconds those peers have that do not read what they are sent.
        Nothing listens on the port when this returns. TCP remembers connections that were open
        for a while, which keeps out only who binds without SO_REUSEADDR.
        """
        self._sidecar.close(GRACE_SECONDS if grace is None else grace)
        self._host = None

    def reset(self) -> None:
        """Forget every instance and entity of every task hub; workers stay connected."""
        if self._host is None:
            self._store.wipe_all()
        else:
            self._sidecar.run(_forget(self._host, self._store))

    def _server(self) -> Server:
        return Server(
            host=_HOST,
            port=self._port,
            store=self._store,
            limits=self._limits,
            make_host=self._make_host,
        )

    def _make_host(self, committer: Committer, clock: Clock, new_id: Callable[[], str]) -> Host:
        self._host = Host(committer, clock, new_id)
        return self._host


async def _forget(host: Host, store: HubStore) -> None:
    # The host tells everybody who has to know; the store alone would not.
    for hub in store.hubs():
        host.wipe(hub)


def create_test_backend(
    port: int = 50051, max_history_size: int = 10000
) -> InMemoryOrchestrationBackend:
    """Start an in-memory backend, for instance in a fixture.

    Example:
        @pytest.fixture
        def backend():
            backend = create_test_backend(port=0)
            yield backend
            backend.stop()
    """
    backend = InMemoryOrchestrationBackend(max_history_size=max_history_size, port=port)
    backend.start()
    return backend
