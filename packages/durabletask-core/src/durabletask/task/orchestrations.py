"""The interface by which orchestrators ask for things, and their replay-safe logger.

`durabletask.core.context` implements it; tests may implement it too.

The overloads give a call the result type of the function it calls, one for each form of
function: `(ctx)` or `(ctx, input)`; coroutine, generator or plain. Plain comes last, because a
function that returns a coroutine also matches it.
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
    """The first argument of an orchestrator, and its only access to the outside.

    What it does through the context can be replayed. No method blocks; to wait for a task that
    a method returns, yield or await it.
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
        """Id of the instance that called this one; None if no orchestration did."""

    @property
    @abstractmethod
    def version(self) -> str | None:
        """The version this instance was scheduled with, if any."""

    @property
    @abstractmethod
    def current_utc_datetime(self) -> datetime:
        """When the current turn began, as a naive datetime in UTC; the same in every replay."""

    @property
    @abstractmethod
    def is_replaying(self) -> bool:
        """Whether the code now repeats what it did in an earlier turn."""

    @abstractmethod
    def set_custom_status(self, custom_status: Any) -> None:
        """Set the custom status that clients see in this instance's state; None clears it."""

    @abstractmethod
    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """Complete at that time, or after that span from now.

        A naive datetime is UTC. A time in the past completes as soon as the engine handles it.
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
        """Run an activity on some worker, at least once; complete with its result.

        Fails with TaskFailedError when the activity does, after the last attempt that
        `retry_policy` allows. `return_type` is the type of the result; by default that of
        the activity's annotation.
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

        Without `instance_id` the child's id is made of this instance's id and the action id, so
        that it is the same in replays and for every retry. Without `version` it has the
        worker's default version, not this instance's. RuntimeError inside a critical section: a
        child could wait for an entity that its parent has locked.
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
        """Call an operation of an entity; complete with its result.

        Fails with TaskFailedError when the operation does; its `details` have the error type of
        `EntityOperationFailedException`, and what the operation raised as their inner failure.
        RuntimeError inside a critical section, unless the entity is locked and has no call in
        progress.
        """

    @abstractmethod
    def signal_entity(
        self,
        entity_id: EntityInstanceId,
        operation_name: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Send an operation to an entity, due at `signal_time`, without waiting for a result.

        A naive time is UTC. RuntimeError inside a critical section that has locked the entity.
        """

    @abstractmethod
    def lock_entities(self, entities: Iterable[EntityInstanceId]) -> CompletableTask[EntityLock]:
        """Lock these entities for this orchestration; complete with the lock.

        They are unlocked at the end of the `with` block, and whenever the orchestration ends.
        RuntimeError for no entities, and inside a critical section.

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

        Events that came before a task waited for them are buffered, and complete tasks in order.
        After `timeout` (None means no limit) the task fails with TimeoutError; if the event
        comes later, it is buffered for the next task.
        """

    @abstractmethod
    def send_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Raise an event on another instance; if there is none, the event is dropped silently.

        ValueError for a blank id or name and for the id of an entity.
        """

    @abstractmethod
    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, new_version: str | None = None
    ) -> None:
        """Start over under the same id with a new input and an empty history.

        The code runs on to its next wait or its end; its result is dropped. With `save_events`
        events that no task has received go to the new execution.
        """

    @abstractmethod
    def is_patched(self, patch: str) -> bool:
        """Whether this instance runs the new code of that patch.

        True if the code asks in a turn that is not a replay, and from then on; False if the
        turn was first run by the old code. So running instances go on with the old code.

            if ctx.is_patched("ask-twice"):
                yield ctx.call_activity(ask)
            yield ctx.call_activity(ask)

        UnsupportedByEngineError on engines that do not record patches; only those of Dapr's
        dialect do. Elsewhere compare `version`.
        """

    @abstractmethod
    def new_uuid(self) -> str:
        """A new UUID, the same one in every replay."""

    def create_replay_safe_logger(self, logger: logging.Logger) -> ReplaySafeLogger:
        """A logger that logs to that one, but not during replay."""
        return ReplaySafeLogger(logger, lambda: self.is_replaying)


class ReplaySafeLogger(_LoggerAdapter):
    """Logs to the wrapped logger, but nothing during replay.

    Get one from `OrchestrationContext.create_replay_safe_logger`.
    """

    __module__ = "durabletask.task"

    def __init__(self, logger: logging.Logger, is_replaying: Callable[[], bool]) -> None:
        super().__init__(logger, {})
        self._is_replaying = is_replaying

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Whether a record of that level would be logged now."""
        return not self._is_replaying() and self.logger.isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The record unchanged; a LoggerAdapter would replace the caller's `extra`."""
        return msg, kwargs
