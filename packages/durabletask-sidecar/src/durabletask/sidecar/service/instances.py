"""The methods for one orchestration: start it, read it, wait for it, send it commands."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import (
    RaiseEvent,
    Resume,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.state import TERMINAL_STATUSES
from durabletask.sidecar.engine.transition import instance_not_found

from .calls import (
    INSTANCE_ID,
    Submitted,
    check_given,
    check_length,
    check_new,
    execute,
    submit,
)
from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.store.queries import InstanceSummary

    from .calls import Caller
    from .hub_dialects import HubDialects


class Instances:
    """The methods that concern one orchestration."""

    def __init__(self, host: Host, hub_dialects: HubDialects) -> None:
        self._host = host
        self._hub_dialects = hub_dialects

    def start(self, request: messages.CreateInstanceRequest, caller: Caller) -> Submitted:
        check_given("the name of the orchestrator", request.name)
        instance_id = request.instance_id or self._host.new_id()
        check_new(instance_id)
        check_length("the execution id", request.execution_id or "")
        command = StartInstance(
            name=request.name,
            input=request.input,
            version=request.version,
            execution_id=request.execution_id,
            scheduled_start=request.scheduled_start_timestamp,
            tags=request.tags,
            parent_trace_context=request.parent_trace_context,
            replaceable=self._replaceable(request, caller),
            router=request.router,
        )
        storing = submit(self._host, caller, instance_id, command)
        return Submitted(messages.CreateInstanceResponse(instance_id=instance_id), storing)

    def _replaceable(
        self, request: messages.CreateInstanceRequest, caller: Caller
    ) -> frozenset[int]:
        """The statuses of an instance that the new one replaces: as requested, or Dapr's rule."""
        policy = request.orchestration_id_reuse_policy
        if policy is not None:
            return frozenset(policy.replaceable_status)
        # Microsoft's clients send the time of the request, Dapr's have no field for it.
        may_be_dapr = request.request_time is None and not request.enforce_unique_instance_id
        if may_be_dapr and self._hub_dialects.is_dapr(caller.hub):
            return frozenset(TERMINAL_STATUSES)
        return frozenset()

    async def get(
        self, request: messages.GetInstanceRequest, caller: Caller
    ) -> messages.GetInstanceResponse:
        check_length(INSTANCE_ID, request.instance_id)
        instance = self._host.instance(caller.hub, request.instance_id)
        return _response(instance, request)

    async def wait_started(
        self, request: messages.GetInstanceRequest, caller: Caller
    ) -> messages.GetInstanceResponse:
        check_length(INSTANCE_ID, request.instance_id)
        return await self._wait(request, caller, _has_started)

    async def wait_completed(
        self, request: messages.GetInstanceRequest, caller: Caller
    ) -> messages.GetInstanceResponse:
        check_length(INSTANCE_ID, request.instance_id)
        return await self._wait(request, caller, _has_ended)

    async def _wait(
        self,
        request: messages.GetInstanceRequest,
        caller: Caller,
        is_reached: Callable[[Instance], bool],
    ) -> messages.GetInstanceResponse:
        instance = await self._host.wait(caller.hub, request.instance_id, is_reached)
        if instance is None and self._hub_dialects.is_dapr(caller.hub):
            raise RefusedError(instance_not_found(request.instance_id))
        return _response(instance, request)

    def raise_event(self, request: messages.RaiseEventRequest, caller: Caller) -> Submitted:
        check_given("the name of the event", request.name)
        command = RaiseEvent(request.name, request.input)
        storing = submit(self._host, caller, request.instance_id, command)
        return Submitted(messages.RaiseEventResponse(), storing)

    async def terminate(
        self, request: messages.TerminateRequest, caller: Caller
    ) -> messages.TerminateResponse:
        command = Terminate(request.output, recursive=request.recursive)
        await execute(self._host, caller, request.instance_id, command)
        return messages.TerminateResponse()

    async def suspend(
        self, request: messages.SuspendRequest, caller: Caller
    ) -> messages.SuspendResponse:
        await execute(self._host, caller, request.instance_id, Suspend(request.reason))
        return messages.SuspendResponse()

    async def resume(
        self, request: messages.ResumeRequest, caller: Caller
    ) -> messages.ResumeResponse:
        await execute(self._host, caller, request.instance_id, Resume(request.reason))
        return messages.ResumeResponse()


def _has_started(instance: Instance) -> bool:
    return instance.progress.status != messages.OrchestrationStatus.PENDING


def _has_ended(instance: Instance) -> bool:
    return instance.progress.is_terminal


def _response(
    instance: Instance | None, request: messages.GetInstanceRequest
) -> messages.GetInstanceResponse:
    if instance is None:
        return messages.GetInstanceResponse(exists=False)
    state = orchestration_state(instance, payloads=request.get_inputs_and_outputs)
    return messages.GetInstanceResponse(exists=True, orchestration_state=state)


def orchestration_state(
    instance: Instance | InstanceSummary, *, payloads: bool
) -> messages.OrchestrationState:
    """The state; input and output only with `payloads`, since they may be large."""
    origin, progress = instance.origin, instance.progress
    return messages.OrchestrationState(
        instance_id=instance.instance_id,
        name=origin.name,
        version=origin.version,
        orchestration_status=progress.status,
        scheduled_start_timestamp=origin.scheduled_start,
        created_timestamp=origin.created_at,
        last_updated_timestamp=progress.updated_at,
        input=origin.input if payloads else None,
        output=progress.output if payloads else None,
        custom_status=progress.custom_status,
        # The receiver may be in this process, and may change what it is given.
        failure_details=deepcopy(progress.failure),
        execution_id=origin.execution_id,
        completed_timestamp=progress.completed_at,
        parent_instance_id=None if origin.parent is None else origin.parent.instance_id,
        tags=dict(origin.tags),
    )
