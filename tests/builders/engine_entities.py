"""Entities on the engine's hub: what orchestrators send them, and a worker that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.entities.commands import CompleteBatch
from tests.builders.engine import HUB, ROOMY, EngineDriver

if TYPE_CHECKING:
    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.work.items import PreparedBatch

COUNTER = "@counter@a"


class Batch(NamedTuple):
    """A batch as a worker sees it, and what the sidecar keeps of it."""

    request: Any
    prepared: PreparedBatch

    @property
    def operations(self) -> list[Any]:
        """The signals and calls, in their order."""
        return [
            event.entity_operation_called or event.entity_operation_signaled
            for event in self.request.operation_requests
        ]

    @property
    def request_ids(self) -> list[str]:
        return [operation.request_id for operation in self.operations]


def entity(hub: EngineDriver, entity_id: str = COUNTER) -> Entity:
    found = hub.committer.entity(HUB, entity_id)
    assert found is not None, f"there is no entity '{entity_id}'"
    return found


def holder(hub: EngineDriver, entity_id: str = COUNTER) -> str | None:
    found = hub.committer.entity(HUB, entity_id)
    return None if found is None else found.holder_id


def batch(hub: EngineDriver, entity_id: str = COUNTER) -> Batch | None:
    """What a worker would be given now; None when there is nothing to run."""
    prepared = hub.items.prepare_batch(HUB, entity_id, token="t", now=hub.now, room=ROOMY)
    if prepared is None:
        return None
    return Batch(codec.decode(messages.WorkItem, prepared.work_item).entity_request_v2, prepared)


def taken(hub: EngineDriver, entity_id: str = COUNTER) -> Batch:
    found = batch(hub, entity_id)
    assert found is not None, f"'{entity_id}' has nothing to run"
    return found


def answer(
    hub: EngineDriver, given: Batch, *results: Any, state: str | None = None, **fields: Any
) -> Reply:
    """Complete a batch; without results every operation returns its request id."""
    outcomes = results or tuple(returned(request_id) for request_id in given.request_ids)
    actions = fields.pop("actions", ())
    command = CompleteBatch(given.prepared.batch, outcomes, actions, state, **fields)
    return hub.do(command, given.request.instance_id)


def run(hub: EngineDriver, entity_id: str = COUNTER, *results: Any, **fields: Any) -> Batch:
    """Take the batch that is due and answer it."""
    given = taken(hub, entity_id)
    answer(hub, given, *results, **fields)
    return given


def returned(result: str | None) -> Any:
    return messages.OperationResult(success=messages.OperationResultSuccess(result=result))


def raised(text: str) -> Any:
    details = messages.TaskFailureDetails(error_type="ValueError", error_message=text)
    return messages.OperationResult(
        failure=messages.OperationResultFailure(failure_details=details)
    )


def signal(id: int, request_id: str, to: str = COUNTER, **fields: Any) -> Any:
    event = messages.EntityOperationSignaledEvent(
        request_id=request_id, operation="add", target_instance_id=to, **fields
    )
    return _message(id, entity_operation_signaled=event)


def call(id: int, request_id: str, to: str = COUNTER, **fields: Any) -> Any:
    event = messages.EntityOperationCalledEvent(
        request_id=request_id, operation="add", target_instance_id=to, **fields
    )
    return _message(id, entity_operation_called=event)


def lock(id: int, section: str, *entities: str) -> Any:
    event = messages.EntityLockRequestedEvent(critical_section_id=section, lock_set=list(entities))
    return _message(id, entity_lock_requested=event)


def unlock(id: int, section: str, entity_id: str) -> Any:
    event = messages.EntityUnlockSentEvent(
        critical_section_id=section, target_instance_id=entity_id
    )
    return _message(id, entity_unlock_sent=event)


def _message(id: int, **message: Any) -> Any:
    return messages.OrchestratorAction(
        id=id, send_entity_message=messages.SendEntityMessageAction(**message)
    )
