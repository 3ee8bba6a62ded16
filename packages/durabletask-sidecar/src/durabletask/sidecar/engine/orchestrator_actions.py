"""What each action of an orchestrator does, apart from those that end it.

An action that asks for what is pending already is ignored: a worker that has lost its
history may repeat it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import codec, events, messages, oneofs

from . import entity_messages, ids, pending, usual_events
from .commands import DeliverEvent, StartChild, StartDetached, StartInstance, Terminate
from .inbox import RowKind
from .state import TERMINAL_STATUSES, ParentLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from .commands import RewindChild
    from .pending import PendingWork
    from .state import Instance
    from .transition_builder import TransitionBuilder

_SEND_ENTITY_MESSAGE = "send_entity_message"
_VERSION_NOT_AVAILABLE = "orchestration_version_not_available"


class Outcome(NamedTuple):
    """The result of carrying out the actions of one turn, besides the changed builder."""

    ending: messages.OrchestratorAction | None = None
    """The action that ends the execution; the first of them counts."""
    lacks_version: bool = False
    """Whether the worker does not have the code that the orchestration began with."""
    failure: messages.TaskFailureDetails | None = None
    """Why this engine cannot carry the actions out."""


def carry_out(
    builder: TransitionBuilder, actions: Sequence[messages.OrchestratorAction]
) -> Outcome:
    """Do what the actions say, in order.

    All of them are carried out, also those beside the ending: events and fire-and-forget
    orchestrations must be sent. When the outcome is a failure or a lacking version, the
    builder must not be used any more, since none of the actions counts.
    """
    ending = None
    lacks_version = False
    for action in actions:
        kind = oneofs.which(action)
        perform = _ACTIONS.get(kind)
        if perform is None or kind == _SEND_ENTITY_MESSAGE:
            error = _unsupported(kind, action)
            if error is not None:
                return Outcome(failure=_unsupported_action(error, action.id))
        if perform is not None:
            builder.router = router_of(action)
            perform(builder, action.id, getattr(action, kind))
        elif kind == _VERSION_NOT_AVAILABLE:
            lacks_version = True
        elif ending is None:
            ending = action
    builder.router = None
    return Outcome(ending, lacks_version)


def _unsupported(kind: str, action: messages.OrchestratorAction) -> str | None:
    """What of the action is not supported; None when all of it is."""
    completion = action.complete_orchestration
    if completion is not None:
        status = completion.orchestration_status
        # COMPLETED, CONTINUED_AS_NEW, FAILED, CANCELED, TERMINATED
        return None if 1 <= status <= 5 else f"ending with the status {int(status)}"
    if action.send_entity_message is not None:
        return entity_messages.unsupported(action.send_entity_message)
    if kind == _VERSION_NOT_AVAILABLE:
        return None
    return f"the action '{kind or 'of an unknown kind'}'"


def _unsupported_action(what: str, action_id: int) -> messages.TaskFailureDetails:
    # The orchestration fails once, instead of getting the same turn for ever.
    return messages.TaskFailureDetails(
        error_type="UnsupportedAction",
        error_message=f"durabletask-sidecar does not support {what} "
        f"(action id {action_id}) that the orchestrator asked for.",
    )


def router_of(action: messages.OrchestratorAction) -> messages.TaskRouter | None:
    """The action's router, if it names an app: most of Dapr's workers send an empty one."""
    router = action.router
    if router is None or not (router.source_app_id or router.target_app_id):
        return None
    return router


def reissue(
    builder: TransitionBuilder,
    work: PendingWork,
    child_command: Callable[[StartInstance, ParentLink], StartChild | RewindChild],
) -> None:
    """Ask again for all that is pending in a history, and make a turn due.

    For histories that go on in a new execution: the results for the old one were dropped.
    `child_command` makes the command for a child, which may exist already.
    """
    for task_id, task in work.tasks.items():
        if not builder.has_task(task_id):
            _queue_task(builder, task_id, task)
    for timer_id, fire_at in work.timers.items():
        _queue_timer(builder, timer_id, fire_at)
    for call in work.calls.values():
        entity_messages.call_entity(builder, call)
    for section, request in work.locks.items():
        entity_messages.request_lock(builder, section, request.lock_set)
    for task_id, created in work.children.items():
        _call_child(builder, task_id, created, created.instance_id, child_command)
    builder.wake_up()


def _schedule_task(
    builder: TransitionBuilder, task_id: int, action: messages.ScheduleTaskAction
) -> None:
    if builder.has_task(task_id):
        return
    if _is_usual(builder, action):
        _schedule_usual_task(builder, task_id, action)
        return
    event = events.task_scheduled(
        task_id,
        action.name,
        action.input,
        version=action.version,
        tags=action.tags,
        parent_trace_context=action.parent_trace_context,
        task_execution_id=action.task_execution_id,
        at=builder.now,
    )
    assert event.task_scheduled is not None
    event.task_scheduled.history_propagation_scope = action.history_propagation_scope
    builder.record(event)
    _queue_task(builder, task_id, action)


def _is_usual(builder: TransitionBuilder, action: messages.ScheduleTaskAction) -> bool:
    """Whether the activity has nothing besides its name, version, input and call id."""
    return (
        not action.tags
        and action.parent_trace_context is None
        and action.history_propagation_scope is None
        and builder.router is None
    )


def _schedule_usual_task(
    builder: TransitionBuilder, task_id: int, action: messages.ScheduleTaskAction
) -> None:
    """The same as for any other, where the event and the request are encoded together."""
    instance, call_id = builder.instance, action.task_execution_id
    call = usual_events.call(action.name, action.version, action.input)
    builder.record_encoded((usual_events.task_scheduled(task_id, call, call_id, builder.now),))
    request = usual_events.activity_request(
        task_id, call, call_id, instance.instance_id, instance.origin.execution_id
    )
    builder.add_task(task_id, action.name, action.version, request, call_id)


def _queue_task(
    builder: TransitionBuilder,
    task_id: int,
    task: messages.ScheduleTaskAction | messages.TaskScheduledEvent,
) -> None:
    """Make the activity ready for a worker."""
    instance = builder.instance
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
    raw = codec.encode(request)
    builder.add_task(task_id, task.name, task.version, raw, task.task_execution_id)


def _create_timer(
    builder: TransitionBuilder, timer_id: int, action: messages.CreateTimerAction
) -> None:
    if builder.has_timer(timer_id):
        return
    fire_at = action.fire_at or builder.now
    event = events.timer_created(timer_id, fire_at, name=action.name, at=builder.now)
    origin = oneofs.which(action)
    if origin:
        setattr(event.timer_created, origin, getattr(action, origin))
    builder.record(event)
    _queue_timer(builder, timer_id, fire_at)


def _queue_timer(builder: TransitionBuilder, timer_id: int, fire_at: datetime) -> None:
    """Put the event into the inbox that is visible when the timer fires."""
    # Workers split long timers, and compute the next part from the time in this event.
    fired = events.timer_fired(timer_id, fire_at, at=max(fire_at, builder.now))
    name = pending.timer(timer_id)
    builder.enqueue(RowKind.RESULT, fired, visible_at=fire_at, answers=name)


def _create_sub_orchestration(
    builder: TransitionBuilder, task_id: int, action: messages.CreateSubOrchestrationAction
) -> None:
    if builder.has_child(task_id):
        return
    parent = builder.instance
    child_id = action.instance_id or ids.child_id(parent.instance_id, task_id)
    event = events.sub_orchestration_instance_created(
        task_id,
        action.name,
        action.input,
        instance_id=child_id,
        version=action.version,
        tags=action.tags,
        parent_trace_context=action.parent_trace_context,
        at=builder.now,
    )
    created = event.sub_orchestration_instance_created
    assert created is not None
    created.history_propagation_scope = action.history_propagation_scope
    created.retry_parent_instance_info = action.retry_parent_instance_info
    builder.record(event)
    if pending.is_fire_and_forget(action.tags):
        builder.send(child_id, StartDetached(_child_start(parent, action, builder.router)))
        return
    _call_child(builder, task_id, action, child_id, StartChild)


def _call_child(
    builder: TransitionBuilder,
    task_id: int,
    call: messages.CreateSubOrchestrationAction | messages.SubOrchestrationInstanceCreatedEvent,
    child_id: str,
    child_command: Callable[[StartInstance, ParentLink], StartChild | RewindChild],
) -> None:
    """Wait for the child, and send it the command."""
    error = "the name of the orchestrator is empty" if not call.name else None
    error = error or ids.instance_id_error(child_id)
    if error is not None:
        _fail_child(builder, task_id, error)
        return
    builder.add_child(task_id, child_id)
    start = _child_start(builder.instance, call, builder.router)
    builder.send(child_id, child_command(start, _parent_link(builder.instance, task_id)))


def _child_start(
    parent: Instance,
    call: messages.CreateSubOrchestrationAction | messages.SubOrchestrationInstanceCreatedEvent,
    router: messages.TaskRouter | None = None,
) -> StartInstance:
    """The command that starts the child."""
    return StartInstance(
        name=call.name,
        input=call.input,
        version=call.version,
        tags={**parent.origin.tags, **call.tags},
        parent_trace_context=call.parent_trace_context,
        router=router,
    )


def _parent_link(parent: Instance, task_id: int) -> ParentLink:
    """How the child finds the call that waits for it."""
    origin = parent.origin
    return ParentLink(parent.instance_id, origin.execution_id, task_id, origin.name, origin.version)


def _fail_child(builder: TransitionBuilder, task_id: int, error: str) -> None:
    """Answer the call of a child that cannot be started."""
    failure = messages.TaskFailureDetails(
        error_type="InvalidArgument", error_message=f"Sub-orchestration not started: {error}."
    )
    failed = events.sub_orchestration_instance_failed(task_id, failure, at=builder.now)
    builder.enqueue(RowKind.RESULT, failed, answers=pending.child(task_id))


def _create_detached_orchestration(
    builder: TransitionBuilder, action_id: int, action: messages.CreateDetachedOrchestrationAction
) -> None:
    instance_id = action.instance_id or ids.child_id(builder.instance.instance_id, action_id)
    builder.record(
        events.detached_orchestration_instance_created(action_id, instance_id, at=builder.now)
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
        router=builder.router,
    )
    builder.send(instance_id, StartDetached(start))


def _send_event(
    builder: TransitionBuilder, event_id: int, action: messages.SendEventAction
) -> None:
    target = action.instance.instance_id if action.instance is not None else ""
    builder.record(events.event_sent(event_id, target, action.name, action.data, at=builder.now))
    builder.send(target, DeliverEvent(action.name, action.data))


def _terminate_orchestration(
    builder: TransitionBuilder, _action_id: int, action: messages.TerminateOrchestrationAction
) -> None:
    command = Terminate(action.reason, action.recurse, must_exist=False)
    builder.send(action.instance_id, command)


_ACTIONS: dict[str, Callable[[TransitionBuilder, int, Any], None]] = {
    "schedule_task": _schedule_task,
    "create_timer": _create_timer,
    "create_sub_orchestration": _create_sub_orchestration,
    "create_detached_orchestration": _create_detached_orchestration,
    "send_event": _send_event,
    "terminate_orchestration": _terminate_orchestration,
    "send_entity_message": entity_messages.send,
}
