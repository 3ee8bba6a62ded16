"""How a client or a worker uses gRPC: options for its channel and for broken connections.

Plain values with checks; knows nothing of gRPC but the names of its options.
"""

from __future__ import annotations

from durabletask.grpc_options.channel import GrpcChannelOptions, GrpcRetryPolicyOptions
from durabletask.grpc_options.resiliency import (
    GrpcClientResiliencyOptions,
    GrpcWorkerResiliencyOptions,
)

__all__ = [
    "GrpcChannelOptions",
    "GrpcClientResiliencyOptions",
    "GrpcRetryPolicyOptions",
    "GrpcWorkerResiliencyOptions",
]
