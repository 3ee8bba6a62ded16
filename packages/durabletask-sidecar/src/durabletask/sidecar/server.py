"""Start, drain and stop one sidecar on the running event loop.

    new --start--> serving --stop--> draining --> stopped

While it drains, streams end cleanly, waits are answered with UNAVAILABLE, and
completions of work that is still out are stored.

Knows nothing about command lines or threads.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from os import PathLike, fspath
from typing import TYPE_CHECKING

import grpc

from . import service
from .clock import Clock, SystemClock
from .committer import Committer
from .host import Host
from .listening import check_free, free_port, hosts, target
from .metrics import Meter, Metrics
from .observing import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from .observing import Observer
    from .store import Store

# The largest message that our own workers and clients send.
_MAX_MESSAGE = 64 * 1024 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", -1),
    # Above some 1,000 calls in flight gRPC's server answers a part of them with CANCELLED.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    # Pings of ours must go on while there is nothing else to send.
    ("grpc.http2.max_pings_without_data", 0),
    # Several SDKs ping every 30 seconds, between calls too.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Two sidecars on one port would each get half of the calls.
    ("grpc.so_reuseport", 0),
)

# A peer that was silent for so long is asked whether it is still there, and has half that
# time to answer. A worker that vanished without a word gives its work back by that.
KEEPALIVE = timedelta(seconds=20)

# For peers that do not read what they are sent; all others are done at once.
DRAIN_SECONDS = 5.0


class Server:
    """One sidecar: a store, a port, and all that is between them.

    A `store` takes the place of a path: one that is open already, and that may outlive the
    server if to close it means nothing. `make_host` says what the engine lives in.

    `dialect` is what peers are taken for that do not show whose they are: "taskhub" for
    Microsoft's, "dapr" for Dapr's; "auto" takes them for Microsoft's until they show Dapr's.

    `metrics` says where to publish metrics; it needs the extra of that name.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        synchronous: str = "full",
        dialect: str = "auto",
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        keepalive: timedelta = KEEPALIVE,
        store: Store | None = None,
        make_host: Callable[[Committer, Clock, Callable[[], str]], Host] = Host,
    ) -> None:
        self._path = path
        self._host = host
        self._port = port
        self._synchronous = synchronous
        self._dialect = service.named(dialect)
        self._metrics = metrics
        self._meter: Meter | None = None
        self._clock = clock or SystemClock()
        self._keepalive = keepalive
        self._lasting_store = store
        self._make_host = make_host
        self._store: Store | None = None
        self._engine: Host | None = None
        self._health = service.Health()
        self._grpc: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`; the port is known once it has started."""
        return target(self._host, self._port)

    @property
    def storage(self) -> str:
        """Where it remembers, in words for the user."""
        return "memory" if self._path is None else fspath(self._path)

    @property
    def metrics_address(self) -> str | None:
        """Where metrics are published, as `host:port`; None when they are not."""
        return None if self._meter is None else self._meter.address

    async def start(self) -> None:
        """Open the store, then listen; raise StoreError or OSError and leave nothing open."""
        places = hosts(self._host)
        for place in places:
            check_free(place, self._port)
        self._store = self._lasting_store or _open(self._path, self._synchronous)
        self._engine = self._make_host(Committer(self._store), self._clock, _new_id)
        try:
            observer = await self._observed(self._engine)
            # What may fail comes first: gRPC gives a port back only after it has served it.
            self._engine.start()
            self._grpc = grpc.aio.server(options=(*_OPTIONS, *_keepalive_options(self._keepalive)))
            self._grpc.add_generic_rpc_handlers(
                (service.handlers(self._engine, self._dialect, observer), self._health.handlers())
            )
            self._port = self._port or free_port(places)
            for place in places:
                self._port = _listen(self._grpc, place, self._port)
            await self._grpc.start()
        except BaseException:
            await self._stop_metrics()
            self._engine.close()
            self._store.close()
            raise

    async def stop(self, grace: float = DRAIN_SECONDS) -> None:
        """Drain, stop listening, and close the store.

        `grace` is how many seconds peers have that do not read what they are sent.
        """
        if self._engine is None or self._grpc is None or self._store is None:
            return
        self._health.close()
        self._engine.drain()
        await self._grpc.stop(grace)
        await self._stop_metrics()
        self._engine.close()
        self._store.close()

    async def _observed(self, engine: Host) -> Observer:
        """Who counts what happens: whoever publishes it, or nobody."""
        if self._metrics is None:
            return NOBODY
        self._meter = Meter(self._metrics, engine.census)
        engine.observe(self._meter.observer)
        await self._meter.start()
        return self._meter.observer

    async def _stop_metrics(self) -> None:
        if self._meter is not None:
            await self._meter.stop()


def _keepalive_options(keepalive: timedelta) -> tuple[tuple[str, int], ...]:
    milliseconds = int(keepalive.total_seconds() * 1000)
    return (
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", milliseconds // 2),
        # What newer versions of gRPC go by instead.
        ("grpc.http2.ping_timeout_ms", milliseconds // 2),
    )


def _listen(server: grpc.aio.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(target(host, port))
    except RuntimeError as error:
        raise OSError(f"cannot listen on {target(host, port)}: {error}") from error


def _open(path: str | PathLike[str] | None, synchronous: str) -> Store:
    # Each only where it is wanted: SQLite takes a tenth of a second to load.
    if path is None:
        from .store.memory import MemoryStore

        return MemoryStore()
    from .store.sqlite import SqliteStore

    return SqliteStore(path, synchronous=synchronous)


def _new_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the shell is where ids come from
