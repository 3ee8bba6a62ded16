"""Options of a channel, as the list of pairs that gRPC takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from durabletask.grpc_options.checks import require_at_least, require_positive


@dataclass(slots=True, kw_only=True)
class GrpcRetryPolicyOptions:
    """Retries that gRPC makes by itself, below those of the SDK.

    They apply to every call, also to those that the SDK never repeats because the sidecar
    would do the same thing twice, such as raising an event.
    """

    max_attempts: int = 4
    initial_backoff_seconds: float = 0.05
    max_backoff_seconds: float = 0.25
    backoff_multiplier: float = 2.0
    retryable_status_codes: list[str] = field(default_factory=lambda: ["UNAVAILABLE"])

    def __post_init__(self) -> None:
        require_at_least(self, {"max_attempts": 2})
        require_positive(
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
    """Options of a channel; what is left out keeps the SDK's default, or else gRPC's.

    The SDK's own defaults: messages of up to 64 MiB both ways, no proxy to loopback
    addresses, a new attempt to connect within a second. `raw_options` are passed on as they
    are, and yield to the options that have a name here.

    There are no pings by default: calls have deadlines, and workers notice a silent stream by
    themselves. Engines written in Go (durabletask-go, daprd) allow one ping in five minutes
    and end the connection with `too_many_pings` where more come, so `keepalive_time_ms` should
    not be below 300,000 there, nor `keepalive_permit_without_calls` be true.
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


def _duration(seconds: float) -> str:
    """Seconds as gRPC reads them in JSON: nine decimals at most, and never zero."""
    text = f"{seconds:.9f}".rstrip("0")
    if float(text) == 0:
        raise ValueError(f"{seconds!r} seconds round to zero: gRPC counts in nanoseconds")
    return f"{text}0s" if text.endswith(".") else f"{text}s"
