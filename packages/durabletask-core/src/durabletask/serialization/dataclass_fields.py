"""What a dataclass can be built from: its fields, their types and what its initializer takes."""

from __future__ import annotations

import sys
from dataclasses import Field, fields
from functools import lru_cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from durabletask.serialization.annotations import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def arguments(cls: type, members: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, plain value and type hint of each member the dataclass can be given.

    Members it has no field for are ignored: the writer may be newer than the reader.
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
    """Whether the initializer takes the field; one that is written by hand may take any."""
    return field.init or takes is None or field.name in takes


def _initializer_names(cls: type) -> frozenset[str] | None:
    """The keywords of `__init__`; None when it takes every keyword."""
    try:
        _, *parameters = signature(cls.__init__).parameters.values()  # type: ignore[misc]  # read, not called
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_keyword = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(p.name for p in parameters if p.kind in by_keyword)


def _annotations(cls: type) -> dict[str, Any]:
    """Every annotation, resolved where it was written: bases may be of other modules."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        module = sys.modules.get(owner.__module__)
        # Its own name may be missing there: classes made inside functions refer to themselves.
        namespace = {owner.__name__: owner, **vars(module)} if module else {owner.__name__: owner}
        for name, annotation in vars(owner).get("__annotations__", {}).items():
            found[name] = resolve(annotation, namespace)
    return found
