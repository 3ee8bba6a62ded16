"""Rerun: a new instance continues from an event in the history of one that has ended.

    source:        events …, task 3 scheduled, events …, completed
    new instance:  events …, task 3 scheduled

Task 3 runs again, and so does all that was pending at that event. Later events are left out:
the orchestrator asks for what they were about in its first turn, which has no new events.
Sub-orchestrations that run again get new ids, since the old ids belong to the source.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from durabletask.protocol import messages, oneofs

from . import ids, orchestrator_actions, pending
from .commands import StartChild
from .pending import pending_work
from .state import Instance, Origin, Progress
from .transition import AlreadyExists, InvalidArgument, NotFound, Transition, refuse
from .transition_builder import TransitionBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .commands import Rerun
    from .transition import Refusal

_TASK = "task_scheduled"
_TIMER = "timer_created"
_CHILD = "sub_orchestration_instance_created"
_DETACHED = "detached_orchestration_instance_created"

_KINDS = (_TASK, _TIMER, _CHILD)

_CHOOSE = "choose the event of an activity, a timer or a sub-orchestration"

_LATEST = datetime.max.replace(tzinfo=UTC)


def rerun(
    instance: Instance | None,
    instance_id: str,
    command: Rerun,
    now: datetime,
    new_id: Callable[[], str],
) -> Transition:
    """Create the instance with a copy of the history, and ask again for what is pending."""
    if instance is not None:
        status = instance.progress.status.name
        text = f"orchestration instance already exists: {instance_id} is {status}"
        return refuse(AlreadyExists(text))
    position = _position(command)
    refusal = _refusal(command, position)
    if refusal is not None:
        return refuse(refusal)
    kept = command.history[: position + 1]
    open_children = pending_work(kept).children
    history = [
        _renamed(event, instance_id) if event.event_id in open_children else event for event in kept
    ]
    history[-1] = _repeated(history[-1], command, now)
    return _begin(instance_id, new_id(), history, now)


def _position(command: Rerun) -> int:
    """The position of the event to rerun from; -1 when there is none.

    The official SDK uses one number for all attempts of a task; the first of them counts.
    """
    for index, event in enumerate(command.history):
        if event.event_id == command.event_id and oneofs.which(event) in _KINDS:
            return index
    return -1


def _refusal(command: Rerun, position: int) -> Refusal | None:
    what = f"event {command.event_id} of '{command.source_id}'"
    if position < 0:
        numbered = [each for each in command.history if each.event_id == command.event_id]
        if any(oneofs.which(each) == _DETACHED for each in numbered):
            return _fire_and_forget(what)
        return NotFound(f"{what} scheduled nothing that can run again; {_CHOOSE}")
    kind = oneofs.which(command.history[position])
    created = command.history[position].sub_orchestration_instance_created
    if created is not None and pending.is_fire_and_forget(created.tags):
        return _fire_and_forget(what)
    if kind == _TIMER and command.overwrites_input:
        return InvalidArgument(f"{what} is a timer, which has no input; do not overwrite it")
    if command.child_id is None:
        return None
    if kind != _CHILD:
        return InvalidArgument(f"{what} is not a sub-orchestration; do not give a child id")
    error = ids.instance_id_error(command.child_id)
    return None if error is None else InvalidArgument(error)


def _fire_and_forget(what: str) -> InvalidArgument:
    return InvalidArgument(f"{what} started a fire-and-forget orchestration; {_CHOOSE}")


def _renamed(event: messages.HistoryEvent, instance_id: str) -> messages.HistoryEvent:
    """The event with a new id for the child, if it starts one."""
    created = event.sub_orchestration_instance_created
    if created is None:
        return event
    child_id = ids.child_id(instance_id, event.event_id)
    return replace(event, sub_orchestration_instance_created=replace(created, instance_id=child_id))


def _repeated(event: messages.HistoryEvent, command: Rerun, now: datetime) -> messages.HistoryEvent:
    """The event to rerun from, with the new input, time or child id."""
    kind = oneofs.which(event)
    source = messages.RerunParentInstanceInfo(instance_id=command.source_id)
    changes: dict[str, Any] = {"rerun_parent_instance_info": source}
    if kind == _TIMER:
        changes["fire_at"] = _from_now(event, now)
    elif command.overwrites_input:
        changes["input"] = command.input
    if command.child_id is not None:
        changes["instance_id"] = command.child_id
    again: Any = {kind: replace(getattr(event, kind), **changes)}
    return replace(event, **again)


def _from_now(event: messages.HistoryEvent, now: datetime) -> datetime | None:
    """When the timer fires that is set again for the same span of time."""
    assert event.timer_created is not None
    fire_at = event.timer_created.fire_at
    if fire_at is None or event.timestamp is None:
        return fire_at
    span = fire_at - event.timestamp
    return now + span if span < _LATEST - now else _LATEST


def _begin(
    instance_id: str, execution_id: str, history: Sequence[messages.HistoryEvent], now: datetime
) -> Transition:
    origin = _origin(execution_id, history, now)
    progress = Progress(messages.OrchestrationStatus.RUNNING, now)
    builder = TransitionBuilder(Instance(instance_id, origin, progress), now)
    for event in history:
        builder.record(_with_identity(instance_id, execution_id, event))
    orchestrator_actions.reissue(builder, pending_work(history), StartChild)
    clock = max((each.timestamp for each in history if each.timestamp), default=None)
    return builder.build(turn_at=clock)._replace(origin=origin)


def _origin(execution_id: str, history: Sequence[messages.HistoryEvent], now: datetime) -> Origin:
    started = next(filter(None, (each.execution_started for each in history)))
    return Origin(
        execution_id=execution_id,
        name=started.name,
        created_at=now,
        input=started.input,
        version=started.version,
        tags=started.tags,
        parent_trace_context=started.parent_trace_context,
    )


def _with_identity(
    instance_id: str, execution_id: str, event: messages.HistoryEvent
) -> messages.HistoryEvent:
    """The event with the ids of the new instance, if it is the start."""
    if event.execution_started is None:
        return event
    identity = messages.OrchestrationInstance(instance_id=instance_id, execution_id=execution_id)
    started = replace(event.execution_started, orchestration_instance=identity)
    return replace(event, execution_started=started)
