"""What a history says was requested and answered: computed independently of the engine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages, oneofs

if TYPE_CHECKING:
    from durabletask.sidecar.engine.state import Instance

    Request = tuple[str, int | str]

_ANSWERS = {
    "task_completed": "task_scheduled",
    "task_failed": "task_scheduled",
    "timer_fired": "timer_created",
    "sub_orchestration_instance_completed": "sub_orchestration_instance_created",
    "sub_orchestration_instance_failed": "sub_orchestration_instance_created",
    "entity_operation_completed": "entity_operation_called",
    "entity_operation_failed": "entity_operation_called",
}


def asked(event: Any) -> Request | None:
    """The request that the event is."""
    kind = oneofs.which(event)
    if kind not in _ANSWERS.values():
        return None
    is_call = kind == "entity_operation_called"
    return kind, event.entity_operation_called.request_id if is_call else event.event_id


def answered(event: Any) -> Request | None:
    """The request that the event answers."""
    kind = oneofs.which(event)
    if kind not in _ANSWERS:
        return None
    body = getattr(event, kind)
    if kind == "timer_fired":
        return _ANSWERS[kind], body.timer_id
    is_call = kind.startswith("entity")
    return _ANSWERS[kind], body.request_id if is_call else body.task_scheduled_id


def unanswered(history: list[Any]) -> Counter[Request]:
    """What was asked for and not answered; no answer may come before its request."""
    waiting: Counter[Request] = Counter()
    for event in history:
        question, request = asked(event), answered(event)
        if question is not None:
            waiting[question] += 1
        if request is not None:
            assert waiting[request] > 0, f"nobody asked for {request}"
            waiting[request] -= 1
    return +waiting


def outstanding(instance: Instance) -> Counter[Request]:
    """What will be answered, by a row that stands for it or by an answer in the inbox."""
    waiting: Counter[Request] = Counter(
        ("task_scheduled", row.task_id) for row in instance.tasks.values()
    )
    waiting.update(("sub_orchestration_instance_created", id) for id in instance.children)
    waiting.update(("entity_operation_called", id) for id in instance.calls)
    inbox = (codec.decode(messages.HistoryEvent, row.event) for row in instance.inbox)
    waiting.update(request for event in inbox if (request := answered(event)) is not None)
    return waiting


def rewound(history: list[Any], execution_id: str) -> list[Any]:
    """The history as a worker rewinds it: what failed is to be tried again.

    A failed activity goes with its request; a failed child keeps its request, the last one.
    """
    kept: list[Any] = []
    for event in history:
        kind = oneofs.which(event)
        if kind == "task_failed":
            kept = _without_open(kept, answered(event))
        elif kind == "sub_orchestration_instance_created":
            kept = [*_without_open(kept, asked(event)), event]
        elif kind not in {
            "sub_orchestration_instance_failed",
            "execution_completed",
            "execution_rewound",
        }:
            kept.append(event)
        if event.execution_started is not None:
            event.execution_started.orchestration_instance.execution_id = execution_id
    return kept


def _without_open(history: list[Any], request: Request | None) -> list[Any]:
    """The history without the last of these requests, if it has no answer."""
    open_at = None
    for number, event in enumerate(history):
        if asked(event) == request:
            open_at = number
        elif answered(event) == request:
            open_at = None
    return [event for number, event in enumerate(history) if number != open_at]


def rewinding(history: list[Any]) -> Any:
    """The action with which a worker answers the turn that rewinds."""
    action = messages.RewindOrchestrationAction(new_history=history)
    return messages.OrchestratorAction(id=-1, rewind_orchestration=action)
