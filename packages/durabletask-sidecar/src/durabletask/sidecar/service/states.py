"""What callers are told about an orchestration or an entity.

Knows nothing about how it was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages

if TYPE_CHECKING:
    from durabletask.sidecar.engine.entities.state import EntityProgress
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.store.queries import InstanceSummary


def of_instance(
    instance: Instance | InstanceSummary, *, payloads: bool
) -> messages.OrchestrationState:
    """The state; input and output only as `payloads`, since they may be large."""
    origin, progress = instance.origin, instance.progress
    return messages.OrchestrationState(
        instance_id=instance.instance_id,
        name=origin.name,
        version=origin.version,
        orchestration_status=progress.status,
        scheduled_start_timestamp=origin.scheduled_start,
        created_timestamp=origin.created_at,
        last_updated_timestamp=progress.updated_at,
        input=origin.input if payloads else None,
        output=progress.output if payloads else None,
        custom_status=progress.custom_status,
        failure_details=progress.failure,
        execution_id=origin.execution_id,
        completed_timestamp=progress.completed_at,
        parent_instance_id=None if origin.parent is None else origin.parent.instance_id,
        tags=dict(origin.tags),
    )


def of_entity(
    entity_id: str, progress: EntityProgress, backlog: int, *, with_state: bool
) -> messages.EntityMetadata:
    """The metadata; the state only when it is asked for, since it may be large."""
    holder = progress.holder
    return messages.EntityMetadata(
        instance_id=entity_id,
        last_modified_time=progress.modified_at,
        backlog_queue_size=backlog,
        locked_by=None if holder is None else holder.instance_id,
        serialized_state=progress.state if with_state else None,
    )
