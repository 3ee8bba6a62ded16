"""Operations on one instance: start, look up, wait, raise an event, end, rewind, purge.

A flow decides which calls to make, what an answer means and which error is a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.client import _conversions as conversions
from durabletask.client import _dapr as dapr
from durabletask.client._flow import Call, IdentifyEngine
from durabletask.client._queries import new_purge_instances_result
from durabletask.client._state import new_orchestration_state
from durabletask.core import arguments
from durabletask.protocol import messages, methods
from durabletask.serialization.checks import serialized
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    SidecarUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from durabletask.client._flow import Flow
    from durabletask.client._queries import PurgeInstancesResult
    from durabletask.client._state import OrchestrationState
    from durabletask.history import HistoryEvent
    from durabletask.protocol.methods import Method
    from durabletask.serialization import DataConverter
    from durabletask.transport.constructor_arguments import HubLogger
    from durabletask.transport.engine_detection import Engine

LONGEST_POLL = 60.0
"""Seconds of one call of a wait without a timeout; after it the next call is made."""


@dataclass(frozen=True, slots=True)
class InstanceFlows:
    """The operations, with the converter and the logger that they share."""

    converter: DataConverter
    log: HubLogger
    logged: set[str] = field(default_factory=set)
    """The fields that the engine ignores and that were logged already."""

    def schedule(
        self,
        name: str,
        *,
        instance_id: str,
        is_new_id: bool,
        execution_id: str | None = None,
        input: Any = None,
        start_at: datetime | None = None,
        reuse_id_policy: Any = None,
        tags: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> Flow[str]:
        """Start an instance; returns its id. `is_new_id` says that the id was made for this call."""
        request = messages.CreateInstanceRequest(
            instance_id=instance_id,
            name=arguments.text(name, "name"),
            input=serialized(input, self.converter),
            version=version or None,
            scheduled_start_timestamp=conversions.aware(start_at, "start_at"),
            execution_id=execution_id,
            orchestration_id_reuse_policy=conversions.reuse_policy(reuse_id_policy),
            tags=arguments.tags(tags) or {},
        )
        self.log.info(
            "Starting orchestration '%s' with instance id '%s'",
            name,
            instance_id,
            extra={"instance_id": instance_id, "task_name": name},
        )
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            yield from dapr.start(engine, request, self.log, self.logged)
        try:
            response = yield Call(methods.START_INSTANCE, request)
        except InstanceExistsError:
            # An id that was made for this call exists only because the call was repeated: its
            # first answer was lost.
            if not is_new_id:
                raise
            return instance_id
        return response.instance_id or instance_id

    def state(self, instance_id: str, *, fetch_payloads: bool) -> Flow[OrchestrationState | None]:
        """Look an instance up."""
        call = Call(methods.GET_INSTANCE, _get_request(instance_id, fetch_payloads=fetch_payloads))
        return (yield from self._state_of(instance_id, call))

    def wait_start(
        self, instance_id: str, *, fetch_payloads: bool, timeout: float | None
    ) -> Flow[OrchestrationState | None]:
        """Wait until an instance has begun to run."""
        request = _get_request(instance_id, fetch_payloads=fetch_payloads)
        self._info("Waiting for instance '%s' to start", instance_id)
        call = Call(methods.WAIT_FOR_INSTANCE_START, request, timeout)
        return (yield from self._wait(instance_id, call, "start"))

    def wait_completion(
        self, instance_id: str, *, fetch_payloads: bool, timeout: float | None
    ) -> Flow[OrchestrationState | None]:
        """Wait until an instance has ended."""
        request = _get_request(instance_id, fetch_payloads=fetch_payloads)
        self._info("Waiting for instance '%s' to complete", instance_id)
        call = Call(methods.WAIT_FOR_INSTANCE_COMPLETION, request, timeout)
        state = yield from self._wait(instance_id, call, "complete")
        if state is not None:
            self._info("Instance '%s' ended with status %s", instance_id, state.runtime_status)
        return state

    def raise_event(self, instance_id: str, event_name: str, *, data: Any) -> Flow[None]:
        """Send an event to an instance."""
        request = messages.RaiseEventRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            name=arguments.text(event_name, "event_name"),
            input=serialized(data, self.converter),
        )
        self.log.info(
            "Raising event '%s' for instance '%s'",
            event_name,
            instance_id,
            extra={"instance_id": instance_id},
        )
        yield from self._send(methods.RAISE_EVENT, request)

    def terminate(self, instance_id: str, *, output: Any, recursive: bool) -> Flow[None]:
        """End an instance, and its sub-orchestrations too if `recursive`."""
        request = messages.TerminateRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            output=serialized(output, self.converter),
            recursive=recursive,
        )
        self._info("Terminating instance '%s'", instance_id)
        yield from self._send(methods.TERMINATE_INSTANCE, request)

    def suspend(self, instance_id: str, *, reason: str | None) -> Flow[None]:
        """Suspend an instance until it is resumed."""
        request = messages.SuspendRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            reason=arguments.optional_text(reason, "reason"),
        )
        self._info("Suspending instance '%s'", instance_id)
        yield from self._send(methods.SUSPEND_INSTANCE, request)

    def resume(self, instance_id: str, *, reason: str | None) -> Flow[None]:
        """Resume a suspended instance."""
        request = messages.ResumeRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            reason=arguments.optional_text(reason, "reason"),
        )
        self._info("Resuming instance '%s'", instance_id)
        yield from self._send(methods.RESUME_INSTANCE, request)

    def rewind(self, instance_id: str, *, reason: str | None) -> Flow[None]:
        """Repeat what failed in a failed instance."""
        request = messages.RewindInstanceRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            reason=arguments.optional_text(reason, "reason"),
        )
        self._info("Rewinding instance '%s'", instance_id)
        yield Call(methods.REWIND_INSTANCE, request)

    def restart(self, instance_id: str, *, with_new_id: bool) -> Flow[str]:
        """Start an instance that has ended from the beginning; returns its id."""
        request = messages.RestartInstanceRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            restart_with_new_instance_id=with_new_id,
        )
        self._info("Restarting instance '%s'", instance_id)
        response = yield Call(methods.RESTART_INSTANCE, request)
        restarted: str = response.instance_id
        return restarted

    def purge(self, instance_id: str, *, recursive: bool) -> Flow[PurgeInstancesResult]:
        """Delete an instance that has ended, and its sub-orchestrations too if `recursive`."""
        request = messages.PurgeInstancesRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            recursive=recursive,
            is_orchestration=True,
        )
        self._info("Purging instance '%s'", instance_id)
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            response = yield from dapr.purge(request)
        else:
            response = yield Call(methods.PURGE_INSTANCES, request)
        return new_purge_instances_result(response)

    def rerun(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str,
        input: Any,
        overwrite_input: bool,
    ) -> Flow[str]:
        """Start an instance with another's history up to an event; returns its id."""
        request = messages.RerunOrchestrationFromEventRequest(
            source_instance_id=arguments.text(instance_id, "instance_id"),
            event_id=conversions.count(event_id, "event_id"),
            new_instance_id=new_instance_id,
            input=serialized(input, self.converter) if overwrite_input else None,
            overwrite_input=overwrite_input,
        )
        self._info("Running instance '%s' again from event %d", instance_id, event_id)
        response = yield Call(methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        return response.new_instance_id or new_instance_id

    def history(
        self, instance_id: str, *, execution_id: str | None, for_work_item_processing: bool
    ) -> Flow[list[HistoryEvent]]:
        """Fetch the history of an instance."""
        # Late: few clients ask for it, and making its many classes takes time.
        from durabletask import history

        request = messages.StreamInstanceHistoryRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            execution_id=arguments.optional_text(execution_id, "execution_id"),
            for_work_item_processing=for_work_item_processing,
        )
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            events = yield from self._dapr_history(engine, request)
        else:
            chunks = yield Call(methods.STREAM_INSTANCE_HISTORY, request)
            events = [event for chunk in chunks for event in chunk.events]
        return [history.from_message(event) for event in events]

    def _dapr_history(
        self, engine: Engine, request: messages.StreamInstanceHistoryRequest
    ) -> Flow[list[messages.HistoryEvent]]:
        method, instance_id = methods.GET_INSTANCE_HISTORY, request.instance_id
        if request.execution_id:
            yield from dapr.unsupported(
                engine,
                method,
                f"find an execution by its execution_id ({method.name})",
                "leave execution_id out to get the history of the current execution",
                instance_id,
            )
        response = yield Call(method, messages.GetInstanceHistoryRequest(instance_id=instance_id))
        # durabletask-go answers with an empty history where no instance has the id.
        if not response.events and not (yield from dapr.exists(instance_id)):
            yield from dapr.missing(method, instance_id)
        events: list[messages.HistoryEvent] = response.events
        return events

    def _info(self, text: str, instance_id: str, *args: object) -> None:
        self.log.info(text, instance_id, *args, extra={"instance_id": instance_id})

    def _send(self, method: Method, request: Any) -> Flow[None]:
        engine = yield IdentifyEngine()
        if engine.is_dapr:
            yield from dapr.send(method, request, self.log)
        else:
            yield Call(method, request)

    def _wait(self, instance_id: str, call: Call, what: str) -> Flow[OrchestrationState | None]:
        is_limited = call.timeout is not None
        if not is_limited:
            call = Call(call.method, call.request, LONGEST_POLL)
        while True:
            try:
                return (yield from self._state_of(instance_id, call))
            except SidecarUnavailableError as error:
                if error.refusal.status != "DEADLINE_EXCEEDED":
                    raise
                if is_limited:
                    raise TimeoutError(
                        f"Timed-out waiting for the orchestration to {what}"
                    ) from None

    def _state_of(self, instance_id: str, call: Call) -> Flow[OrchestrationState | None]:
        try:
            response = yield call
        except InstanceNotFoundError:
            # Most engines answer that it does not exist; those written in Go refuse a wait.
            return None
        return new_orchestration_state(instance_id, response, self.converter)


def _get_request(instance_id: str, *, fetch_payloads: bool) -> messages.GetInstanceRequest:
    return messages.GetInstanceRequest(
        instance_id=arguments.text(instance_id, "instance_id"),
        get_inputs_and_outputs=fetch_payloads,
    )
