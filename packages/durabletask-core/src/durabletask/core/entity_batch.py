"""Run a batch of an entity's operations, one after the other.

Each operation takes effect as a whole or not at all: if it fails, the state is as before and
the actions it asked for are dropped, and the other operations are not affected.

    batch, infos = from_v2(request)  # for the newer form of request
    result = run_batch(batch, registry, settings, now=clock, completion_token=token)
    result.operation_infos = infos

An entity that is a function performs every operation itself. Of one that is a class, each
operation gets a new object, and its public methods are the operations.
"""

from __future__ import annotations

import inspect
import uuid
from functools import partial
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any

from durabletask.core.determinism import as_utc
from durabletask.entities import (
    DurableEntity,
    EntityContext,
    EntityInstanceId,
    EntityState,
    SignalRequest,
)
from durabletask.failures import details_from_exception, to_message
from durabletask.protocol import messages
from durabletask.protocol.oneofs import which
from durabletask.serialization import type_discovery
from durabletask.serialization.checks import serialized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.entities import EntityRequest
    from durabletask.failures import FailureDetails
    from durabletask.serialization import DataConverter
    from durabletask.task import Entity

    OnFailed = Callable[[messages.OperationRequest, BaseException, FailureDetails], None]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "durabletask.core.entity_batch")

# Every entity inherits these methods for its own use: a signal must not be able to set its state.
_NOT_OPERATIONS = frozenset(vars(DurableEntity)) - {"delete"}


def run_batch(
    request: messages.EntityBatchRequest,
    registry: Registry,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    completion_token: str,
    on_failed: OnFailed | None = None,
) -> messages.EntityBatchResult:
    """The results of all operations, in order. User errors become results; never raises.

    `now` gives the time, and `completion_token` is that of the work item. `on_failed` is told of
    each operation that fails; it must not raise.
    """
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
            if on_failed is not None:
                on_failed(operation, error, details)
        else:
            success = messages.OperationResultSuccess(
                # Not None: official workers send an empty text for no result.
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
    """The newer form of request as the older, and where to send the results of its operations."""
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
            # The protocol allows no other kind. The caller still gets a result for each request.
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
    """The entity between its operations: its state and the actions they asked for."""

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
        self._entity_id: EntityInstanceId | None = None
        self._registry = registry
        self._converter = settings.data_converter
        self._token = completion_token

    def run(self, operation: messages.OperationRequest, started: datetime) -> str | None:
        """Perform the operation and keep its effects; changes nothing if it raises."""
        if self._entity_id is None:
            self._entity_id = EntityInstanceId.parse(self._instance_id)
        entity_id = self._entity_id
        entity = self._registry.entity(entity_id.entity)
        state = EntityState(self.state, self._converter)
        numbers = count(len(self.actions))
        context = EntityContext(
            self._instance_id,
            operation.operation,
            state,
            entity_id,
            self._converter,
            new_instance_id=partial(self._new_id, operation, started, numbers),
        )
        result = _perform(entity, context, operation.input, self._converter)
        output = serialized(result, self._converter)
        self.actions.extend([_action(asked) for asked in context.requests])
        self.state = state.text
        return output

    def _new_id(
        self, operation: messages.OperationRequest, started: datetime, numbers: Iterator[int]
    ) -> str:
        """A unique id: no other batch has this token, and no two actions have the same number."""
        seed = f"{self._instance_id}_{self._token}_{operation.request_id}_{started.isoformat()}"
        return uuid.uuid5(_NAMESPACE, f"{seed}_{next(numbers)}").hex


def _action(asked: EntityRequest) -> messages.OperationAction:
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


def _perform(
    entity: Entity[Any, Any], context: EntityContext, input: str | None, converter: DataConverter
) -> Any:
    """The result of the operation; raises whatever it raises."""
    if isinstance(entity, type):
        result = _perform_method(entity, context, input, converter)
    else:
        result = _perform_function(entity, context, input, converter)
    if inspect.iscoroutine(result):
        # Else Python would warn that it was never awaited.
        result.close()
        raise TypeError(
            f"Operation '{context.operation}' of entity '{context.entity_id}' is an `async def` "
            "and cannot be awaited: an entity performs its operations one after the other, each "
            "without waiting. Make it a plain `def`. For I/O, start an orchestration with "
            "`schedule_new_orchestration` that signals the entity when it is done."
        )
    return result


def _perform_function(
    entity: Callable[..., Any], context: EntityContext, input: str | None, converter: DataConverter
) -> Any:
    if not type_discovery.takes_input(entity):
        return entity(context)
    return entity(context, _read(input, type_discovery.input_type(entity, converter), converter))


def _perform_method(
    entity: type[DurableEntity], context: EntityContext, input: str | None, converter: DataConverter
) -> Any:
    operation = context.operation
    instance = entity()
    if not _is_operation(entity, operation) or not hasattr(instance, operation):
        raise AttributeError(f"Entity '{context.entity_id}' does not have operation '{operation}'")
    instance.entity_context = context
    method = getattr(instance, operation)
    if not callable(method):
        raise TypeError(f"Entity operation '{operation}' is not callable")
    function = getattr(entity, operation, None)
    # Only a plain method of the class tells the types of its parameters reliably.
    wanted = (
        type_discovery.input_type(function, converter)
        if isinstance(function, FunctionType)
        else None
    )
    value = _read(input, wanted, converter)
    if value is None and not _needs_input(method):
        return method()
    return method(value)


def _is_operation(entity: type[DurableEntity], name: str) -> bool:
    if name.startswith("_"):
        return False
    # A subclass that overrides one of these methods makes it an operation.
    return name not in _NOT_OPERATIONS or getattr(entity, name) is not getattr(DurableEntity, name)


def _needs_input(method: Callable[..., Any]) -> bool:
    """Whether it has a parameter without a default."""
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        parameter.default is inspect.Parameter.empty
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind not in any_number
    )


def _read(input: str | None, wanted: Any, converter: DataConverter) -> Any:
    # Some engines send an empty text for no input.
    return converter.deserialize(input or None, wanted)
