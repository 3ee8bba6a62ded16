"""A backend for tests: the sidecar's engine on a real port, with its state in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.engine.limits import Limits
from durabletask.sidecar.host import Host
from durabletask.sidecar.server import GRACE_SECONDS, Server
from durabletask.sidecar.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.store import Change, EntityChange

_HOST = "localhost"


class InMemoryOrchestrationBackend:
    """A backend in this process, for workers and clients in this process or another.

    It listens on the loopback interface, IPv4 and IPv6 alike. With `port` 0 it picks a free
    port, and keeps it after a restart. Its instances and entities survive a restart, but not
    `reset`. An orchestration fails when a turn that does not end it would give its history
    more than `max_history_size` events.

    Example:
        with InMemoryOrchestrationBackend(port=0) as backend:
            client = TaskHubGrpcClient(host_address=backend.address)
            ...
    """

    def __init__(self, max_history_size: int = 10000, port: int = 50051) -> None:
        # Every turn leaves more than one event: a limit of 1 allows as little as one of 0.
        self._limits = Limits(history_events=max(1, max_history_size))
        self._port = port
        self._store = _HubStore()
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
        """The address to connect to; raises RuntimeError when the backend does not run."""
        return self._sidecar.address

    def start(self) -> str:
        """Start the backend, unless it runs already; return its address, `localhost:<port>`.

        Raises OSError when the port is in use.
        """
        address = self._sidecar.start()
        self._port = int(address.rpartition(":")[2])
        return address

    def stop(self, grace: float | None = None) -> None:
        """Stop the backend and free its port, unless it is stopped already.

        The streams of workers are ended and waiting clients get an error, both at once;
        `grace` is how many seconds peers get that do not read what they are sent.
        Nothing listens on the port when this returns. The operating system remembers
        connections that were open for a while, which keeps only those from binding the port
        that do not set SO_REUSEADDR.
        """
        self._sidecar.close(GRACE_SECONDS if grace is None else grace)
        self._host = None

    def reset(self) -> None:
        """Delete every instance and entity of every task hub; workers stay connected."""
        if self._host is None:
            self._store.wipe_all()
        else:
            self._sidecar.run(_wipe(self._host, self._store))

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


class _HubStore(MemoryStore):
    """A store in memory that remembers which task hubs it was used for."""

    def __init__(self) -> None:
        super().__init__()
        self._hubs: set[str] = set()

    def hubs(self) -> tuple[str, ...]:
        """The task hubs that something was ever stored for."""
        return tuple(self._hubs)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        super().commit(changes)
        self._hubs.update(change.key.hub for change in changes)

    def wipe_all(self) -> None:
        """Delete everything."""
        for hub in self._hubs:
            self.wipe(hub)


async def _wipe(host: Host, store: _HubStore) -> None:
    # By the host, which also revokes the work that is dispatched and wakes waiting clients.
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
