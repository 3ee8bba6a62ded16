"""The shapes of the functions that users write, as the official SDK names them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from durabletask.entities import DurableEntity, EntityContext
from durabletask.task.activities import ActivityContext
from durabletask.task.orchestrations import OrchestrationContext
from durabletask.task.tasks import Task

TInput = TypeVar("TInput")
TOutput = TypeVar("TOutput")

# Both may also be `async def`, and may leave out the input; see the overloads of
# `OrchestrationContext` for what a call then gives.
Orchestrator: TypeAlias = Callable[
    [OrchestrationContext, TInput], Generator[Task[Any], Any, TOutput] | TOutput
]
Activity: TypeAlias = Callable[[ActivityContext, TInput], TOutput]

# Never `async def`: an operation has nothing to wait for.
Entity: TypeAlias = (
    Callable[[EntityContext, TInput], TOutput]
    | Callable[[EntityContext], TOutput]
    | type[DurableEntity]
)
