"""Start, drain and stop one sidecar on the running event loop.

    new --start--> serving --drain--> draining --stop--> stopping --> stopped
                      +-------------- stop -----------------^

While the sidecar drains, it hands out no more work and health probes answer NOT_SERVING;
workers may complete what they have, and all other calls are served. When it stops, streams end
cleanly, waiting calls are answered with UNAVAILABLE, and completions in progress are stored.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from os import PathLike, fspath
from typing import TYPE_CHECKING

from durabletask.protocol import in_process

from .clock import Clock, SystemClock
from .commit.committer import Committer
from .engine.limits import DEFAULT, Limits
from .host import Host
from .in_process import Engine
from .instrumentation import NO_INSTRUMENTATION
from .network.http_page import HttpPage
from .network.listening import is_loopback, target
from .operations.logs import drop_grpc_metadata
from .operations.metrics import Metrics, make_instrumentation
from .operations.retention import Retention, check_retention
from .random_ids import new_id
from .security import Security, token_table
from .service import Service
from .service.call_runner import CallRunner
from .service.hub_dialects import parse_dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from .instrumentation import Instrumentation
    from .network.grpc_server import GrpcServer
    from .service.authorization import Tokens
    from .store import Store

_log = logging.getLogger("durabletask.sidecar")

# By this, the work of a worker that vanished is handed to another after 30 seconds.
KEEPALIVE = timedelta(seconds=20)

# A sidecar that listens on these is known as `localhost` too.
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - they are only compared

# How long `stop` waits for peers that do not read; others are disconnected at once.
GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SidecarOptions:
    """How one sidecar runs: the keyword arguments of `Sidecar` and `Server` as one value.

    Attributes:
        path: The SQLite file that keeps everything. None keeps it in memory, until the sidecar
            stops.
        host: The address to listen on, a name or an IP address; `localhost` stands for the
            loopback addresses of IPv4 and IPv6. It should stay on loopback unless `security`
            is given.
        port: The TCP port to listen on; 0 picks a free one. With None it listens nowhere: only
            clients and workers of this process reach it, by its address.
        synchronous: "full" or "normal". With "full", acknowledged changes survive a power
            failure; with "normal", only a crash of the process, and commits are faster. Has no
            effect without a `path`.
        dialect: The dialect of workers and clients that do not show which SDK they use:
            "taskhub" is Microsoft's, "dapr" is Dapr's, and "auto" is Microsoft's until they
            show that they use Dapr's.
        limits: Limits on resources, such as sizes and counts; see `Limits` for the defaults.
        metrics: Where to publish metrics for Prometheus, which needs the extra `metrics`. None
            publishes none.
        retention: How long orchestrations are kept after they ended, more than 0 and at most
            36,500 days. None keeps them until they are purged.
        clock: Where the time comes from, for tests (`ManualClock`). None is the machine's clock.
        keepalive: A peer that is silent for this long is pinged, and is disconnected when it
            does not answer within half that time. `Sidecar` has no keyword argument for it.
        security: The files with certificates and tokens. None serves everybody who can
            connect, without TLS.

    Raises ValueError or TypeError for a `dialect` or `retention` that cannot be used, and
    ValueError for certificates without a port.

    Example:
        options = SidecarOptions("tasks.db", port=4001, retention=timedelta(days=30))
        with Sidecar.from_options(options) as address:
            ...
    """

    path: str | PathLike[str] | None = None
    host: str = "127.0.0.1"
    port: int | None = 0
    synchronous: str = "full"
    dialect: str = "auto"
    limits: Limits = DEFAULT
    metrics: Metrics | None = None
    retention: timedelta | None = None
    clock: Clock | None = None
    keepalive: timedelta = KEEPALIVE
    security: Security | None = None

    def __post_init__(self) -> None:
        parse_dialect(self.dialect)
        if self.retention is not None:
            check_retention(self.retention)
        if self.port is None and self.security is not None and self.security.has_tls:
            raise ValueError(
                "A sidecar without a port has no connections to encrypt: give it a port, or no "
                "tls_cert and tls_key."
            )


class Server:
    """One sidecar on the running event loop.

    The arguments are those of `SidecarOptions`, which explains them, and two more for tests:
    `store` is an open store to use in place of a `path`, and `make_host` makes the `Host`.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = 0,
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
        self._options = SidecarOptions(
            path=path,
            host=host,
            port=port,
            synchronous=synchronous,
            dialect=dialect,
            limits=limits,
            metrics=metrics,
            retention=retention,
            clock=clock,
            keepalive=keepalive,
            security=security,
        )
        self._security = security or Security()
        self._given_store = store
        self._make_host = make_host
        self._metrics_page: HttpPage | None = None
        self._retention: Retention | None = None
        self._store: Store | None = None
        self._host: Host | None = None
        self._grpc: GrpcServer | None = None
        self._in_process: Engine | None = None
        self._address = f"{in_process.SCHEME}{new_id()}" if port is None else target(host, port)

    @classmethod
    def from_options(cls, options: SidecarOptions) -> Server:
        """A server with these options."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(options)})

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`; the port is known once it has started.

        Without a port it is a name that leads to it from within this process.
        """
        return self._address

    @property
    def storage(self) -> str:
        """Where everything is kept: the path of the file, or "memory"."""
        path = self._options.path
        return "memory" if path is None else fspath(path)

    @property
    def metrics_address(self) -> str | None:
        """Where metrics are published, as `host:port`; None when they are not."""
        return None if self._metrics_page is None else self._metrics_page.address

    async def start(self) -> None:
        """Open the store, then listen.

        Raises StoreError, SecurityError or OSError, and leaves nothing open.
        """
        drop_grpc_metadata()
        options = self._options
        self._grpc = _grpc_server(options, self._security)
        tokens = _tokens(self._security)
        self._store = self._given_store or _open(options.path, options.synchronous)
        try:
            committer = Committer(self._store, options.limits)
            self._host = self._make_host(committer, options.clock or SystemClock(), new_id)
        except BaseException:
            self._store.close()
            raise
        try:
            instrumentation = await self._start_metrics(self._host)
            self._host.start()
            service = Service(self._host, parse_dialect(options.dialect))
            self._start_retention(self._host)
            # gRPC comes last, because it does not free a port that it has never served.
            await self._serve(service, instrumentation, tokens)
            _log.info("Serving", extra={"address": self.address, "storage": self.storage})
        except BaseException:
            await self._stop_in_process(0)
            await self._stop_retention()
            await self._stop_metrics()
            self._host.close()
            self._store.close()
            raise
        if options.port is not None and not is_loopback(options.host):
            for warning in self._security.exposure_warnings():
                _log.warning(warning, extra={"address": self.address})

    async def _serve(
        self, service: Service, instrumentation: Instrumentation, tokens: Tokens | None
    ) -> None:
        """Serve this process, and others if there is a port."""
        if self._grpc is not None:
            self._grpc.listen(service, instrumentation, tokens)
            self._address = target(self._options.host, self._grpc.port)
        # Before gRPC serves: a worker of this process that connected over it would stay there.
        # With TLS it must show, or trust, a certificate, which it does only over gRPC.
        if not self._security.has_tls:
            runner = CallRunner(service, instrumentation, tokens)
            self._in_process = Engine(runner, self._options.limits.message_bytes)
            for address in self._addresses_in_process():
                in_process.register(address, self._in_process)
        if self._grpc is not None:
            await self._grpc.start()

    def _addresses_in_process(self) -> tuple[str, ...]:
        """The addresses under which this process may know the sidecar."""
        if self._grpc is None or self._options.host not in _ALL_INTERFACES:
            return (self.address,)
        return self.address, target("localhost", self._grpc.port)

    async def _stop_in_process(self, grace: float) -> None:
        if self._in_process is not None:
            for address in self._addresses_in_process():
                in_process.unregister(address, self._in_process)
            await self._in_process.stop(grace)

    async def _stop_grpc(self, grace: float) -> None:
        if self._grpc is not None:
            await self._grpc.stop(grace)

    def _start_retention(self, host: Host) -> None:
        if self._options.retention is not None:
            self._retention = Retention(host, self._options.retention)
            self._retention.start()

    async def _stop_retention(self) -> None:
        if self._retention is not None:
            await self._retention.close()

    async def drain(self, patience: float) -> None:
        """Hand out no more work, and wait until workers have completed what they have.

        Waits `patience` seconds at most. Work that is not completed by then is handed out again
        by the next sidecar on the same file.
        """
        if self._host is None:
            return
        _log.info("Draining", extra={"address": self.address})
        if self._grpc is not None:
            self._grpc.drain()
        self._host.dispatcher.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._host.dispatcher.wait_leases_ended()

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End streams and waiting calls, stop listening, and close the store.

        `grace` is how many seconds to wait for peers that do not read what they are sent.
        """
        if self._host is None or self._store is None:
            return
        if self._grpc is not None:
            self._grpc.close_health()
        await self._stop_retention()
        self._host.disconnect()
        # Together: the grace is for all peers, however they are connected.
        await asyncio.gather(self._stop_in_process(grace), self._stop_grpc(grace))
        await self._stop_metrics()
        self._host.close()
        self._store.close()
        _log.info("Stopped", extra={"address": self.address})

    async def _start_metrics(self, host: Host) -> Instrumentation:
        """Publish metrics if they are wanted; return what the host and the service report to."""
        metrics = self._options.metrics
        if metrics is None:
            return NO_INSTRUMENTATION
        instrumentation = make_instrumentation(host.dispatcher.stats)
        host.instrument(instrumentation)
        self._metrics_page = HttpPage(metrics.host, metrics.port, instrumentation.page)
        await self._metrics_page.start()
        return instrumentation

    async def _stop_metrics(self) -> None:
        if self._metrics_page is not None:
            await self._metrics_page.stop()


def _grpc_server(options: SidecarOptions, security: Security) -> GrpcServer | None:
    if options.port is None:
        return None
    # Imported only when it is needed: gRPC takes longer to load than everything else.
    from .network.grpc_server import GrpcServer

    return GrpcServer(
        options.host,
        options.port,
        keepalive=options.keepalive,
        message_bytes=options.limits.message_bytes,
        security=security,
    )


def _tokens(security: Security) -> Tokens | None:
    if security.token_file is None:
        return None
    return token_table.load(security.token_file).current


def _open(path: str | PathLike[str] | None, synchronous: str) -> Store:
    # Each is imported only when it is needed: SQLite takes a tenth of a second to load.
    if path is None:
        from .store.memory import MemoryStore

        return MemoryStore()
    from .store.sqlite import SqliteStore

    return SqliteStore(path, synchronous=synchronous)
