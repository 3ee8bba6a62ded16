# Generated from _async_client.py by `hatch run generate`; do not edit.
"""The client of the Azure Durable Task Scheduler for ordinary threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from durabletask.client import TaskHubGrpcClient

from . import _authorization as authorization
from ._connection_string import credential_for, parse
from ._headers import client_headers

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence
    from typing import Unpack

    import grpc
    from azure.core.credentials import TokenCredential

    from durabletask.grpc_options import GrpcChannelOptions, GrpcClientResiliencyOptions
    from durabletask.serialization import DataConverter

    from ._connection_string import ClientOptions


class DurableTaskSchedulerClient(TaskHubGrpcClient):
    """Manages a task hub at the scheduler, with the methods of `TaskHubGrpcClient`.

        from azure.identity import DefaultAzureCredential

        with DurableTaskSchedulerClient(
            host_address="https://my-scheduler.westeurope.durabletask.io",
            taskhub="orders",
            token_credential=DefaultAzureCredential(),
        ) as client:
            instance_id = client.schedule_new_orchestration("greet", input="Ada")

    Args:
        host_address: The scheduler's endpoint; `http://localhost:8080` for its emulator.
        taskhub: The task hub's name.
        token_credential: From `azure.identity`. The first call asks for a token, and
            another is asked for 10 minutes before it expires. None if the scheduler needs no
            token, as its emulator does.
        resource_id: The resource that the token is for. None means Azure's public scheduler, or
            the US government's if the environment's `REGION_NAME` begins with `usgov` or `usdod`.
        secure_channel: Use TLS, unless the address begins with `http://`.
        channel: A channel of the caller's. Task hub, token and `interceptors` are not added to
            its calls.

    Raises:
        ValueError: The address or the task hub is malformed, or the token would leave this
            machine without TLS.
    """

    __module__ = "durabletask.azuremanaged.client"

    def __init__(
        self,
        *,
        host_address: str,
        taskhub: str,
        token_credential: TokenCredential | None,
        resource_id: str | None = None,
        channel: grpc.Channel | None = None,
        secure_channel: bool = True,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcClientResiliencyOptions | None = None,
        default_version: str | None = None,
        payload_store: Any = None,
        data_converter: DataConverter | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        has_token = token_credential is not None and channel is None
        authorization.check_address(host_address, secure=secure_channel, has_token=has_token)
        super().__init__(
            host_address=host_address,
            metadata=client_headers(taskhub),
            log_handler=log_handler,
            log_formatter=log_formatter,
            logger=logger,
            channel=channel,
            secure_channel=secure_channel,
            interceptors=(
                *(interceptors or ()),
                *authorization.for_threads(token_credential, resource_id),
            ),
            channel_options=channel_options,
            resiliency_options=resiliency_options,
            default_version=default_version,
            payload_store=payload_store,
            data_converter=data_converter,
            dialect="taskhub",
        )

    @classmethod
    def from_connection_string(
        cls, connection_string: str, **options: Unpack[ClientOptions]
    ) -> Self:
        """Make a client from `Endpoint=...;TaskHub=...;Authentication=...`.

        `Authentication` is `DefaultAzure`, `ManagedIdentity`, `WorkloadIdentity`,
        `Environment`, `AzureCLI`, `AzurePowerShell`, `InteractiveBrowser` or `None`;
        `ClientID`, `TenantID`, `TokenFilePath` and `AdditionallyAllowedTenants` are settings of
        some of them.

        Example:
            ```python
            client = DurableTaskSchedulerClient.from_connection_string(
                "Endpoint=http://localhost:8080;TaskHub=default;Authentication=None"
            )
            ```

        Raises:
            ValueError: A part is missing, unknown or does not fit; the text names it.
        """
        connection = parse(connection_string)
        return cls(
            host_address=connection.endpoint,
            taskhub=connection.taskhub,
            token_credential=credential_for(connection),
            **options,
        )
