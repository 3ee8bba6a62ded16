"""A hub in memory that has entities, too: queues, locks and batches of one operation.

hub = EntityHub(orchestrator, entities=[Counter])
hub.run("orchestrator").output
hub.states["@counter@a"]
"""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.entity_batch import run_batch
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from tests.builders.core import START, FakeEngine, Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SENDER = messages.OrchestrationInstance(instance_id="caller", execution_id="e1")


def registry_with(*entities: Any) -> Registry:
    registry = Registry()
    for entity in entities:
        registry.add_entity(entity)
    return registry


def batch(
    entity_id: str, *operations: tuple[str, str | None], state: str | None = None
) -> messages.EntityBatchRequest:
    """A request; each operation with its input as text."""
    return messages.EntityBatchRequest(
        instance_id=entity_id,
        entity_state=state,
        operations=[
            messages.OperationRequest(operation=name, input=content, request_id=f"request-{n}")
            for n, (name, content) in enumerate(operations)
        ],
    )


def run(
    request: messages.EntityBatchRequest,
    *entities: Any,
    settings: Settings | None = None,
    token: str = "token",
) -> messages.EntityBatchResult:
    return run_batch(
        request,
        registry_with(*entities),
        settings or Settings(),
        now=lambda: START,
        completion_token=token,
    )


def outcomes(result: messages.EntityBatchResult) -> list[str | None]:
    """Each operation's result, or the type and text of its failure."""
    return [outcome(each) for each in result.results]


def outcome(result: messages.OperationResult) -> str | None:
    if result.success is not None:
        return result.success.result
    assert result.failure is not None
    assert result.failure.failure_details is not None
    details = result.failure.failure_details
    return f"{details.error_type}: {details.error_message}"


class Message(NamedTuple):
    """Something in an entity's queue."""

    sender: str
    generation: int
    content: Any


class EntityHub(FakeEngine):
    def __init__(
        self,
        *orchestrators: Callable[..., Any],
        entities: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        super().__init__(*orchestrators, **options)
        for entity in entities:
            self.registry.add_entity(entity)
        self.states: dict[str, str | None] = {}
        self.holders: dict[str, str] = {}
        self.messages: list[messages.SendEntityMessageAction] = []
        self._queues: dict[str, deque[Message]] = defaultdict(deque)

    def _apply_send_entity_message(
        self, instance: Instance, action: messages.OrchestratorAction
    ) -> None:
        sent = action.send_entity_message
        assert sent is not None
        self.messages.append(sent)
        content = getattr(sent, which(sent))
        instance.history.append(messages.HistoryEvent(event_id=action.id, **{which(sent): content}))
        message = Message(instance.id, instance.generation, content)
        lock_set = getattr(content, "lock_set", None)
        target = lock_set[0] if lock_set else content.target_instance_id
        due = getattr(content, "scheduled_time", None)
        arrive = partial(self._arrive, target, message)
        if due is not None and due > self.now:
            self._timers.append((due, arrive))
        else:
            self._tasks.append(arrive)

    def _arrive(self, entity: str, message: Message) -> None:
        queue = self._queues[entity]
        if message.sender == self.holders.get(entity):
            queue.appendleft(message)
        else:
            queue.append(message)
        while queue and self.holders.get(entity) in {None, queue[0].sender}:
            self._take(entity, queue.popleft())

    def _take(self, entity: str, message: Message) -> None:
        content = message.content
        if isinstance(content, messages.EntityLockRequestedEvent):
            self._lock(entity, message)
        elif isinstance(content, messages.EntityUnlockSentEvent):
            self.holders.pop(entity, None)
        else:
            self._perform(entity, message)

    def _lock(self, entity: str, message: Message) -> None:
        self.holders[entity] = message.sender
        locks = message.content.lock_set
        position = locks.index(entity) + 1
        if position < len(locks):
            self._tasks.append(partial(self._arrive, locks[position], message))
        else:
            granted = events.entity_lock_granted(message.content.critical_section_id)
            self._deliver(message.sender, granted, message.generation)

    def _perform(self, entity: str, message: Message) -> None:
        asked = message.content
        request = batch(entity, (asked.operation, asked.input), state=self.states.get(entity))
        result = run_batch(
            request, self.registry, self.settings, now=lambda: self.now, completion_token=""
        )
        self.states[entity] = result.entity_state
        for action in result.actions:
            self._apply_operation_action(entity, action)
        if isinstance(asked, messages.EntityOperationCalledEvent):
            self._answer(message, result.results[0])

    def _apply_operation_action(self, entity: str, action: messages.OperationAction) -> None:
        if action.send_signal is not None:
            signal = messages.EntityOperationSignaledEvent(
                operation=action.send_signal.name, input=action.send_signal.input
            )
            target = action.send_signal.instance_id
            self._tasks.append(partial(self._arrive, target, Message(entity, 0, signal)))
        if action.start_new_orchestration is not None:
            start = action.start_new_orchestration
            self._start(start.instance_id, start.name, start.input)

    def _answer(self, message: Message, result: messages.OperationResult) -> None:
        request_id = message.content.request_id
        if result.success is not None:
            answer = events.entity_operation_completed(request_id, result.success.result)
        else:
            assert result.failure is not None
            assert result.failure.failure_details is not None
            answer = events.entity_operation_failed(request_id, result.failure.failure_details)
        self._deliver(message.sender, answer, message.generation)
