"""Start, drain and stop one sidecar on the running event loop.

    new --start--> serving --drain--> draining --stop--> stopping --> stopped
                      +-------------- stop -----------------^

While it drains, it hands out no more work and tells probes so; workers may complete what they
have, and all other calls are served. When it stops, streams end cleanly, waits are answered
with UNAVAILABLE, and completions under way are stored.

Knows nothing about command lines or threads.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from datetime import timedelta
from os import PathLike, fspath
from typing import TYPE_CHECKING

import grpc

from . import service
from .clock import Clock, SystemClock
from .commit.committer import Committer
from .engine.limits import DEFAULT
from .host import Host
from .instrumentation import NO_INSTRUMENTATION
from .network.listening import check_free, free_port, hosts, is_loopback, target
from .network.restarting_server import LastingServer
from .operations.logs import drop_grpc_metadata
from .operations.metrics import Metrics, MetricsPublisher
from .operations.retention import Retention
from .security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .engine.limits import Limits
    from .instrumentation import Instrumentation
    from .security.certificates import Certificates
    from .security.files import FileBacked
    from .security.token_table import TokenTable
    from .store import Store

_log = logging.getLogger("durabletask.sidecar")

_OPTIONS = (
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

# The largest number that gRPC takes for a limit, and more than it takes for a message.
_MOST_MESSAGE_BYTES = 2**31 - 1

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

    `limits` says how much there may be of everything.

    `security` says who may connect and call; None lets in whoever can reach the port.

    `metrics` says where to publish metrics; it needs the extra of that name.

    `retention` is how long orchestrations are remembered that have ended; None is for good.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        synchronous: str = "full",
        dialect: str = "auto",
        limits: Limits = DEFAULT,
        metrics: Metrics | None = None,
        retention: timedelta | None = None,
        clock: Clock | None = None,
        keepalive: timedelta = KEEPALIVE,
        store: Store | None = None,
        security: Security | None = None,
        make_host: Callable[[Committer, Clock, Callable[[], str]], Host] = Host,
    ) -> None:
        self._path = path
        self._host = host
        self._port = port
        self._synchronous = synchronous
        self._dialect = service.named(dialect)
        self._limits = limits
        self._metrics = metrics
        self._publisher: MetricsPublisher | None = None
        self._kept = retention
        self._retention: Retention | None = None
        self._clock = clock or SystemClock()
        self._keepalive = keepalive
        self._lasting_store = store
        self._security = security or Security()
        self._make_host = make_host
        self._store: Store | None = None
        self._engine: Host | None = None
        self._health = service.Health()
        self._grpc: LastingServer | None = None

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
        return None if self._publisher is None else self._publisher.address

    async def start(self) -> None:
        """Open the store, then listen.

        Raises StoreError, SecurityError or OSError, and leaves nothing open.
        """
        drop_grpc_metadata()
        certificates, tokens = _certificates(self._security), _tokens(self._security)
        places = hosts(self._host)
        for place in places:
            check_free(place, self._port)
        self._store = self._lasting_store or _open(self._path, self._synchronous)
        try:
            self._engine = self._make_host(
                Committer(self._store, self._limits), self._clock, _new_id
            )
        except BaseException:
            self._store.close()
            raise
        try:
            instrumentation = await self._observed(self._engine)
            # What may fail comes first: gRPC gives a port back only after it has served it.
            self._engine.start()
            self._port = self._port or free_port(places)
            admission = service.Admission(tokens.current, instrumentation) if tokens else None
            handlers = (
                service.handlers(self._engine, self._dialect, instrumentation),
                self._health.handlers(),
            )
            self._grpc = LastingServer(
                lambda: self._listening(places, certificates, admission, handlers)
            )
            await self._grpc.start()
            self._start_retention(self._engine)
            _log.info("serving", extra={"address": self.address, "storage": self.storage})
        except BaseException:
            await self._stop_metrics()
            self._engine.close()
            self._store.close()
            raise
        if not is_loopback(self._host):
            for warning in self._security.exposure_warnings():
                _log.warning(warning, extra={"address": self.address})

    def _listening(
        self,
        places: Sequence[str],
        certificates: Certificates | None,
        admission: service.Admission | None,
        handlers: Sequence[grpc.GenericRpcHandler],
    ) -> grpc.aio.Server:
        """A gRPC server that has its port, and has yet to be started."""
        server = grpc.aio.server(
            interceptors=[admission] if admission else [],
            options=(*_OPTIONS, *_options(self._keepalive, self._limits)),
        )
        server.add_generic_rpc_handlers(handlers)
        for place in places:
            self._port = _listen(server, place, self._port, certificates)
        return server

    def _start_retention(self, engine: Host) -> None:
        if self._kept is not None:
            self._retention = Retention(engine, self._kept)
            self._retention.start()

    async def drain(self, patience: float) -> None:
        """Hand out no more work, and wait so many seconds at most for what is out.

        What is still out then is handed out anew by whoever starts on the same file.
        """
        if self._engine is None:
            return
        _log.info("draining", extra={"address": self.address})
        self._health.drain()
        self._engine.retire()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._engine.wait_returned()

    async def stop(self, grace: float = DRAIN_SECONDS) -> None:
        """End streams and waits, stop listening, and close the store.

        `grace` is how many seconds peers have that do not read what they are sent.
        """
        if self._engine is None or self._grpc is None or self._store is None:
            return
        self._health.close()
        if self._retention is not None:
            await self._retention.close()
        self._engine.drain()
        await self._grpc.stop(grace)
        await self._stop_metrics()
        self._engine.close()
        self._store.close()
        _log.info("stopped", extra={"address": self.address})

    async def _observed(self, engine: Host) -> Instrumentation:
        """Who counts what happens: whoever publishes it, or nobody."""
        if self._metrics is None:
            return NO_INSTRUMENTATION
        self._publisher = MetricsPublisher(self._metrics, engine.stats)
        engine.instrument(self._publisher.instrumentation)
        await self._publisher.start()
        return self._publisher.instrumentation

    async def _stop_metrics(self) -> None:
        if self._publisher is not None:
            await self._publisher.stop()


def _options(keepalive: timedelta, limits: Limits) -> tuple[tuple[str, int], ...]:
    milliseconds = int(keepalive.total_seconds() * 1000)
    most = limits.message_bytes
    if most is None or most > _MOST_MESSAGE_BYTES:
        most = -1
    return (
        ("grpc.max_receive_message_length", most),
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", milliseconds // 2),
        # What newer versions of gRPC go by instead.
        ("grpc.http2.ping_timeout_ms", milliseconds // 2),
    )


def _certificates(security: Security) -> Certificates | None:
    if security.tls_cert is None or security.tls_key is None:
        return None
    # Each only where it is wanted: ssl takes a while to load.
    from .security.certificates import Certificates

    return Certificates(security.tls_cert, security.tls_key, security.client_ca)


def _tokens(security: Security) -> FileBacked[TokenTable] | None:
    if security.token_file is None:
        return None
    from .security import token_table

    return token_table.load(security.token_file)


def _listen(
    server: grpc.aio.Server, host: str, port: int, certificates: Certificates | None
) -> int:
    try:
        if certificates is None:
            return server.add_insecure_port(target(host, port))
        return server.add_secure_port(target(host, port), certificates.credentials())
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
