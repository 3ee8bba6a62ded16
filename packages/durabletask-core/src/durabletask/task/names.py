"""Under which name a function is known to engines and other workers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from durabletask.task.functions import Entity

F = TypeVar("F", bound=Callable[..., Any])

_GIVEN_NAME = "__durabletask_name__"
_GIVEN_ENTITY_NAME = "__durable_entity_name__"


def get_name(fn: Callable[..., Any]) -> str:
    """The name the function was given by `named`, else the one it was defined with.

    A partial has the name of what it wraps. Raises ValueError where there is nothing to go by.
    """
    given = getattr(fn, _GIVEN_NAME, None)
    while given is None and isinstance(fn, functools.partial):
        fn = fn.func
        given = getattr(fn, _GIVEN_NAME, None)
    name = given or getattr(fn, "__name__", None)
    if name == "<lambda>":
        raise ValueError(
            "Cannot infer a name from a lambda function. Please provide a name explicitly."
        )
    if not isinstance(name, str):
        raise ValueError(  # noqa: TRY004  # the official SDK's kind of error for names
            f"Cannot infer a name from {fn!r}: it has no __name__. Please provide a name "
            "explicitly."
        )
    return name


def get_entity_name(fn: Entity[Any, Any]) -> str:
    """The name in the function's or class's `__durable_entity_name__`, else as `get_name`.

    As it is written: ids hold it in small letters.
    """
    name = getattr(fn, _GIVEN_ENTITY_NAME, None) or get_name(fn)
    return str(name)


def named(fn: F, name: str) -> F:
    """Give the function the name that calls by reference use, and return it.

    Bound methods and the like take no name: those have to be called by theirs as text.
    """
    with suppress(AttributeError):
        setattr(fn, _GIVEN_NAME, name)
    return fn
