"""The methods that clients call: start an instance, look at it, wait for it, steer it.

Knows nothing about what a command does: the engine does.
"""

from __future__ import annotations

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

from . import states
from .errors import RefusedError
from .execution import execute
from .ids import INSTANCE_ID, check_given, check_length, check_new

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.network.rpc import Caller

    from .spoken import Dialects


class Instances:
    """What a client may ask of the sidecar."""

    def __init__(self, host: Host, spoken: Dialects) -> None:
        self._host = host
        self._spoken = spoken

    async def start(
        self, request: messages.CreateInstanceRequest, caller: Caller
    ) -> messages.CreateInstanceResponse:
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
        await execute(self._host, caller, instance_id, command)
        return messages.CreateInstanceResponse(instance_id=instance_id)

    def _replaceable(
        self, request: messages.CreateInstanceRequest, caller: Caller
    ) -> frozenset[int]:
        """What the new instance may take the place of: as told, or by Dapr's rule."""
        policy = request.orchestration_id_reuse_policy
        if policy is not None:
            return frozenset(policy.replaceable_status)
        # Microsoft's clients say when they asked, Dapr's have no word for it.
        may_be_daprs = request.request_time is None and not request.enforce_unique_instance_id
        if may_be_daprs and self._spoken.is_daprs(caller.hub):
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
        if instance is None and self._spoken.is_daprs(caller.hub):
            raise RefusedError(instance_not_found(request.instance_id))
        return _response(instance, request)

    async def raise_event(
        self, request: messages.RaiseEventRequest, caller: Caller
    ) -> messages.RaiseEventResponse:
        check_given("the name of the event", request.name)
        command = RaiseEvent(request.name, request.input)
        await execute(self._host, caller, request.instance_id, command)
        return messages.RaiseEventResponse()

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
    state = states.of_instance(instance, payloads=request.get_inputs_and_outputs)
    return messages.GetInstanceResponse(exists=True, orchestration_state=state)
