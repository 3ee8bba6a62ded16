"""The client for an event loop; its methods are those of the client for threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from durabletask.client import _making as making
from durabletask.client._asks import Refuse, Settle
from durabletask.transport import dialect as dialects
from durabletask.transport import grpc_async_transport
from durabletask.transport.errors import SidecarError
from durabletask.transport.payload_store import refuse_payload_store

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    import grpc.aio

    from durabletask.client._asks import Ask, Flow
    from durabletask.client._making import Orchestrator
    from durabletask.client._pages import Page
    from durabletask.client._queries import (
        CleanEntityStorageResult,
        EntityQuery,
        OrchestrationQuery,
        PurgeInstancesResult,
    )
    from durabletask.client._state import OrchestrationState, OrchestrationStatus
    from durabletask.entities import EntityInstanceId, EntityMetadata
    from durabletask.grpc_options import GrpcChannelOptions, GrpcClientResiliencyOptions
    from durabletask.history import HistoryEvent
    from durabletask.serialization import DataConverter
    from durabletask.transport import AsyncClientTransport

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
        secure_channel: bool | grpc.ChannelCredentials = False,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcClientResiliencyOptions | None = None,
        default_version: str | None = None,
        payload_store: Any = None,
        data_converter: DataConverter | None = None,
        emit_trace_spans: bool = True,
        transport: AsyncClientTransport | None = None,
        dialect: str | None = None,
    ) -> None:
        refuse_payload_store(payload_store)
        told = dialects.named(dialects.chosen(dialect))
        self.default_version = making.checked_version(default_version)
        self._emit_trace_spans = emit_trace_spans
        self._flows = making.make_flows(data_converter, logger, log_handler, log_formatter)
        self._transport: AsyncClientTransport = transport or grpc_async_transport(
            host_address,
            secure=secure_channel,
            channel=channel,
            interceptors=interceptors,
            channel_options=channel_options,
            metadata=metadata,
            dialect=told,
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
            reuse_id_policy: The statuses in which an instance with this id is replaced, even
                while it runs: a collection of OrchestrationStatus, or anything that has one as
                `replaceable_status` or `replaceableStatus`, such as the official SDK's
                message. None replaces nothing.
            tags: Kept with the instance.
            version: None means the client's `default_version`.

        Engines of Dapr's dialect keep neither tags nor version (a warning is logged), and know
        of policies only the one that replaces what is COMPLETED, FAILED or TERMINATED.

        Raises:
            InstanceExistsError: The id is taken, and `reuse_id_policy` does not free it.
            UnsupportedOperationError: The engine does not have such a policy.
        """
        flow = self._flows.instances.schedule(
            making.name_of(orchestrator),
            instance_id=making.id_of(instance_id),
            is_new_id=not instance_id,
            execution_id=making.execution_id_for(reuse_id_policy),
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
        return await self._drive(
            self._flows.instances.state(instance_id, fetch_payloads=fetch_payloads)
        )

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
        flow = self._flows.instances.wait_start(
            instance_id, fetch_payloads=fetch_payloads, timeout=timeout
        )
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
        flow = self._flows.instances.wait_completion(
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
        await self._drive(self._flows.instances.raise_event(instance_id, event_name, data=data))

    async def terminate_orchestration(
        self, instance_id: str, *, output: Any = None, recursive: bool = True
    ) -> None:
        """End the instance with this output, and its sub-orchestrations if `recursive`.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        await self._drive(
            self._flows.instances.terminate(instance_id, output=output, recursive=recursive)
        )

    async def suspend_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Let the instance rest until `resume_orchestration`."""
        await self._drive(self._flows.instances.suspend(instance_id, reason=reason))

    async def resume_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Let a suspended instance go on."""
        await self._drive(self._flows.instances.resume(instance_id, reason=reason))

    async def rewind_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Let a failed instance try again what failed; what had succeeded is kept.

        It is not repeated after a failure that leaves open whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceStatusError: It has not failed.
        """
        await self._drive(self._flows.instances.rewind(instance_id, reason=reason))

    async def restart_orchestration(
        self, instance_id: str, *, restart_with_new_instance_id: bool = False
    ) -> str:
        """Start an instance that has ended from the beginning, and return its id.

        Name, input, version and tags stay; the id does unless `restart_with_new_instance_id`.
        It is not repeated after a failure that leaves open whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceStatusError: It has not ended.
        """
        flow = self._flows.instances.restart(instance_id, with_new_id=restart_with_new_instance_id)
        return await self._drive(flow)

    async def rerun_orchestration_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any = making.KEPT,
    ) -> str:
        """Start an instance with another's history up to an event, and return its id.

        daprd and `durabletask-sidecar` have it. It is not repeated after a failure that leaves
        open whether it arrived.

        Args:
            instance_id: The instance that has ended and whose history is used.
            event_id: The number of the event, as history has it, that happens anew: an
                activity, a timer or a sub-orchestration.
            new_instance_id: None means a new one.
            input: The input of that activity or sub-orchestration instead of the recorded one,
                which is used if this is left out; None is an input too.

        Raises:
            UnsupportedOperationError: The engine does not have it.
            InstanceNotFoundError: There is no such instance.
        """
        flow = self._flows.instances.rerun(
            instance_id,
            event_id,
            new_instance_id=making.id_of(new_instance_id),
            input=None if input is making.KEPT else input,
            overwrite_input=input is not making.KEPT,
        )
        return await self._drive(flow)

    async def purge_orchestration(
        self,
        instance_id: str,
        recursive: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> PurgeInstancesResult:
        """Delete an instance that has ended, and its sub-orchestrations if `recursive`.

        An id that is not there counts as none deleted. It is not repeated after a failure that
        leaves open whether it arrived.
        """
        return await self._drive(self._flows.instances.purge(instance_id, recursive=recursive))

    async def purge_orchestrations_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationStatus] | None = None,
        recursive: bool = False,  # noqa: FBT001, FBT002 - official
        timeout: timedelta | None = None,  # noqa: ASYNC109 - official
    ) -> PurgeInstancesResult:
        """Delete the instances that have ended and that all conditions hold for.

        Args:
            created_time_from: Not before then; naive times are UTC.
            created_time_to: Before then.
            runtime_status: In one of these, as far as they are ends.
            recursive: Their sub-orchestrations too.
            timeout: Stop after that time, done or not; the result tells. Without one the call
                itself has an hour.
        """
        flow = self._flows.fleet.purge(
            created_time_from=created_time_from,
            created_time_to=created_time_to,
            runtime_status=runtime_status,
            recursive=recursive,
            timeout=timeout,
        )
        return await self._drive(flow)

    async def get_all_orchestration_states(
        self, orchestration_query: OrchestrationQuery | None = None
    ) -> list[OrchestrationState]:
        """The states of all instances that the query finds; None finds all there are."""
        return await self._drive(self._flows.fleet.states(orchestration_query))

    def iter_orchestration_states(
        self, orchestration_query: OrchestrationQuery | None = None
    ) -> AsyncIterator[OrchestrationState]:
        """The states that the query finds, fetched page by page as they are used up."""
        return self._iterate(partial(self._flows.fleet.states_after, orchestration_query))

    async def list_instance_ids(
        self,
        runtime_status: list[OrchestrationStatus] | None = None,
        completed_time_from: datetime | None = None,
        completed_time_to: datetime | None = None,
        page_size: int | None = None,
        continuation_token: str | None = None,
    ) -> Page[str]:
        """A page of the ids of instances that have ended, in the order in which they did.

        Engines of Dapr's dialect list all instances, and by no conditions.

        Args:
            runtime_status: In one of these.
            completed_time_from: Not ended before then; naive times are UTC.
            completed_time_to: Ended before then.
            page_size: None leaves it to the sidecar.
            continuation_token: That of the page before; None for the first.
        """
        flow = self._flows.fleet.ids(
            runtime_status=runtime_status,
            completed_time_from=completed_time_from,
            completed_time_to=completed_time_to,
            page_size=page_size,
            continuation_token=continuation_token,
        )
        return await self._drive(flow)

    async def get_orchestration_history(
        self,
        instance_id: str,
        *,
        execution_id: str | None = None,
        for_work_item_processing: bool = False,
    ) -> list[HistoryEvent]:
        """What happened to the instance, oldest first; see `durabletask.history`.

        Args:
            instance_id: The instance.
            execution_id: Only if this is its current run; None takes any.
            for_work_item_processing: For a worker whose turn came without its history.

        Raises:
            InstanceNotFoundError: There is no such instance, or not in that run.
        """
        flow = self._flows.instances.history(
            instance_id,
            execution_id=execution_id,
            for_work_item_processing=for_work_item_processing,
        )
        return await self._drive(flow)

    async def signal_entity(
        self,
        entity_instance_id: EntityInstanceId,
        operation_name: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Tell an entity to do something, and wait for no answer; it is made if it is new.

        Not delivered before `signal_time`; naive times are UTC. It is not repeated after a
        failure that leaves open whether it arrived.
        """
        flow = self._flows.entities.signal(
            entity_instance_id,
            operation_name,
            input=input,
            signal_time=signal_time,
            request_id=making.new_request_id(),
        )
        await self._drive(flow)

    async def get_entity(
        self,
        entity_instance_id: EntityInstanceId,
        include_state: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> EntityMetadata | None:
        """What is known about the entity, or None if there is no such entity."""
        flow = self._flows.entities.get(entity_instance_id, include_state=include_state)
        return await self._drive(flow)

    async def get_all_entities(
        self, entity_query: EntityQuery | None = None
    ) -> list[EntityMetadata]:
        """All entities that the query finds; None finds all that have a state."""
        return await self._drive(self._flows.entities.matching(entity_query))

    def iter_entities(
        self, entity_query: EntityQuery | None = None
    ) -> AsyncIterator[EntityMetadata]:
        """The entities that the query finds, fetched page by page as they are used up."""
        return self._iterate(partial(self._flows.entities.matching_after, entity_query))

    async def clean_entity_storage(
        self,
        remove_empty_entities: bool = True,  # noqa: FBT001, FBT002 - official
        release_orphaned_locks: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> CleanEntityStorageResult:
        """Remove entities without state, lock or messages; release locks of who has ended."""
        flow = self._flows.entities.clean(
            remove_empty_entities=remove_empty_entities,
            release_orphaned_locks=release_orphaned_locks,
        )
        return await self._drive(flow)

    async def _iterate(self, page_after: Callable[[str | None], Flow[Page[T]]]) -> AsyncIterator[T]:
        """The items of all pages, each fetched once those before it are used up."""
        token: str | None = None
        while True:
            page = await self._drive(page_after(token))
            for item in page.items:
                yield item
            token = page.continuation_token
            if token is None:
                return

    async def _drive(self, flow: Flow[T]) -> T:
        """Make the calls that a flow asks for, and return what it returns."""
        try:
            ask = next(flow)
            while True:
                try:
                    answer = await self._answer(ask)
                except SidecarError as error:
                    ask = flow.throw(error)
                else:
                    ask = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _answer(self, ask: Ask | Settle | Refuse) -> Any:
        if isinstance(ask, Settle):
            return await self._transport.settle()
        if isinstance(ask, Refuse):
            raise self._transport.error(ask.refusal(self._transport.address), ask.kind)
        streams = ask.method.response_streaming
        call = self._transport.collect if streams else self._transport.unary
        return await call(ask.method, ask.request, timeout=ask.timeout)
