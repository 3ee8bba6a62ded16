"""Rerun: a new instance goes on from somewhere in the middle of one that has ended.

    source:   …  asked for 3  …  the end
    new one:  …  asked for 3, and what else was under way then, again

What comes behind that event is left out, and the orchestrator asks for it anew: a turn
without events begins the new instance. Children that are done again get ids of their own,
since those of the source belong to it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from durabletask.protocol import messages, oneofs

from . import detached, instance_ids
from .commands import StartChild
from .draft import Draft
from .resumption import resume
from .state import Instance, Origin, Progress
from .transition import AlreadyExists, InvalidArgument, NotFound, Transition, refuse
from .unanswered import unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .commands import StartFrom
    from .transition import Refusal

_TASK = "task_scheduled"
_TIMER = "timer_created"
_CHILD = "sub_orchestration_instance_created"
_DETACHED = "detached_orchestration_instance_created"

_KINDS = (_TASK, _TIMER, _CHILD)

_LATEST = datetime.max.replace(tzinfo=UTC)


def start_from(
    instance: Instance | None,
    instance_id: str,
    command: StartFrom,
    now: datetime,
    new_id: Callable[[], str],
) -> Transition:
    """Create the instance with a copy of the history, and set going what is open in it."""
    if instance is not None:
        status = instance.progress.status.name
        text = f"orchestration instance already exists: {instance_id} is {status}"
        return refuse(AlreadyExists(text))
    position = _position(command)
    refusal = _complaint(command, position)
    if refusal is not None:
        return refuse(refusal)
    kept = command.history[: position + 1]
    open_children = unanswered(kept).children
    history = [
        _renamed(event, instance_id) if event.event_id in open_children else event for event in kept
    ]
    history[-1] = _asked_again(history[-1], command, now)
    return _begin(instance_id, new_id(), history, now)


def _position(command: StartFrom) -> int:
    """Where in the history it is done again from; -1 when there is no such thing.

    An official SDK's retries have one number, and the first of them counts.
    """
    for index, event in enumerate(command.history):
        if event.event_id == command.event_id and oneofs.which(event) in _KINDS:
            return index
    return -1


def _complaint(command: StartFrom, position: int) -> Refusal | None:
    what = f"event {command.event_id} of '{command.source_id}'"
    if position < 0:
        numbered = [each for each in command.history if each.event_id == command.event_id]
        if any(oneofs.which(each) == _DETACHED for each in numbered):
            return InvalidArgument(f"{what} started a detached orchestration: not to be rerun")
        return NotFound(f"{what} is no activity, timer or sub-orchestration to rerun from")
    kind = oneofs.which(command.history[position])
    created = command.history[position].sub_orchestration_instance_created
    if created is not None and detached.is_detached(created.tags):
        return InvalidArgument(f"{what} started a detached orchestration: not to be rerun")
    if kind == _TIMER and command.overwrites_input:
        return InvalidArgument(f"{what} is a timer, which takes no input")
    if command.child_id is None:
        return None
    if kind != _CHILD:
        return InvalidArgument(f"{what} is no sub-orchestration that could be given an id")
    complaint = instance_ids.complaint(command.child_id)
    return None if complaint is None else InvalidArgument(complaint)


def _renamed(event: messages.HistoryEvent, instance_id: str) -> messages.HistoryEvent:
    """The child that is started again, under an id of its own."""
    created = event.sub_orchestration_instance_created
    if created is None:
        return event
    child_id = instance_ids.of_child(instance_id, event.event_id)
    return replace(event, sub_orchestration_instance_created=replace(created, instance_id=child_id))


def _asked_again(
    event: messages.HistoryEvent, command: StartFrom, now: datetime
) -> messages.HistoryEvent:
    """The event that is done again, with what is different this time."""
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
    """When the timer fires that is set again, for as long as it was set before."""
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
    draft = Draft(Instance(instance_id, origin, progress), now)
    for event in history:
        draft.record(_under(instance_id, execution_id, event))
    resume(draft, unanswered(history), StartChild)
    clock = max((each.timestamp for each in history if each.timestamp), default=None)
    return draft.finish(turn_at=clock)._replace(origin=origin)


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


def _under(
    instance_id: str, execution_id: str, event: messages.HistoryEvent
) -> messages.HistoryEvent:
    """The event as the new instance has it, which is called otherwise."""
    if event.execution_started is None:
        return event
    identity = messages.OrchestrationInstance(instance_id=instance_id, execution_id=execution_id)
    started = replace(event.execution_started, orchestration_instance=identity)
    return replace(event, execution_started=started)
