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

from . import states
from .execution import execute
from .ids import INSTANCE_ID, check_given, check_length, check_new

if TYPE_CHECKING:
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.host import Host

    from .rpc import Caller


class Instances:
    """What a client may ask of the sidecar."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def start(
        self, request: messages.CreateInstanceRequest, caller: Caller
    ) -> messages.CreateInstanceResponse:
        check_given("the name of the orchestrator", request.name)
        instance_id = request.instance_id or self._host.new_id()
        check_new(instance_id)
        check_length("the execution id", request.execution_id or "")
        policy = request.orchestration_id_reuse_policy
        command = StartInstance(
            name=request.name,
            input=request.input,
            version=request.version,
            execution_id=request.execution_id,
            scheduled_start=request.scheduled_start_timestamp,
            tags=request.tags,
            parent_trace_context=request.parent_trace_context,
            replaceable=frozenset(policy.replaceable_status if policy else ()),
        )
        await execute(self._host, caller, instance_id, command)
        return messages.CreateInstanceResponse(instance_id=instance_id)

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
        instance = await self._host.wait(caller.hub, request.instance_id, _has_started)
        return _response(instance, request)

    async def wait_completed(
        self, request: messages.GetInstanceRequest, caller: Caller
    ) -> messages.GetInstanceResponse:
        check_length(INSTANCE_ID, request.instance_id)
        instance = await self._host.wait(caller.hub, request.instance_id, _has_ended)
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
