"""The options of `from_connection_string`; each is the constructor's argument of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from durabletask.exception_properties import ExceptionPropertiesProvider
    from durabletask.grpc_options import (
        GrpcChannelOptions,
        GrpcClientResiliencyOptions,
        GrpcWorkerResiliencyOptions,
    )
    from durabletask.serialization import DataConverter
    from durabletask.worker import ConcurrencyOptions


class _Options(TypedDict, total=False):
    resource_id: str | None
    interceptors: Sequence[Any] | None
    channel_options: GrpcChannelOptions | None
    payload_store: Any
    data_converter: DataConverter | None
    log_handler: logging.Handler | None
    log_formatter: logging.Formatter | None
    logger: logging.Logger | None


class ClientOptions(_Options, total=False):
    """The options of a client."""

    resiliency_options: GrpcClientResiliencyOptions | None
    default_version: str | None


class WorkerOptions(_Options, total=False):
    """The options of a worker."""

    resiliency_options: GrpcWorkerResiliencyOptions | None
    concurrency_options: ConcurrencyOptions | None
    exception_properties_provider: ExceptionPropertiesProvider | None
