"""What an orchestrator may ask for.

An interface: `durabletask.core.context` implements it, tests may too.

The overloads make a call's result as precise as the function it calls, one for each shape a
function may have: `(ctx)` or `(ctx, input)`; coroutine, generator or plain. Plain stands last,
because a function that returns a coroutine is also one that returns something.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar, overload

# LoggerAdapter is generic for type checkers on every version, at run time it differs.
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable, MutableMapping
    from datetime import datetime, timedelta

    from durabletask.entities import EntityInstanceId, EntityLock
    from durabletask.task.functions import ActivityContext
    from durabletask.task.retry_policy import RetryPolicy
    from durabletask.task.tasks import CancellableTask, CompletableTask, TimerTask

    I = TypeVar("I")  # noqa: E741  # input
    R = TypeVar("R")  # result
    T = TypeVar("T")

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter


class OrchestrationContext(ABC):
    """An orchestrator's only door to the world: what goes through it can be replayed.

    Handed to an orchestrator as its first argument. Nothing here blocks; what a method returns
    is yielded or awaited to wait for it.
    """

    __module__ = "durabletask.task"
    __slots__ = ()

    @property
    @abstractmethod
    def instance_id(self) -> str:
        """Id of this orchestration instance."""

    @property
    @abstractmethod
    def parent_instance_id(self) -> str | None:
        """Id of the instance that called this one; None at the top."""

    @property
    @abstractmethod
    def version(self) -> str | None:
        """The version this instance was scheduled with, if any."""

    @property
    @abstractmethod
    def current_utc_datetime(self) -> datetime:
        """When the current turn began, in UTC and naive; the same whenever it is replayed."""

    @property
    @abstractmethod
    def is_replaying(self) -> bool:
        """Whether what the code does now has been done before."""

    @abstractmethod
    def set_custom_status(self, custom_status: Any) -> None:
        """Show that value to whoever asks for this instance's state; None shows nothing."""

    @abstractmethod
    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """Complete at that time, or after that span from now.

        A naive datetime is UTC. A time in the past completes as soon as the engine sees it.
        """

    @overload
    def call_activity(
        self,
        activity: str | Callable[..., Any],
        *,
        input: Any = ...,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: type[T],
    ) -> CompletableTask[T]: ...
    @overload
    def call_activity(
        self,
        activity: str,
        *,
        input: Any = ...,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[Any]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[[ActivityContext], Coroutine[Any, Any, R]],
        *,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[[ActivityContext, I], Coroutine[Any, Any, R]],
        *,
        input: I | None = ...,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[[ActivityContext], R],
        *,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[[ActivityContext, I], R],
        *,
        input: I | None = ...,
        retry_policy: RetryPolicy | None = ...,
        tags: dict[str, str] | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @abstractmethod
    def call_activity(
        self,
        activity: str | Callable[..., Any],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        """Have an activity run somewhere, at least once; complete with its result.

        Fails with TaskFailedError when the activity does, after the last attempt that
        `retry_policy` allows. `return_type` is the type to read the result as; by default the
        activity's own annotation.
        """

    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: str | Callable[..., Any],
        *,
        input: Any = ...,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: type[T],
    ) -> CompletableTask[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: str,
        *,
        input: Any = ...,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[Any]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext], Coroutine[Any, Any, R]],
        *,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, I], Coroutine[Any, Any, R]],
        *,
        input: I | None = ...,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext], Generator[Any, Any, R]],
        *,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, I], Generator[Any, Any, R]],
        *,
        input: I | None = ...,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext], R],
        *,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, I], R],
        *,
        input: I | None = ...,
        instance_id: str | None = ...,
        retry_policy: RetryPolicy | None = ...,
        version: str | None = ...,
        return_type: None = ...,
    ) -> CompletableTask[R]: ...
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: str | Callable[..., Any],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        """Start another orchestration as a child; complete with its result.

        Without `instance_id` the child's id is this instance's with the call's number, so that
        it is the same on replay and for every retry. Without `version` it has the worker's
        default version, not this instance's. RuntimeError inside a critical section: a child
        could wait for what its parent has locked.
        """

    @overload
    def call_entity(
        self, entity: EntityInstanceId, operation: str, input: Any = ..., *, return_type: type[T]
    ) -> CompletableTask[T]: ...
    @overload
    def call_entity(
        self,
        entity: EntityInstanceId,
        operation: str,
        input: Any = ...,
        *,
        return_type: None = ...,
    ) -> CompletableTask[Any]: ...
    @abstractmethod
    def call_entity(
        self,
        entity: EntityInstanceId,
        operation: str,
        input: Any = None,
        *,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        """Have an entity perform an operation; complete with what it returns.

        Fails with TaskFailedError when the operation does; its `details` have the error type of
        `EntityOperationFailedException`, and what the operation raised as their inner failure.
        RuntimeError inside a critical section unless the entity is locked and has answered
        the call before.
        """

    @abstractmethod
    def signal_entity(
        self,
        entity_id: EntityInstanceId,
        operation_name: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Have an entity perform an operation, not before `signal_time`; nothing comes back.

        A naive time is UTC. RuntimeError inside a critical section that has locked the entity.
        """

    @abstractmethod
    def lock_entities(self, entities: Iterable[EntityInstanceId]) -> CompletableTask[EntityLock]:
        """Have these entities for this orchestration alone; complete with the lock to leave.

        What is locked is released at the end of the `with` block, or however the orchestration
        ends. RuntimeError for no entities, and inside a critical section.

        Example:
            with (yield ctx.lock_entities([source, target])):  # or: with await ...
                yield ctx.call_entity(source, "withdraw", 10)
                yield ctx.call_entity(target, "deposit", 10)
        """

    @overload
    def wait_for_external_event(
        self, name: str, *, data_type: type[T], timeout: timedelta | datetime | None = ...
    ) -> CancellableTask[T]: ...
    @overload
    def wait_for_external_event(
        self, name: str, *, data_type: None = ..., timeout: timedelta | datetime | None = ...
    ) -> CancellableTask[Any]: ...
    @abstractmethod
    def wait_for_external_event(
        self,
        name: str,
        *,
        data_type: type | None = None,
        timeout: timedelta | datetime | None = None,
    ) -> CancellableTask[Any]:
        """Complete with the payload of the next event of that name, whatever its case.

        Events that came before anyone waited are kept and handed out in order, one to each
        waiter. After `timeout` (None waits for ever) the task fails with TimeoutError and the
        event, should it still come, is kept for the next waiter.
        """

    @abstractmethod
    def send_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Raise an event on another instance; lost without a word if there is none.

        ValueError for a blank id or name and for the id of an entity.
        """

    @abstractmethod
    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, new_version: str | None = None
    ) -> None:
        """Start over under the same id with a new input and an empty history.

        The code runs on to its next wait or its end, no further; what it returns is dropped.
        `save_events` hands events that nobody has waited for to the new run.
        """

    @abstractmethod
    def is_patched(self, patch: str) -> bool:
        """Whether this instance takes the new side of that change to the code.

        True where the code asks for the first time, and from then on; False while a replay
        comes through a place that the old code passed. So running instances end as they began.

            if ctx.is_patched("ask-twice"):
                yield ctx.call_activity(ask)
            yield ctx.call_activity(ask)

        UnsupportedByEngineError on engines that do not record it: those of Dapr's dialect do,
        others do not. There compare `version`.
        """

    @abstractmethod
    def new_uuid(self) -> str:
        """A UUID that is new in this place and the same whenever this place is replayed."""

    def create_replay_safe_logger(self, logger: logging.Logger) -> ReplaySafeLogger:
        """Wrap that logger to be silent during replay."""
        return ReplaySafeLogger(logger, lambda: self.is_replaying)


class ReplaySafeLogger(_LoggerAdapter):
    """Silent while the orchestrator is replaying; otherwise the logger it wraps.

    Get one from `OrchestrationContext.create_replay_safe_logger`.
    """

    __module__ = "durabletask.task"

    def __init__(self, logger: logging.Logger, is_replaying: Callable[[], bool]) -> None:
        super().__init__(logger, {})
        self._is_replaying = is_replaying

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Whether a record of that level would go out now."""
        return not self._is_replaying() and self.logger.isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The record as it is; an adapter would put its own `extra` in place of the caller's."""
        return msg, kwargs
