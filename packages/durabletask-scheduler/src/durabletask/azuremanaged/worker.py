"""The worker for the Azure Durable Task Scheduler."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Any, Self

from durabletask.worker import TaskHubGrpcWorker

from . import _authorization as authorization
from ._connection_string import credential_for, parse
from ._headers import worker_headers

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence
    from typing import Unpack

    import grpc
    import grpc.aio
    from azure.core.credentials import TokenCredential

    from durabletask.exception_properties import ExceptionPropertiesProvider
    from durabletask.grpc_options import GrpcChannelOptions, GrpcWorkerResiliencyOptions
    from durabletask.serialization import DataConverter
    from durabletask.worker import ConcurrencyOptions

    from ._connection_string import WorkerOptions

__all__ = ["DurableTaskSchedulerWorker"]


class DurableTaskSchedulerWorker(TaskHubGrpcWorker):
    """A `TaskHubGrpcWorker` for a task hub at the scheduler, with the same methods.

        from azure.identity import DefaultAzureCredential

        worker = DurableTaskSchedulerWorker(
            host_address="https://my-scheduler.westeurope.durabletask.io",
            taskhub="orders",
            token_credential=DefaultAzureCredential(),
        )

    The arguments are as for `DurableTaskSchedulerClient`. The credential is one of
    `azure.identity`, not of `azure.identity.aio`; it is asked on a thread. The scheduler accepts
    timers of any length, so `maximum_timer_interval` is None.
    """

    def __init__(
        self,
        *,
        host_address: str,
        taskhub: str,
        token_credential: TokenCredential | None,
        resource_id: str | None = None,
        channel: grpc.Channel | grpc.aio.Channel | None = None,
        secure_channel: bool = True,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcWorkerResiliencyOptions | None = None,
        concurrency_options: ConcurrencyOptions | None = None,
        payload_store: Any = None,
        data_converter: DataConverter | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        logger: logging.Logger | None = None,
        exception_properties_provider: ExceptionPropertiesProvider | None = None,
    ) -> None:
        has_token = token_credential is not None and channel is None
        authorization.check_address(host_address, secure=secure_channel, has_token=has_token)
        super().__init__(
            host_address=host_address,
            metadata=worker_headers(
                taskhub,
                host=socket.gethostname(),
                pid=os.getpid(),
                unique=str(uuid.uuid4()),  # noqa: TID251 - the shell is where ids come from
            ),
            log_handler=log_handler,
            log_formatter=log_formatter,
            logger=logger,
            channel=channel,
            secure_channel=secure_channel,
            interceptors=(
                *(interceptors or ()),
                *authorization.for_worker(interceptors, token_credential, resource_id),
            ),
            channel_options=channel_options,
            resiliency_options=resiliency_options,
            concurrency_options=concurrency_options,
            maximum_timer_interval=None,
            payload_store=payload_store,
            data_converter=data_converter,
            exception_properties_provider=exception_properties_provider,
            dialect="taskhub",
        )

    @classmethod
    def from_connection_string(
        cls, connection_string: str, **options: Unpack[WorkerOptions]
    ) -> Self:
        """Make a worker as `DurableTaskSchedulerClient.from_connection_string` makes a client."""
        connection = parse(connection_string)
        return cls(
            host_address=connection.endpoint,
            taskhub=connection.taskhub,
            token_credential=credential_for(connection),
            **options,
        )
