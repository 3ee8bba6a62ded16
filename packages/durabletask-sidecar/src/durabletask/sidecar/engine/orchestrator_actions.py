"""What each action of an orchestrator does, apart from ending it.

An action that repeats what is outstanding already is ignored: a worker that lost its
history may ask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import events, messages, oneofs

from . import detached, entity_messages, instance_ids, outstanding
from .commands import DeliverEvent, StartChild, StartDetached, StartInstance, Terminate
from .inbox import RowKind
from .state import TERMINAL_STATUSES, ParentLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from .draft import Draft
    from .state import Instance

_COMPLETE = "complete_orchestration"
_VERSION_NOT_AVAILABLE = "orchestration_version_not_available"


def unsupported(
    actions: Sequence[messages.OrchestratorAction],
) -> messages.TaskFailureDetails | None:
    """Why this engine cannot carry out the actions; None when it can.

    Looked at before anything is done, so that such an orchestration fails once, instead
    of having the same turn for ever.
    """
    for action in actions:
        kind = oneofs.which(action)
        complaint = _complaint(kind, action)
        if complaint is not None:
            return messages.TaskFailureDetails(
                error_type="UnsupportedAction",
                error_message=f"durabletask-sidecar does not support {complaint} "
                f"(action id {action.id}) that the orchestrator asked for.",
            )
    return None


def _complaint(kind: str, action: messages.OrchestratorAction) -> str | None:
    if kind == _COMPLETE:
        return _bad_ending(action)
    if action.send_entity_message is not None:
        return entity_messages.complaint(action.send_entity_message)
    is_known = kind in _ACTIONS or kind == _VERSION_NOT_AVAILABLE
    return None if is_known else f"the action '{kind or 'of an unknown kind'}'"


def _bad_ending(action: messages.OrchestratorAction) -> str | None:
    completion = action.complete_orchestration
    assert completion is not None
    status = completion.orchestration_status
    # COMPLETED, CONTINUED_AS_NEW, FAILED, CANCELED, TERMINATED
    return None if 1 <= status <= 5 else f"ending with the status {int(status)}"


def lack_version(actions: Sequence[messages.OrchestratorAction]) -> bool:
    """Whether the worker says that it has not the code that the orchestration began with."""
    return any(oneofs.which(action) == _VERSION_NOT_AVAILABLE for action in actions)


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
            draft.router = routing(action)
            _ACTIONS[kind](draft, action.id, getattr(action, kind))
    draft.router = None
    return ending


def routing(action: messages.OrchestratorAction) -> messages.TaskRouter | None:
    """The action's router, if it names an app: most of Dapr's workers send an empty one."""
    router = action.router
    if router is None or not (router.source_app_id or router.target_app_id):
        return None
    return router


def _schedule_task(draft: Draft, task_id: int, action: messages.ScheduleTaskAction) -> None:
    if draft.has_task(task_id):
        return
    event = events.task_scheduled(
        task_id,
        action.name,
        action.input,
        version=action.version,
        tags=action.tags,
        parent_trace_context=action.parent_trace_context,
        task_execution_id=action.task_execution_id,
        at=draft.now,
    )
    assert event.task_scheduled is not None
    event.task_scheduled.history_propagation_scope = action.history_propagation_scope
    draft.record(event)
    hand_out_task(draft, task_id, action)


def hand_out_task(
    draft: Draft,
    task_id: int,
    task: messages.ScheduleTaskAction | messages.TaskScheduledEvent,
) -> None:
    """Make the activity wait for a worker."""
    instance = draft.instance
    request = messages.ActivityRequest(
        name=task.name,
        version=task.version,
        input=task.input,
        orchestration_instance=messages.OrchestrationInstance(
            instance_id=instance.instance_id, execution_id=instance.origin.execution_id
        ),
        task_id=task_id,
        parent_trace_context=task.parent_trace_context,
        tags=task.tags,
        task_execution_id=task.task_execution_id,
    )
    draft.add_task(task_id, task.name, task.version, request)


def _create_timer(draft: Draft, timer_id: int, action: messages.CreateTimerAction) -> None:
    if draft.has_timer(timer_id):
        return
    fire_at = action.fire_at or draft.now
    event = events.timer_created(timer_id, fire_at, name=action.name, at=draft.now)
    origin = oneofs.which(action)
    if origin:
        setattr(event.timer_created, origin, getattr(action, origin))
    draft.record(event)
    set_timer(draft, timer_id, fire_at)


def set_timer(draft: Draft, timer_id: int, fire_at: datetime) -> None:
    """Let the timer fire when its time comes."""
    # Workers chain long timers by the time in this event, so it is passed on exactly.
    fired = events.timer_fired(timer_id, fire_at, at=max(fire_at, draft.now))
    name = outstanding.timer(timer_id)
    draft.enqueue(RowKind.RESULT, fired, visible_at=fire_at, answers=name)


def _create_sub_orchestration(
    draft: Draft, task_id: int, action: messages.CreateSubOrchestrationAction
) -> None:
    if draft.has_child(task_id):
        return
    parent = draft.instance
    child_id = action.instance_id or instance_ids.of_child(parent.instance_id, task_id)
    event = events.sub_orchestration_instance_created(
        task_id,
        action.name,
        action.input,
        instance_id=child_id,
        version=action.version,
        tags=action.tags,
        parent_trace_context=action.parent_trace_context,
        at=draft.now,
    )
    created = event.sub_orchestration_instance_created
    assert created is not None
    created.history_propagation_scope = action.history_propagation_scope
    created.retry_parent_instance_info = action.retry_parent_instance_info
    draft.record(event)
    start = child_start(parent, action, draft.router)
    if detached.is_detached(action.tags):
        draft.tell(child_id, StartDetached(start))
        return
    complaint = child_complaint(child_id, action.name)
    if complaint is not None:
        fail_child(draft, task_id, complaint)
        return
    draft.add_child(task_id, child_id)
    draft.tell(child_id, StartChild(start, link_to(parent, task_id)))


def child_start(
    parent: Instance,
    call: messages.CreateSubOrchestrationAction | messages.SubOrchestrationInstanceCreatedEvent,
    router: messages.TaskRouter | None = None,
) -> StartInstance:
    """What the child begins with."""
    return StartInstance(
        name=call.name,
        input=call.input,
        version=call.version,
        tags={**parent.origin.tags, **call.tags},
        parent_trace_context=call.parent_trace_context,
        router=router,
    )


def link_to(parent: Instance, task_id: int) -> ParentLink:
    """How the child finds the call that waits for it."""
    origin = parent.origin
    return ParentLink(parent.instance_id, origin.execution_id, task_id, origin.name, origin.version)


def child_complaint(child_id: str, name: str) -> str | None:
    """Why there can be no such child; None when there can."""
    if not name:
        return "the name of the orchestrator is empty"
    return instance_ids.complaint(child_id)


def fail_child(draft: Draft, task_id: int, complaint: str) -> None:
    """Answer the call of a child that cannot be."""
    failure = messages.TaskFailureDetails(
        error_type="InvalidArgument", error_message=f"Sub-orchestration not started: {complaint}."
    )
    failed = events.sub_orchestration_instance_failed(task_id, failure, at=draft.now)
    draft.enqueue(RowKind.RESULT, failed, answers=outstanding.child(task_id))


def _create_detached_orchestration(
    draft: Draft, action_id: int, action: messages.CreateDetachedOrchestrationAction
) -> None:
    instance_id = action.instance_id or instance_ids.of_child(draft.instance.instance_id, action_id)
    draft.record(
        events.detached_orchestration_instance_created(action_id, instance_id, at=draft.now)
    )
    start = StartInstance(
        name=action.name,
        input=action.input,
        version=action.version,
        execution_id=action.execution_id,
        scheduled_start=action.scheduled_start_timestamp,
        tags=action.tags,
        parent_trace_context=action.parent_trace_context,
        replaceable=frozenset(TERMINAL_STATUSES),
        router=draft.router,
    )
    draft.tell(instance_id, StartDetached(start))


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
    "create_detached_orchestration": _create_detached_orchestration,
    "send_event": _send_event,
    "terminate_orchestration": _terminate_orchestration,
    "send_entity_message": entity_messages.send,
}
