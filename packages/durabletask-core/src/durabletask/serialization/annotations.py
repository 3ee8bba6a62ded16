"""Resolve annotations that may be written as text, and list the fields of dataclasses.

A name that cannot be found leaves only its own annotation unresolved, where
`typing.get_type_hints` fails for all of them.
"""

from __future__ import annotations

import sys
import types
import typing
from dataclasses import Field, fields
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, ForwardRef

if typing.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def resolve(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    """The annotation with every name resolved; names that cannot be found stay text."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        evaluated = _evaluate(annotation, namespace)
        return annotation if evaluated is annotation else resolve(evaluated, namespace)
    origin = typing.get_origin(annotation)
    # The strings in Literal["a"] are values.
    if origin is None or origin is typing.Literal:
        return annotation
    if origin is typing.Annotated:
        return resolve(typing.get_args(annotation)[0], namespace)
    return _rebuilt(annotation, origin, namespace)


def _evaluate(text: str, namespace: Mapping[str, Any]) -> Any:
    try:
        # The text is the program's own source, which the interpreter itself would evaluate.
        return eval(text, dict(namespace))  # noqa: S307
    except Exception:  # noqa: BLE001  # annotations may be anything, even for type checkers only
        return text


def _rebuilt(annotation: Any, origin: Any, namespace: Mapping[str, Any]) -> Any:
    arguments = typing.get_args(annotation)
    resolved = tuple(resolve(argument, namespace) for argument in arguments)
    if resolved == arguments:
        return annotation
    if origin is types.UnionType:
        origin = typing.Union
    try:
        return origin[resolved]
    except TypeError:  # the text is not a type: Optional["1, 2"]
        return annotation


def dataclass_arguments(cls: type, members: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, plain value and type hint of each member that the dataclass accepts.

    Members without a field are ignored: the writer may be newer than the reader.
    """
    for name, hint in _hints(cls).items():
        if name in members:
            yield name, members[name], hint


@lru_cache(maxsize=2048)
def _hints(cls: type) -> dict[str, Any]:
    takes = _initializer_names(cls)
    annotated = _annotations(cls)
    return {
        field.name: annotated.get(field.name) for field in fields(cls) if _is_settable(field, takes)
    }


def _is_settable(field: Field[Any], takes: frozenset[str] | None) -> bool:
    """Whether the initializer accepts the field; a hand-written one may accept any."""
    return field.init or takes is None or field.name in takes


def _initializer_names(cls: type) -> frozenset[str] | None:
    """The keywords of `__init__`; None if it accepts every keyword."""
    try:
        _, *parameters = signature(cls.__init__).parameters.values()  # type: ignore[misc]  # read, not called
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_keyword = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(p.name for p in parameters if p.kind in by_keyword)


def _annotations(cls: type) -> dict[str, Any]:
    """Every annotation, resolved in the module of its class: bases may be in other modules."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        module = sys.modules.get(owner.__module__)
        # A class defined in a function may refer to itself, and is not in the module's namespace.
        namespace = {owner.__name__: owner, **vars(module)} if module else {owner.__name__: owner}
        for name, annotation in vars(owner).get("__annotations__", {}).items():
            found[name] = resolve(annotation, namespace)
    return found
