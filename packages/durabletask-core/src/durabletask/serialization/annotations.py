"""Annotations as types, although they may be written as text.

One name that cannot be found spoils only the annotation it stands in, where
`typing.get_type_hints` gives up on all of them.
"""

from __future__ import annotations

import types
import typing
from typing import Any, ForwardRef

if typing.TYPE_CHECKING:
    from collections.abc import Mapping


def resolve(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    """The annotation with every name in it looked up; what cannot be found stays text."""
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
        # The text is the author's own source, what the interpreter itself would have run.
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
    except TypeError:  # what a text stands for is no type: Optional["1, 2"]
        return annotation
