# Generated from _async_client.py by `hatch run generate`; do not edit.
"""The client for ordinary threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from durabletask.client import _defaults as defaults
from durabletask.client._flow import Fail, IdentifyEngine
from durabletask.transport import engine_detection, grpc_transport
from durabletask.transport.constructor_arguments import refuse_payload_store
from durabletask.transport.errors import SidecarError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    import grpc

    from durabletask.client._defaults import Orchestrator
    from durabletask.client._flow import Call, Flow
    from durabletask.client._queries import (
        CleanEntityStorageResult,
        EntityQuery,
        OrchestrationQuery,
        Page,
        PurgeInstancesResult,
    )
    from durabletask.client._state import OrchestrationState, OrchestrationStatus
    from durabletask.entities import EntityInstanceId, EntityMetadata
    from durabletask.grpc_options import GrpcChannelOptions, GrpcClientResiliencyOptions
    from durabletask.history import HistoryEvent
    from durabletask.serialization import DataConverter
    from durabletask.transport import ClientTransport

T = TypeVar("T")


class TaskHubGrpcClient:
    """Starts and manages orchestrations; safe to share between threads.

    The sidecar's address is `host_address`, else `DURABLETASK_ENDPOINT`, else Dapr's
    `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT`, else `localhost:4001`. The prefixes `https://` and
    `grpcs://` force TLS, `http://` and `grpc://` forbid it; without a prefix `secure_channel`
    decides. True trusts gRPC's own list of authorities; credentials, such as
    `grpc.ssl_channel_credentials(root_certificates=…)`, name the authorities to trust and the
    certificate to show. A `channel` of the caller's is never closed, and `channel_options`,
    `interceptors` and `metadata` are not used with it. A `transport` carries the calls in place
    of gRPC, and `close()` closes it. The first call makes the channel.

    `dialect` is the dialect that the engine speaks: "taskhub" for Microsoft's, "dapr" for
    Dapr's, "auto" to detect it, once for each channel. None means `DURABLETASK_DIALECT`, else
    "auto". Only an engine that was detected is known to take calls in batches: name no dialect
    for `durabletask-sidecar`. An operation that the engine does not have raises UnsupportedOperationError before
    anything is sent.

    Every call has a limit: waits have a `timeout` (only None waits without one), a purge by
    conditions takes an hour at most, and every other call ends within 30 seconds; a result in
    pages takes one call a page. While the sidecar is unreachable, a call that can safely be
    repeated is repeated for 0.8 seconds, and a wait that had begun for 30; then it raises
    SidecarUnavailableError.

        with TaskHubGrpcClient() as client:
            instance_id = client.schedule_new_orchestration("greet", input="Ada")
            state = client.wait_for_orchestration_completion(instance_id, timeout=10)
            print(state.get_output())
    """

    __module__ = "durabletask.client"

    def __init__(
        self,
        *,
        host_address: str | None = None,
        metadata: Sequence[tuple[str, str]] | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        logger: logging.Logger | None = None,
        channel: grpc.Channel | None = None,
        secure_channel: bool | grpc.ChannelCredentials = False,
        interceptors: Sequence[Any] | None = None,
        channel_options: GrpcChannelOptions | None = None,
        resiliency_options: GrpcClientResiliencyOptions | None = None,
        default_version: str | None = None,
        payload_store: Any = None,
        data_converter: DataConverter | None = None,
        emit_trace_spans: bool = True,
        transport: ClientTransport | None = None,
        dialect: str | None = None,
    ) -> None:
        refuse_payload_store(payload_store)
        chosen_dialect = engine_detection.chosen_dialect(dialect)
        self.default_version = defaults.checked_version(default_version)
        self._emit_trace_spans = emit_trace_spans
        self._flows = defaults.flows(data_converter, logger, log_handler, log_formatter, metadata)
        self._transport: ClientTransport = transport or grpc_transport(
            host_address,
            secure=secure_channel,
            channel=channel,
            interceptors=interceptors,
            channel_options=channel_options,
            metadata=metadata,
            dialect=chosen_dialect,
            health=defaults.channel_health(resiliency_options),
        )

    @property
    def emit_trace_spans(self) -> bool:
        """The constructor's argument of that name."""
        return self._emit_trace_spans

    def close(self) -> None:
        """End the calls in progress and refuse new ones; a channel of the caller's stays open.

        A call that is made afterwards raises RuntimeError, and one that was in progress does too,
        or SidecarUnavailableError. With a `channel` of the caller's, calls go on.
        """
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def schedule_new_orchestration(
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
            input: Any value that the data converter can serialize.
            instance_id: None means a new one.
            start_at: The instance does not start before; naive times are UTC.
            reuse_id_policy: The statuses in which an instance with this id is replaced, even
                while it runs: a collection of OrchestrationStatus, or anything that has one as
                `replaceable_status` or `replaceableStatus`, such as the official SDK's
                message. None replaces nothing.
            tags: Stored with the instance.
            version: None means the client's `default_version`.

        Engines of Dapr's dialect store neither tags nor version (a warning is logged), and have
        only one policy: to replace an instance that is COMPLETED, FAILED or TERMINATED.

        Raises:
            InstanceExistsError: An instance already has the id, and `reuse_id_policy` does not
                replace it.
            UnsupportedOperationError: The engine does not have such a policy.
        """
        flow = self._flows.instances.schedule(
            defaults.name_of(orchestrator),
            instance_id=defaults.id_of(instance_id),
            is_new_id=not instance_id,
            execution_id=defaults.execution_id_for(reuse_id_policy),
            input=input,
            start_at=start_at,
            reuse_id_policy=reuse_id_policy,
            tags=tags,
            version=defaults.version_of(version, self.default_version),
        )
        return self._drive(flow)

    def get_orchestration_state(
        self, instance_id: str, *, fetch_payloads: bool = True
    ) -> OrchestrationState | None:
        """The instance's state now, or None if there is no such instance."""
        return self._drive(self._flows.instances.state(instance_id, fetch_payloads=fetch_payloads))

    def wait_for_orchestration_start(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = False,
        timeout: float | None = 60,
    ) -> OrchestrationState | None:
        """Wait until the instance runs; returns its state, or None if there is none.

        Raises:
            TimeoutError: It did not start within `timeout` seconds; None means no limit.
        """
        flow = self._flows.instances.wait_start(
            instance_id, fetch_payloads=fetch_payloads, timeout=timeout
        )
        return self._drive(flow)

    def wait_for_orchestration_completion(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = True,
        timeout: float | None = 60,
    ) -> OrchestrationState | None:
        """Wait until the instance ends in any status; returns its state, or None if there is none.

        Raises:
            TimeoutError: It did not end within `timeout` seconds; None means no limit.
        """
        flow = self._flows.instances.wait_completion(
            instance_id, fetch_payloads=fetch_payloads, timeout=timeout
        )
        return self._drive(flow)

    def raise_orchestration_event(
        self, instance_id: str, event_name: str, *, data: Any = None
    ) -> None:
        """Send an event to the instance.

        The call is not repeated after a failure that leaves open whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        self._drive(self._flows.instances.raise_event(instance_id, event_name, data=data))

    def terminate_orchestration(
        self, instance_id: str, *, output: Any = None, recursive: bool = True
    ) -> None:
        """End the instance with this output, and its sub-orchestrations if `recursive`.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        self._drive(
            self._flows.instances.terminate(instance_id, output=output, recursive=recursive)
        )

    def suspend_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Suspend the instance until `resume_orchestration`."""
        self._drive(self._flows.instances.suspend(instance_id, reason=reason))

    def resume_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Resume a suspended instance."""
        self._drive(self._flows.instances.resume(instance_id, reason=reason))

    def rewind_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Repeat what failed in a failed instance; the results of what succeeded are kept.

        The call is not repeated after a failure that leaves open whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceStatusError: It has not failed.
        """
        self._drive(self._flows.instances.rewind(instance_id, reason=reason))

    def restart_orchestration(
        self, instance_id: str, *, restart_with_new_instance_id: bool = False
    ) -> str:
        """Start an instance that has ended from the beginning, and return its id.

        It keeps its name, input, version and tags, and its id too unless
        `restart_with_new_instance_id`. The call is not repeated after a failure that leaves open
        whether it arrived.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceStatusError: It has not ended.
        """
        flow = self._flows.instances.restart(instance_id, with_new_id=restart_with_new_instance_id)
        return self._drive(flow)

    def rerun_orchestration_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any = defaults.RECORDED_INPUT,
    ) -> str:
        """Start an instance with the history of another up to an event, and return its id.

        daprd and `durabletask-sidecar` have this operation. The call is not repeated after a
        failure that leaves open whether it arrived.

        Args:
            instance_id: The instance that has ended and whose history is used.
            event_id: The number in the history of the event that is repeated: an activity, a
                timer or a sub-orchestration.
            new_instance_id: None means a new one.
            input: The input of that activity or sub-orchestration in place of the recorded one,
                which is used if this is left out; None is an input too.

        Raises:
            UnsupportedOperationError: The engine does not have this operation.
            InstanceNotFoundError: There is no such instance.
        """
        flow = self._flows.instances.rerun(
            instance_id,
            event_id,
            new_instance_id=defaults.id_of(new_instance_id),
            input=None if input is defaults.RECORDED_INPUT else input,
            overwrite_input=input is not defaults.RECORDED_INPUT,
        )
        return self._drive(flow)

    def purge_orchestration(
        self,
        instance_id: str,
        recursive: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> PurgeInstancesResult:
        """Delete an instance that has ended, and its sub-orchestrations if `recursive`.

        If no instance has the id, none is deleted. The call is not repeated after a failure that
        leaves open whether it arrived.
        """
        return self._drive(self._flows.instances.purge(instance_id, recursive=recursive))

    def purge_orchestrations_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationStatus] | None = None,
        recursive: bool = False,  # noqa: FBT001, FBT002 - official
        timeout: timedelta | None = None,
    ) -> PurgeInstancesResult:
        """Delete the instances that have ended and meet all conditions.

        Args:
            created_time_from: Created at this time or later; naive times are UTC.
            created_time_to: Created before this time.
            runtime_status: In one of these statuses, of those in which an instance has ended.
            recursive: Delete their sub-orchestrations too.
            timeout: Stop after this time; the result says whether all were deleted. Without one
                the call may take an hour.
        """
        flow = self._flows.bulk.purge(
            created_time_from=created_time_from,
            created_time_to=created_time_to,
            runtime_status=runtime_status,
            recursive=recursive,
            timeout=timeout,
        )
        return self._drive(flow)

    def get_all_orchestration_states(
        self, orchestration_query: OrchestrationQuery | None = None
    ) -> list[OrchestrationState]:
        """The states of all instances that the query finds; None finds all there are."""
        return self._drive(self._flows.bulk.states(orchestration_query))

    def iter_orchestration_states(
        self, orchestration_query: OrchestrationQuery | None = None
    ) -> Iterator[OrchestrationState]:
        """The states that the query finds; a page is fetched when the one before is used up."""
        return self._iterate(partial(self._flows.bulk.states_after, orchestration_query))

    def list_instance_ids(
        self,
        runtime_status: list[OrchestrationStatus] | None = None,
        completed_time_from: datetime | None = None,
        completed_time_to: datetime | None = None,
        page_size: int | None = None,
        continuation_token: str | None = None,
    ) -> Page[str]:
        """A page of the ids of instances that have ended, in the order in which they did.

        Engines of Dapr's dialect list all instances, and accept no conditions.

        Args:
            runtime_status: In one of these statuses.
            completed_time_from: Ended at this time or later; naive times are UTC.
            completed_time_to: Ended before this time.
            page_size: None leaves it to the sidecar.
            continuation_token: The token of the page before; None for the first.
        """
        flow = self._flows.bulk.ids(
            runtime_status=runtime_status,
            completed_time_from=completed_time_from,
            completed_time_to=completed_time_to,
            page_size=page_size,
            continuation_token=continuation_token,
        )
        return self._drive(flow)

    def get_orchestration_history(
        self,
        instance_id: str,
        *,
        execution_id: str | None = None,
        for_work_item_processing: bool = False,
    ) -> list[HistoryEvent]:
        """The events of the instance's history, oldest first; see `durabletask.history`.

        Args:
            instance_id: The instance.
            execution_id: Only if this is its current execution; None takes any.
            for_work_item_processing: For a worker whose work item came without the history.

        Raises:
            InstanceNotFoundError: There is no such instance, or not with that execution.
        """
        flow = self._flows.instances.history(
            instance_id,
            execution_id=execution_id,
            for_work_item_processing=for_work_item_processing,
        )
        return self._drive(flow)

    def signal_entity(
        self,
        entity_instance_id: EntityInstanceId,
        operation_name: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Send an operation to an entity without waiting for its result.

        An entity that does not exist yet is created. The operation is not delivered before
        `signal_time`; naive times are UTC. The call is not repeated after a failure that leaves
        open whether it arrived.
        """
        flow = self._flows.entities.signal(
            entity_instance_id,
            operation_name,
            input=input,
            signal_time=signal_time,
            request_id=defaults.new_request_id(),
        )
        self._drive(flow)

    def get_entity(
        self,
        entity_instance_id: EntityInstanceId,
        include_state: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> EntityMetadata | None:
        """The entity's metadata, or None if there is no such entity."""
        flow = self._flows.entities.get(entity_instance_id, include_state=include_state)
        return self._drive(flow)

    def get_all_entities(self, entity_query: EntityQuery | None = None) -> list[EntityMetadata]:
        """All entities that the query finds; None finds all that have a state."""
        return self._drive(self._flows.entities.matching(entity_query))

    def iter_entities(self, entity_query: EntityQuery | None = None) -> Iterator[EntityMetadata]:
        """The entities that the query finds; a page is fetched when the one before is used up."""
        return self._iterate(partial(self._flows.entities.matching_after, entity_query))

    def clean_entity_storage(
        self,
        remove_empty_entities: bool = True,  # noqa: FBT001, FBT002 - official
        release_orphaned_locks: bool = True,  # noqa: FBT001, FBT002 - official
    ) -> CleanEntityStorageResult:
        """Remove entities without state, lock or messages; release locks of ended instances."""
        flow = self._flows.entities.clean(
            remove_empty_entities=remove_empty_entities,
            release_orphaned_locks=release_orphaned_locks,
        )
        return self._drive(flow)

    def _iterate(self, page_after: Callable[[str | None], Flow[Page[T]]]) -> Iterator[T]:
        """The items of all pages; a page is fetched when the one before is used up."""
        token: str | None = None
        while True:
            page = self._drive(page_after(token))
            yield from page.items
            token = page.continuation_token
            if token is None:
                return

    def _drive(self, flow: Flow[T]) -> T:
        """Make the calls that a flow asks for, and return what it returns."""
        try:
            request = next(flow)
            while True:
                try:
                    answer = self._answer(request)
                except SidecarError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _answer(self, request: Call | IdentifyEngine | Fail) -> Any:
        if isinstance(request, IdentifyEngine):
            return self._transport.identify_engine()
        if isinstance(request, Fail):
            raise self._transport.error(request.refusal(self._transport.address), request.kind)
        streams = request.method.response_streaming
        call = self._transport.collect if streams else self._transport.unary
        return call(request.method, request.request, timeout=request.timeout)
