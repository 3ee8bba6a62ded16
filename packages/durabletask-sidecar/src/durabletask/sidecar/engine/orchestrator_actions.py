"""What each action of an orchestrator does, apart from ending it.

An action that repeats what is outstanding already is ignored: a worker that lost its
history may ask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import events, messages, oneofs

from . import instance_ids
from .commands import DeliverEvent, StartChild, StartInstance, Terminate
from .inbox import RowKind
from .state import ParentLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .draft import Draft

_COMPLETE = "complete_orchestration"


def unsupported(
    actions: Sequence[messages.OrchestratorAction],
) -> messages.TaskFailureDetails | None:
    """Why this engine cannot carry out the actions; None when it can.

    Looked at before anything is done, so that such an orchestration fails once, instead
    of having the same turn for ever.
    """
    for action in actions:
        kind = oneofs.which(action)
        if kind == _COMPLETE:
            complaint = _bad_ending(action)
        elif kind in _ACTIONS:
            complaint = None
        else:
            complaint = f"the action '{kind or 'of an unknown kind'}'"
        if complaint is not None:
            return messages.TaskFailureDetails(
                error_type="UnsupportedAction",
                error_message=f"durabletask-sidecar does not support {complaint} "
                f"(action id {action.id}) that the orchestrator asked for.",
            )
    return None


def _bad_ending(action: messages.OrchestratorAction) -> str | None:
    completion = action.complete_orchestration
    assert completion is not None
    status = completion.orchestration_status
    # COMPLETED, CONTINUED_AS_NEW, FAILED, CANCELED, TERMINATED
    return None if 1 <= status <= 5 else f"ending with the status {int(status)}"


def carry_out(
    draft: Draft, actions: Sequence[messages.OrchestratorAction]
) -> messages.OrchestratorAction | None:
    """Do what the actions say, in order; returns the one that ends the orchestration.

    Those that come along with it are done all the same: events and children that nobody
    waits for must go out. The first ending counts.
    """
    ending = None
    for action in actions:
        kind = oneofs.which(action)
        if kind == _COMPLETE:
            ending = ending or action
        else:
            _ACTIONS[kind](draft, action.id, getattr(action, kind))
    return ending


def _schedule_task(draft: Draft, task_id: int, action: messages.ScheduleTaskAction) -> None:
    if draft.has_task(task_id):
        return
    instance = draft.instance
    draft.record(
        events.task_scheduled(
            task_id,
            action.name,
            action.input,
            version=action.version,
            tags=action.tags,
            parent_trace_context=action.parent_trace_context,
            at=draft.now,
        )
    )
    request = messages.ActivityRequest(
        name=action.name,
        version=action.version,
        input=action.input,
        orchestration_instance=messages.OrchestrationInstance(
            instance_id=instance.instance_id, execution_id=instance.origin.execution_id
        ),
        task_id=task_id,
        parent_trace_context=action.parent_trace_context,
        tags=action.tags,
    )
    draft.add_task(task_id, action.name, action.version, request)


def _create_timer(draft: Draft, timer_id: int, action: messages.CreateTimerAction) -> None:
    if draft.has_timer(timer_id):
        return
    fire_at = action.fire_at or draft.now
    draft.record(events.timer_created(timer_id, fire_at, at=draft.now))
    # Workers chain long timers by the time in this event, so it is passed on exactly.
    fired = events.timer_fired(timer_id, fire_at, at=max(fire_at, draft.now))
    draft.enqueue(RowKind.RESULT, fired, visible_at=fire_at, timer_id=timer_id)


def _create_sub_orchestration(
    draft: Draft, task_id: int, action: messages.CreateSubOrchestrationAction
) -> None:
    if draft.has_child(task_id):
        return
    parent = draft.instance
    child_id = action.instance_id or f"{parent.instance_id}:{task_id:04x}"
    draft.record(
        events.sub_orchestration_instance_created(
            task_id,
            action.name,
            action.input,
            instance_id=child_id,
            version=action.version,
            tags=action.tags,
            parent_trace_context=action.parent_trace_context,
            at=draft.now,
        )
    )
    complaint = instance_ids.complaint(child_id)
    if complaint is not None or not action.name:
        _fail_call(draft, task_id, complaint or "the name of the orchestrator is empty")
        return
    draft.add_child(task_id, child_id)
    start = StartInstance(
        name=action.name,
        input=action.input,
        version=action.version,
        tags={**parent.origin.tags, **action.tags},
        parent_trace_context=action.parent_trace_context,
    )
    link = ParentLink(
        parent.instance_id,
        parent.origin.execution_id,
        task_id,
        parent.origin.name,
        parent.origin.version,
    )
    draft.tell(child_id, StartChild(start, link))


def _fail_call(draft: Draft, task_id: int, complaint: str) -> None:
    failure = messages.TaskFailureDetails(
        error_type="InvalidArgument", error_message=f"Sub-orchestration not started: {complaint}."
    )
    failed = events.sub_orchestration_instance_failed(task_id, failure, at=draft.now)
    draft.enqueue(RowKind.RESULT, failed)


def _send_event(draft: Draft, event_id: int, action: messages.SendEventAction) -> None:
    target = action.instance.instance_id if action.instance is not None else ""
    draft.record(events.event_sent(event_id, target, action.name, action.data, at=draft.now))
    draft.tell(target, DeliverEvent(action.name, action.data))


def _terminate_orchestration(
    draft: Draft, _action_id: int, action: messages.TerminateOrchestrationAction
) -> None:
    command = Terminate(action.reason, action.recurse, must_exist=False)
    draft.tell(action.instance_id, command)


_ACTIONS: dict[str, Callable[[Draft, int, Any], None]] = {
    "schedule_task": _schedule_task,
    "create_timer": _create_timer,
    "create_sub_orchestration": _create_sub_orchestration,
    "send_event": _send_event,
    "terminate_orchestration": _terminate_orchestration,
}
