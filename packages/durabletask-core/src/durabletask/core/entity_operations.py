"""Find the operation of an entity and call it.

A function entity performs every operation itself. Of a class, each operation gets a new object;
its public methods are the operations, but not those that every entity inherits for its own
use: else whoever may signal an entity could set its state.

Knows nothing about batches, and nothing about what becomes of state and requests.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

from durabletask.entities import DurableEntity
from durabletask.serialization import discovery

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.entities import EntityContext
    from durabletask.serialization import DataConverter
    from durabletask.task import Entity

_FOR_HEIRS = frozenset(vars(DurableEntity)) - {"delete"}


def perform(
    entity: Entity[Any, Any], context: EntityContext, input: str | None, converter: DataConverter
) -> Any:
    """What the operation returns; raises whatever it raises."""
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
            "without waiting. Make it a plain `def`; for I/O start an orchestration with "
            "`schedule_new_orchestration`, which may signal the entity when it is done."
        )
    return result


def _perform_function(
    entity: Callable[..., Any], context: EntityContext, input: str | None, converter: DataConverter
) -> Any:
    if not discovery.takes_input(entity):
        return entity(context)
    return entity(context, _read(input, discovery.input_type(entity, converter), converter))


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
    # What is no plain method of the class says too little about its parameters.
    wanted = (
        discovery.input_type(function, converter) if isinstance(function, FunctionType) else None
    )
    value = _read(input, wanted, converter)
    if value is None and not _needs_input(method):
        return method()
    return method(value)


def _is_operation(entity: type[DurableEntity], name: str) -> bool:
    if name.startswith("_"):
        return False
    # A name that the heir has defined anew is the heir's own.
    return name not in _FOR_HEIRS or getattr(entity, name) is not getattr(DurableEntity, name)


def _needs_input(method: Callable[..., Any]) -> bool:
    """Whether it has a parameter without a default."""
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        parameter.default is inspect.Parameter.empty
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind not in any_number
    )


def _read(input: str | None, wanted: Any, converter: DataConverter) -> Any:
    # An empty text is how some engines write that there is none.
    return converter.deserialize(input or None, wanted)
