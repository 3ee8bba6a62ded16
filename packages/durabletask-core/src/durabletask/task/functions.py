"""The functions that users write: their types, their names, and the activity's context."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from durabletask.entities import DurableEntity, EntityContext
from durabletask.task.orchestrations import OrchestrationContext
from durabletask.task.tasks import Task


class ActivityContext:
    """The first argument of an activity."""

    __module__ = "durabletask.task"

    def __init__(
        self, orchestration_id: str, task_id: int, *, task_execution_id: str | None = None
    ) -> None:
        self._orchestration_id = orchestration_id
        self._task_execution_id = task_execution_id
        self._task_id = task_id

    @property
    def orchestration_id(self) -> str:
        """Id of the orchestration instance that called."""
        return self._orchestration_id

    @property
    def task_id(self) -> int:
        """Id of this call within its orchestration instance.

        Retries share it, except on engines of Dapr's dialect, where each has its own.
        """
        return self._task_id

    @property
    def task_execution_id(self) -> str | None:
        """An id that all attempts of this call share and no other call has.

        Suitable as an idempotency key for other systems. None on engines that do not send it;
        those of Dapr's dialect do.
        """
        return self._task_execution_id


TInput = TypeVar("TInput")
TOutput = TypeVar("TOutput")

# Both may also be `async def`, and may leave out the input; see the overloads of
# `OrchestrationContext` for what a call then gives.
Orchestrator: TypeAlias = Callable[
    [OrchestrationContext, TInput], Generator[Task[Any], Any, TOutput] | TOutput
]
Activity: TypeAlias = Callable[[ActivityContext, TInput], TOutput]

# Never `async def`: an operation cannot wait.
Entity: TypeAlias = (
    Callable[[EntityContext, TInput], TOutput]
    | Callable[[EntityContext], TOutput]
    | type[DurableEntity]
)


F = TypeVar("F", bound=Callable[..., Any])

_GIVEN_NAME = "__durabletask_name__"
_GIVEN_ENTITY_NAME = "__durable_entity_name__"


def get_name(fn: Callable[..., Any]) -> str:
    """The name that `named` gave the function, else the one it was defined with.

    A partial has the name of what it wraps. ValueError if there is no name.
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

    As it is written: ids hold it in lower case.
    """
    name = getattr(fn, _GIVEN_ENTITY_NAME, None) or get_name(fn)
    return str(name)


def named(fn: F, name: str) -> F:
    """Give the function the name that calls by reference use, and return it.

    Bound methods and other objects without attributes cannot be given a name: call those by
    the name as text.
    """
    with suppress(AttributeError):
        setattr(fn, _GIVEN_NAME, name)
    return fn
