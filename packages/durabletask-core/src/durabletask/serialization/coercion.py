"""Convert plain JSON values to the types that a caller asks for.

Raises if value and type do not fit. The type comes from the caller, never from the payload.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import lru_cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from durabletask.serialization.annotations import dataclass_arguments

if TYPE_CHECKING:
    from durabletask.serialization.converter import DataConverter


def coerce(value: Any, target: Any, converter: DataConverter) -> Any:
    """The value as `target`: a type, or a hint such as `list[Order] | None`.

    Hints that name no single type (Any, type variables, unions of several types) leave the
    value as it is.
    """
    if value is None or target is None or target is Any:
        return value
    origin = typing.get_origin(target)
    if origin is not None:
        as_container = _CONTAINERS.get(origin)
        return value if as_container is None else as_container(value, target, converter)
    if not isinstance(target, type) or isinstance(value, target):
        return value
    return _as_instance(value, target, converter)


def _as_instance(value: Any, target: type, converter: DataConverter) -> Any:
    from_json = getattr(target, "from_json", None)
    if callable(from_json):
        return from_json(value, converter) if _wants_converter(from_json) else from_json(value)
    if is_dataclass(target) and isinstance(value, dict):
        typed = dataclass_arguments(target, value)
        return target(**{name: coerce(item, hint, converter) for name, item, hint in typed})
    return target(value)


def _as_union(value: Any, target: Any, converter: DataConverter) -> Any:
    members = [member for member in typing.get_args(target) if member is not types.NoneType]
    # A union of several types does not say which of them a JSON object is.
    return coerce(value, members[0], converter) if len(members) == 1 else value


def _as_list(value: Any, target: Any, converter: DataConverter) -> Any:
    hints = typing.get_args(target)
    if not isinstance(value, list) or not hints:
        return value
    (item_type,) = hints
    return [coerce(item, item_type, converter) for item in value]


def _as_dict(value: Any, target: Any, converter: DataConverter) -> Any:
    hints = typing.get_args(target)
    if not isinstance(value, dict) or not hints:
        return value
    _, item_type = hints
    return {key: coerce(item, item_type, converter) for key, item in value.items()}


def _as_tuple(value: Any, target: Any, converter: DataConverter) -> Any:
    if not isinstance(value, list):
        return value
    item_types = typing.get_args(target) or (Any, ...)
    if len(item_types) == 2 and item_types[1] is Ellipsis:
        item_types = (item_types[0],) * len(value)
    pairs = zip(value, item_types, strict=True)
    return tuple(coerce(item, item_type, converter) for item, item_type in pairs)


def _as_annotated(value: Any, target: Any, converter: DataConverter) -> Any:
    return coerce(value, typing.get_args(target)[0], converter)


_CONTAINERS: dict[Any, Callable[[Any, Any, DataConverter], Any]] = {
    typing.Union: _as_union,
    types.UnionType: _as_union,
    typing.Annotated: _as_annotated,
    list: _as_list,
    Sequence: _as_list,
    dict: _as_dict,
    Mapping: _as_dict,
    tuple: _as_tuple,
}


@lru_cache(maxsize=2048)
def _wants_converter(from_json: Callable[..., Any]) -> bool:
    """Whether the hook's second parameter is called `converter`.

    By its name, because existing hooks have second parameters with other meanings.
    """
    try:
        parameters = list(signature(from_json).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in positional]
    return names[1:2] == ["converter"]
