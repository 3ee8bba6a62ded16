"""How a client or a worker uses gRPC: options of its channel, and of broken connections.

Plain values that check themselves. Importing this does not import gRPC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "GrpcChannelOptions",
    "GrpcClientResiliencyOptions",
    "GrpcRetryPolicyOptions",
    "GrpcWorkerResiliencyOptions",
]


@dataclass(slots=True, kw_only=True)
class GrpcRetryPolicyOptions:
    """Retries that gRPC makes by itself, in addition to those of the SDK.

    They apply to every call, even to those that the SDK never repeats because the sidecar
    would carry them out twice, such as raising an event.
    """

    max_attempts: int = 4
    initial_backoff_seconds: float = 0.05
    max_backoff_seconds: float = 0.25
    backoff_multiplier: float = 2.0
    retryable_status_codes: list[str] = field(default_factory=lambda: ["UNAVAILABLE"])

    def __post_init__(self) -> None:
        _require_at_least(self, {"max_attempts": 2})
        _require_positive(
            self, "initial_backoff_seconds", "max_backoff_seconds", "backoff_multiplier"
        )
        if self.max_backoff_seconds < self.initial_backoff_seconds:
            raise ValueError("max_backoff_seconds must be >= initial_backoff_seconds")
        if not self.retryable_status_codes:
            raise ValueError("retryable_status_codes cannot be empty")
        _duration(self.initial_backoff_seconds)

    def to_service_config(self) -> dict[str, Any]:
        """The policy as gRPC's service config, for all methods."""
        policy = {
            "maxAttempts": self.max_attempts,
            "initialBackoff": _duration(self.initial_backoff_seconds),
            "maxBackoff": _duration(self.max_backoff_seconds),
            "backoffMultiplier": self.backoff_multiplier,
            "retryableStatusCodes": self.retryable_status_codes,
        }
        return {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}


@dataclass(slots=True, kw_only=True)
class GrpcChannelOptions:
    """Options of a channel; an option that is None keeps the SDK's default, or else gRPC's.

    The SDK's own defaults: messages of up to 64 MiB both ways, no proxy to loopback
    addresses, a new attempt to connect within a second. `raw_options` are passed on unchanged;
    an option that has a name here wins over the same one in `raw_options`.

    There are no pings by default: calls have deadlines, and workers detect a silent stream by
    themselves. Engines written in Go (durabletask-go, daprd) allow one ping in five minutes
    and end the connection with `too_many_pings` if there are more. With them keep
    `keepalive_time_ms` at 300,000 or more, and `keepalive_permit_without_calls` off.
    """

    max_receive_message_length: int | None = None
    max_send_message_length: int | None = None
    keepalive_time_ms: int | None = None
    keepalive_timeout_ms: int | None = None
    keepalive_permit_without_calls: bool | None = None
    retry_policy: GrpcRetryPolicyOptions | None = None
    raw_options: list[tuple[str, Any]] = field(default_factory=list)

    def to_grpc_options(self) -> list[tuple[str, Any]]:
        """The pairs that `grpc.insecure_channel` takes."""
        permitted = self.keepalive_permit_without_calls
        named = {
            "grpc.max_receive_message_length": self.max_receive_message_length,
            "grpc.max_send_message_length": self.max_send_message_length,
            "grpc.keepalive_time_ms": self.keepalive_time_ms,
            "grpc.keepalive_timeout_ms": self.keepalive_timeout_ms,
            "grpc.keepalive_permit_without_calls": None if permitted is None else int(permitted),
        }
        options = [*self.raw_options]
        options += [(name, value) for name, value in named.items() if value is not None]
        if self.retry_policy is not None:
            config = json.dumps(self.retry_policy.to_service_config())
            options += [("grpc.enable_retries", 1), ("grpc.service_config", config)]
        return options


@dataclass(slots=True, kw_only=True)
class GrpcWorkerResiliencyOptions:
    """How a worker detects a broken stream, and how it reconnects.

    A stream on which nothing arrives for `silent_disconnect_timeout_seconds` counts as broken;
    0 means never. After `channel_recreate_failure_threshold` failures in a row the channel is
    made anew; 0 means never. After n failures in a row the worker waits for a random part of
    `min(cap, base * 2 ** n)` seconds, as the official SDK does.
    """

    hello_timeout_seconds: float = 30.0
    silent_disconnect_timeout_seconds: float = 120.0
    channel_recreate_failure_threshold: int = 5
    reconnect_backoff_base_seconds: float = 1.0
    reconnect_backoff_cap_seconds: float = 30.0

    def __post_init__(self) -> None:
        _require_at_least(
            self, {"silent_disconnect_timeout_seconds": 0, "channel_recreate_failure_threshold": 0}
        )
        _require_positive(
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

    That is after `channel_recreate_failure_threshold` calls in a row that reached no sidecar or
    got no answer in time (0 means never), and every `min_recreate_interval_seconds` at most.
    """

    channel_recreate_failure_threshold: int = 5
    min_recreate_interval_seconds: float = 30.0

    def __post_init__(self) -> None:
        _require_at_least(
            self, {"channel_recreate_failure_threshold": 0, "min_recreate_interval_seconds": 0}
        )


def _require_at_least(options: Any, limits: dict[str, float]) -> None:
    """Raise ValueError naming the first option that is below its limit."""
    for name, limit in limits.items():
        if getattr(options, name) < limit:
            raise ValueError(f"{name} must be >= {limit}")


def _require_positive(options: Any, *names: str) -> None:
    """Raise ValueError naming the first of these options that is not above zero."""
    for name in names:
        if getattr(options, name) <= 0:
            raise ValueError(f"{name} must be > 0")


def _duration(seconds: float) -> str:
    """Seconds as gRPC reads them in JSON: nine decimals at most, and never zero."""
    text = f"{seconds:.9f}".rstrip("0")
    if float(text) == 0:
        raise ValueError(f"{seconds!r} seconds round to zero: gRPC counts in nanoseconds")
    return f"{text}0s" if text.endswith(".") else f"{text}s"
