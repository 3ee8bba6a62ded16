"""Listen on a port, and serve the table of methods over gRPC there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio

from durabletask.sidecar.service.call_runner import CallRunner

from .authorization import Authorization
from .batch_stream import BatchStreams, offer
from .handlers import handlers
from .health import Health
from .listening import check_free, free_port, hosts, target
from .restarting_server import RestartingServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.security import Security
    from durabletask.sidecar.service import Service
    from durabletask.sidecar.service.authorization import Tokens

    from .certificates import Certificates

_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    # Above some 1,000 calls in flight gRPC's server answers a part of them with CANCELLED.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    # The sidecar must be able to ping while it has nothing else to send.
    ("grpc.http2.max_pings_without_data", 0),
    # Several SDKs ping every 30 seconds, even between calls.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Two sidecars on one port would each get half of the calls.
    ("grpc.so_reuseport", 0),
)

# The largest limit that gRPC accepts; no message can be larger.
_MAX_MESSAGE_BYTES = 2**31 - 1


class GrpcServer:
    """A gRPC server of asyncio on one port; with `port` 0 it picks one when it listens.

    Raises OSError when the address cannot be listened on, and SecurityError when a file of the
    certificates cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        keepalive: timedelta,
        message_bytes: int | None,
        security: Security,
    ) -> None:
        self._certificates = _certificates(security)
        self._addresses = hosts(host)
        self.port = port
        self._options = (*_CHANNEL_OPTIONS, *_channel_options(keepalive, message_bytes))
        self._message_bytes = message_bytes
        self._health = Health()
        self._batches: BatchStreams | None = None
        self._server: RestartingServer | None = None
        for address in self._addresses:
            check_free(address, port)

    def listen(
        self, service: Service, instrumentation: Instrumentation, tokens: Tokens | None
    ) -> None:
        """Take the port; once started, serve the service to callers whose token is in `tokens`."""
        self.port = self.port or free_port(self._addresses)
        authorization = None if tokens is None else Authorization(tokens, instrumentation)
        self._batches = BatchStreams(CallRunner(service, instrumentation, tokens))
        served = (
            handlers(service, instrumentation, [offer(self._message_bytes)]),
            self._batches.handlers(),
            self._health.handlers(),
        )
        self._server = RestartingServer(lambda: self._listening(authorization, served))

    async def start(self) -> None:
        """Serve those who connect to the port."""
        assert self._server is not None
        await self._server.start()

    def drain(self) -> None:
        """Tell probes that no more work is handed out."""
        self._health.drain()

    def close_health(self) -> None:
        """End the calls of those who watch the health, which would delay `stop`."""
        self._health.close()

    async def stop(self, grace: float) -> None:
        """Stop listening; wait at most `grace` seconds for calls that are under way."""
        if self._batches is not None:
            self._batches.close()
        if self._server is not None:
            await self._server.stop(grace)

    def _listening(
        self, authorization: Authorization | None, served: Sequence[grpc.GenericRpcHandler]
    ) -> grpc.aio.Server:
        """A gRPC server that has its port and is not started yet."""
        server = grpc.aio.server(
            interceptors=[authorization] if authorization else [], options=self._options
        )
        server.add_generic_rpc_handlers(served)
        for address in self._addresses:
            self.port = _listen(server, address, self.port, self._certificates)
        return server


def _channel_options(
    keepalive: timedelta, message_bytes: int | None
) -> tuple[tuple[str, int], ...]:
    milliseconds = int(keepalive.total_seconds() * 1000)
    if message_bytes is None or message_bytes > _MAX_MESSAGE_BYTES:
        message_bytes = -1
    return (
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", milliseconds // 2),
        # The name of the same option in newer versions of gRPC.
        ("grpc.http2.ping_timeout_ms", milliseconds // 2),
    )


def _certificates(security: Security) -> Certificates | None:
    if security.tls_cert is None or security.tls_key is None:
        return None
    # Imported only when it is needed, because Python can be built without ssl.
    from .certificates import Certificates

    return Certificates(security.tls_cert, security.tls_key, security.client_ca)


def _listen(
    server: grpc.aio.Server, host: str, port: int, certificates: Certificates | None
) -> int:
    try:
        if certificates is None:
            return server.add_insecure_port(target(host, port))
        return server.add_secure_port(target(host, port), certificates.credentials())
    except RuntimeError as error:
        raise OSError(f"cannot listen on {target(host, port)}: {error}") from error
