"""Run a batch of an entity's operations, one after the other, and say what came of it.

Each operation is kept whole or not at all: if it fails, the state is as before and what it
asked for is dropped; the others count all the same. So whatever goes wrong is the result of
one operation.

    batch, infos = from_v2(request)        for the newer form of request
    result = run_batch(batch, registry, settings, now=clock, completion_token=token)
    result.operation_infos = infos

`now` tells the time and `completion_token` is the work item's.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from durabletask.core.determinism import as_utc
from durabletask.core.entity_operations import perform
from durabletask.entities import EntityContext, EntityInstanceId, EntityState, SignalRequest
from durabletask.failures import details_from_exception, to_message
from durabletask.protocol.oneofs import which
from durabletask.serialization.sendable import serialized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.entities import EntityRequest
    from durabletask.protocol import messages

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "durabletask.core.entity_batch")


def run_batch(
    request: messages.EntityBatchRequest,
    registry: Registry,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    completion_token: str,
) -> messages.EntityBatchResult:
    """The outcome of all operations, in their order. User errors are results; never raises."""
    from durabletask.protocol import messages

    batch = _Batch(request, registry, settings, completion_token)
    results = []
    for operation in request.operations:
        started = now()
        try:
            output = batch.run(operation, started)
        except BaseException as error:  # noqa: BLE001  # becomes the operation's failure
            details = details_from_exception(
                error, properties_provider=settings.exception_properties_provider
            )
            failure = messages.OperationResultFailure(
                failure_details=to_message(details), start_time_utc=started, end_time_utc=now()
            )
            results.append(messages.OperationResult(failure=failure))
        else:
            success = messages.OperationResultSuccess(
                # Not None: official workers send an empty text for nothing, and so it reads back.
                result=output or "",
                start_time_utc=started,
                end_time_utc=now(),
            )
            results.append(messages.OperationResult(success=success))
    return messages.EntityBatchResult(
        results=results,
        actions=batch.actions,
        entity_state=batch.state,
        completion_token=completion_token,
    )


def from_v2(
    request: messages.EntityRequest,
) -> tuple[messages.EntityBatchRequest, list[messages.OperationInfo]]:
    """The newer form of request as the older, and where the results of its operations go."""
    from durabletask.protocol import messages

    operations: list[messages.OperationRequest] = []
    infos: list[messages.OperationInfo] = []
    for event in request.operation_requests:
        destination = None
        asked: messages.EntityOperationCalledEvent | messages.EntityOperationSignaledEvent
        if event.entity_operation_called is not None:
            asked = event.entity_operation_called
            destination = messages.OrchestrationInstance(
                instance_id=asked.parent_instance_id or "", execution_id=asked.parent_execution_id
            )
        elif event.entity_operation_signaled is not None:
            asked = event.entity_operation_signaled
        else:
            # The contract allows no other. The caller still gets a result for each it sent.
            asked = messages.EntityOperationSignaledEvent(operation=which(event))
        operations.append(
            messages.OperationRequest(
                operation=asked.operation, request_id=asked.request_id, input=asked.input
            )
        )
        infos.append(
            messages.OperationInfo(request_id=asked.request_id, response_destination=destination)
        )
    batch = messages.EntityBatchRequest(
        instance_id=request.instance_id, entity_state=request.entity_state, operations=operations
    )
    return batch, infos


class _Batch:
    """The entity between its operations: the state, and what is to be done about it."""

    def __init__(
        self,
        request: messages.EntityBatchRequest,
        registry: Registry,
        settings: Settings,
        completion_token: str,
    ) -> None:
        self.state = request.entity_state or None
        self.actions: list[messages.OperationAction] = []
        self._instance_id = request.instance_id
        self._registry = registry
        self._converter = settings.data_converter
        self._token = completion_token

    def run(self, operation: messages.OperationRequest, started: datetime) -> str | None:
        """Perform it and keep what it did; changes nothing if it raises."""
        entity_id = EntityInstanceId.parse(self._instance_id)
        entity = self._registry.entity(entity_id.entity)
        state = EntityState(self.state, self._converter)
        ids = self._new_ids(operation, started)
        context = EntityContext(
            self._instance_id,
            operation.operation,
            state,
            entity_id,
            self._converter,
            new_instance_id=lambda: next(ids),
        )
        result = perform(entity, context, operation.input, self._converter)
        output = serialized(result, self._converter)
        self.actions.extend([_action(asked) for asked in context.requests])
        self.state = state.text
        return output

    def _new_ids(self, operation: messages.OperationRequest, started: datetime) -> Iterator[str]:
        """Ids that nobody else has: no other batch has this token, no two actions a number."""
        seed = f"{self._instance_id}_{self._token}_{operation.request_id}_{started.isoformat()}"
        number = len(self.actions)
        while True:
            yield uuid.uuid5(_NAMESPACE, f"{seed}_{number}").hex
            number += 1


def _action(asked: EntityRequest) -> messages.OperationAction:
    from durabletask.protocol import messages

    if isinstance(asked, SignalRequest):
        signal = messages.SendSignalAction(
            instance_id=str(asked.entity_id),
            name=asked.operation,
            input=asked.input,
            scheduled_time=None if asked.signal_time is None else as_utc(asked.signal_time),
        )
        return messages.OperationAction(send_signal=signal)
    start = messages.StartNewOrchestrationAction(
        instance_id=asked.instance_id, name=asked.orchestration_name, input=asked.input
    )
    return messages.OperationAction(start_new_orchestration=start)
