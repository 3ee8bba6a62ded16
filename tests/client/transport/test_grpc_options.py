"""The options of channels: what is passed to gRPC, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durabletask.grpc_options import (
    GrpcChannelOptions,
    GrpcClientResiliencyOptions,
    GrpcRetryPolicyOptions,
    GrpcWorkerResiliencyOptions,
)
from durabletask.transport.address import Address
from durabletask.transport.channel_options import options_for

HERE = Address("localhost:4001", secure=False)
ELSEWHERE = Address("sidecar.test:4001", secure=False)


def test_messages_may_have_64_mib_both_ways() -> None:
    options = dict(options_for(ELSEWHERE, None))

    assert options["grpc.max_receive_message_length"] == 64 * 1024 * 1024
    assert options["grpc.max_send_message_length"] == 64 * 1024 * 1024


def test_only_loopback_bypasses_the_proxy() -> None:
    assert dict(options_for(HERE, None))["grpc.enable_http_proxy"] == 0
    assert "grpc.enable_http_proxy" not in dict(options_for(ELSEWHERE, None))


def test_options_of_the_caller_win_and_are_passed_once() -> None:
    given = GrpcChannelOptions(
        max_receive_message_length=1, raw_options=[("grpc.enable_http_proxy", 1)]
    )

    options = options_for(HERE, given)

    assert dict(options)["grpc.max_receive_message_length"] == 1
    assert dict(options)["grpc.enable_http_proxy"] == 1
    assert len(dict(options)) == len(options)


def test_options_that_are_none_are_not_passed() -> None:
    assert GrpcChannelOptions().to_grpc_options() == []


def test_named_options_have_grpcs_names() -> None:
    options = GrpcChannelOptions(
        max_receive_message_length=1,
        max_send_message_length=2,
        keepalive_time_ms=3,
        keepalive_timeout_ms=4,
        keepalive_permit_without_calls=False,
        raw_options=[("grpc.primary_user_agent", "me")],
    )

    assert options.to_grpc_options() == [
        ("grpc.primary_user_agent", "me"),
        ("grpc.max_receive_message_length", 1),
        ("grpc.max_send_message_length", 2),
        ("grpc.keepalive_time_ms", 3),
        ("grpc.keepalive_timeout_ms", 4),
        ("grpc.keepalive_permit_without_calls", 0),
    ]


def test_a_retry_policy_becomes_a_service_config() -> None:
    policy = GrpcRetryPolicyOptions(initial_backoff_seconds=1, max_backoff_seconds=1.5)

    options = dict(GrpcChannelOptions(retry_policy=policy).to_grpc_options())

    assert options["grpc.enable_retries"] == 1
    assert json.loads(options["grpc.service_config"])["methodConfig"] == [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "1.0s",
                "maxBackoff": "1.5s",
                "backoffMultiplier": 2.0,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (GrpcRetryPolicyOptions, {"max_attempts": 1}),
        (GrpcRetryPolicyOptions, {"initial_backoff_seconds": 0}),
        (GrpcRetryPolicyOptions, {"initial_backoff_seconds": 1e-12, "max_backoff_seconds": 1}),
        (GrpcRetryPolicyOptions, {"max_backoff_seconds": 0}),
        (GrpcRetryPolicyOptions, {"backoff_multiplier": -1}),
        (GrpcRetryPolicyOptions, {"initial_backoff_seconds": 2, "max_backoff_seconds": 1}),
        (GrpcRetryPolicyOptions, {"retryable_status_codes": []}),
        (GrpcWorkerResiliencyOptions, {"hello_timeout_seconds": 0}),
        (GrpcWorkerResiliencyOptions, {"silent_disconnect_timeout_seconds": -1}),
        (GrpcWorkerResiliencyOptions, {"channel_recreate_failure_threshold": -1}),
        (GrpcWorkerResiliencyOptions, {"reconnect_backoff_base_seconds": 0}),
        (GrpcWorkerResiliencyOptions, {"reconnect_backoff_cap_seconds": 0}),
        (GrpcWorkerResiliencyOptions, {"reconnect_backoff_cap_seconds": 0.5}),
        (GrpcClientResiliencyOptions, {"channel_recreate_failure_threshold": -1}),
        (GrpcClientResiliencyOptions, {"min_recreate_interval_seconds": -1}),
    ],
)
def test_values_out_of_range_are_refused(options: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r">|empty|zero"):
        options(**arguments)


@pytest.mark.parametrize("options", [GrpcWorkerResiliencyOptions, GrpcClientResiliencyOptions])
def test_zero_switches_the_threshold_off(options: Any) -> None:
    assert options(channel_recreate_failure_threshold=0).channel_recreate_failure_threshold == 0
