"""Find the types of inputs and results in the annotations of orchestrators and activities.

Both are written as `(ctx)` or `(ctx, input)`, as functions, methods, partials or callable
objects. An annotation is used only if the converter can reconstruct that type.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from durabletask.serialization.annotations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.serialization.converter import DataConverter


def input_type(function: Callable[..., Any], converter: DataConverter) -> Any:
    """The type to deserialize the input as; None to leave it untyped."""
    parameters = _shape(function).parameters
    return _if_known(parameters[1], converter) if len(parameters) > 1 else None


def return_type(function: Callable[..., Any], converter: DataConverter) -> Any:
    """The type to deserialize the result as; None to leave it untyped."""
    return _if_known(_shape(function).returns, converter)


def takes_input(function: Callable[..., Any]) -> bool:
    """Whether to call it with `(ctx, input)`; also if it cannot be inspected."""
    return _shape(function).takes_input


@dataclass(frozen=True, slots=True)
class _Shape:
    """A function's annotations; None for those that name no type."""

    parameters: tuple[Any, ...]
    returns: Any
    takes_input: bool


def _if_known(annotation: Any, converter: DataConverter) -> Any:
    known = annotation is not None and converter.can_reconstruct(annotation)
    return annotation if known else None


def _shape(function: Callable[..., Any]) -> _Shape:
    try:
        hash(function)
    except TypeError:
        return _inspect(function)
    return _cached(function)


def _inspect(function: Callable[..., Any]) -> _Shape:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have no signature
        return _Shape(parameters=(), returns=None, takes_input=True)
    namespace = _namespace(function)
    by_position = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(signature.parameters.values())
    positional = [parameter for parameter in parameters if parameter.kind in by_position]
    any_number = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters)
    return _Shape(
        parameters=tuple(_useful(parameter.annotation, namespace) for parameter in positional),
        returns=_useful(signature.return_annotation, namespace),
        takes_input=any_number or len(positional) > 1,
    )


# Cached, because it runs for every work item. Bounded, because a program may keep registering
# closures.
_cached = functools.lru_cache(maxsize=2048)(_inspect)


def _useful(annotation: Any, namespace: dict[str, Any]) -> Any:
    if annotation is Parameter.empty:
        return None
    resolved = resolve(annotation, namespace)
    return None if resolved is Any or isinstance(resolved, str) else resolved


def _namespace(function: Any) -> dict[str, Any]:
    """The globals of a function, through partials and wrappers."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__"):
        function = getattr(type(function), "__call__", function)  # noqa: B004  # the function itself
    return getattr(function, "__globals__", {})
