"""The client for an event loop; its methods are those of the client for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from durabletask.client import _making as making
from durabletask.transport import grpc_async_transport
from durabletask.transport.errors import SidecarError
from durabletask.transport.payload_store import refuse_payload_store

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import grpc.aio

    from durabletask.client._flows import Flow
    from durabletask.client._making import Orchestrator
    from durabletask.client._state import OrchestrationState
    from durabletask.grpc_options import GrpcChannelOptions, GrpcClientResiliencyOptions
    from durabletask.serialization import DataConverter
    from durabletask.transport import AsyncTransport

T = TypeVar("T")


class AsyncTaskHubGrpcClient:
    """Starts orchestrations and looks after them, from one event loop at a time.

    The arguments, and what happens when nobody answers, are as for `TaskHubGrpcClient`. The
    channel is made by the first call, for the loop that runs then.

        async with AsyncTaskHubGrpcClient() as client:
            instance_id = await client.schedule_new_orchestration("greet", input="Ada")
            state = await client.wait_for_orchestration_completion(instance_id, timeout=10)
            print(state.get_output())
    """

    def __init__(
        self,
        *,
        host_address: str | None = None,
        metadata: Sequence[tuple[str, str]] | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        logger: logging.Logger | None = None,
        channel: grpc.aio.Channel | None = None,
        secure_channel: bool = False,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcClientResiliencyOptions | None = None,
        default_version: str | None = None,
        payload_store: Any = None,
        data_converter: DataConverter | None = None,
        emit_trace_spans: bool = True,
        transport: AsyncTransport | None = None,
    ) -> None:
        refuse_payload_store(payload_store)
        self.default_version = making.checked_version(default_version)
        self._emit_trace_spans = emit_trace_spans
        self._flows = making.make_flows(data_converter, logger, log_handler, log_formatter)
        self._transport: AsyncTransport = transport or grpc_async_transport(
            host_address,
            secure=secure_channel,
            channel=channel,
            interceptors=interceptors,
            channel_options=channel_options,
            metadata=metadata,
            health=making.make_health(resiliency_options),
        )

    @property
    def emit_trace_spans(self) -> bool:
        """Whether the client was asked to emit spans of its own."""
        return self._emit_trace_spans

    async def close(self) -> None:
        """End calls under way and refuse new ones; a channel of the caller's stays open."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def schedule_new_orchestration(
        self,
        orchestrator: Orchestrator,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: Any = None,
        tags: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> str:
        """Start an instance and return its id, once the sidecar has stored it.

        Args:
            orchestrator: The function, or the name under which workers know it.
            input: Anything that the data converter can make into text.
            instance_id: None means a new one.
            start_at: Not before then; naive times are UTC.
            reuse_id_policy: The statuses in which an instance with this id is replaced, or a
                policy of the protocol that holds them.
            tags: Kept with the instance.
            version: None means the client's `default_version`.

        Raises:
            InstanceExistsError: The id is taken, and `reuse_id_policy` does not free it.
        """
        flow = self._flows.schedule(
            making.name_of(orchestrator),
            instance_id=making.id_of(instance_id),
            is_new_id=not instance_id,
            input=input,
            start_at=start_at,
            reuse_id_policy=reuse_id_policy,
            tags=tags,
            version=making.version_of(version, self.default_version),
        )
        return await self._drive(flow)

    async def get_orchestration_state(
        self, instance_id: str, *, fetch_payloads: bool = True
    ) -> OrchestrationState | None:
        """The instance's state now, or None if there is no such instance."""
        return await self._drive(self._flows.state(instance_id, fetch_payloads=fetch_payloads))

    async def wait_for_orchestration_start(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = False,
        timeout: float | None = 60,  # noqa: ASYNC109 - official
    ) -> OrchestrationState | None:
        """Wait until the instance runs; returns its state, or None if there is none.

        Raises:
            TimeoutError: It did not begin within `timeout` seconds; None waits for ever.
        """
        flow = self._flows.wait_start(instance_id, fetch_payloads=fetch_payloads, timeout=timeout)
        return await self._drive(flow)

    async def wait_for_orchestration_completion(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = True,
        timeout: float | None = 60,  # noqa: ASYNC109 - official
    ) -> OrchestrationState | None:
        """Wait until the instance ends, well or not; returns its state, or None if there is none.

        Raises:
            TimeoutError: It did not end within `timeout` seconds; None waits for ever.
        """
        flow = self._flows.wait_completion(
            instance_id, fetch_payloads=fetch_payloads, timeout=timeout
        )
        return await self._drive(flow)

    async def raise_orchestration_event(
        self, instance_id: str, event_name: str, *, data: Any = None
    ) -> None:
        """Send an event to the instance.

        It is not repeated after a failure that leaves open whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        await self._drive(self._flows.raise_event(instance_id, event_name, data=data))

    async def terminate_orchestration(
        self, instance_id: str, *, output: Any = None, recursive: bool = True
    ) -> None:
        """End the instance with this output, and its sub-orchestrations if `recursive`.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        await self._drive(self._flows.terminate(instance_id, output=output, recursive=recursive))

    async def suspend_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Let the instance rest until `resume_orchestration`."""
        await self._drive(self._flows.suspend(instance_id, reason=reason))

    async def resume_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Let a suspended instance go on."""
        await self._drive(self._flows.resume(instance_id, reason=reason))

    async def _drive(self, flow: Flow[T]) -> T:
        """Make the calls that a flow asks for, and return what it returns."""
        try:
            ask = next(flow)
            while True:
                try:
                    response = await self._transport.unary(
                        ask.method, ask.request, timeout=ask.timeout
                    )
                except SidecarError as error:
                    ask = flow.throw(error)
                else:
                    ask = flow.send(response)
        except StopIteration as end:
            result: T = end.value
            return result
