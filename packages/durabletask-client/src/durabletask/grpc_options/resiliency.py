"""When a client or a worker gives up a connection that seems broken."""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.grpc_options.checks import require_at_least, require_positive


@dataclass(slots=True, kw_only=True)
class GrpcWorkerResiliencyOptions:
    """How a worker notices a broken stream, and how it returns.

    A stream that says nothing for `silent_disconnect_timeout_seconds` counts as broken; 0
    means never. After `channel_recreate_failure_threshold` failures in a row the channel is
    made anew; 0 means never. The pause before attempt n is a random part of
    `min(cap, base * 2 ** n)` seconds.
    """

    hello_timeout_seconds: float = 30.0
    silent_disconnect_timeout_seconds: float = 120.0
    channel_recreate_failure_threshold: int = 5
    reconnect_backoff_base_seconds: float = 1.0
    reconnect_backoff_cap_seconds: float = 30.0

    def __post_init__(self) -> None:
        require_at_least(
            self, {"silent_disconnect_timeout_seconds": 0, "channel_recreate_failure_threshold": 0}
        )
        require_positive(
            self,
            "hello_timeout_seconds",
            "reconnect_backoff_base_seconds",
            "reconnect_backoff_cap_seconds",
        )
        if self.reconnect_backoff_cap_seconds < self.reconnect_backoff_base_seconds:
            raise ValueError(
                "reconnect_backoff_cap_seconds must be >= reconnect_backoff_base_seconds"
            )


@dataclass(slots=True, kw_only=True)
class GrpcClientResiliencyOptions:
    """When a client makes its channel anew.

    That is after `channel_recreate_failure_threshold` calls in a row that found nobody, or
    got no answer in time (0 means never), and every `min_recreate_interval_seconds` at most.
    """

    channel_recreate_failure_threshold: int = 5
    min_recreate_interval_seconds: float = 30.0

    def __post_init__(self) -> None:
        require_at_least(
            self, {"channel_recreate_failure_threshold": 0, "min_recreate_interval_seconds": 0}
        )
