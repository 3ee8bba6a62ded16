"""What several events carry."""

# No `from __future__ import annotations`: `typing.get_type_hints` would look the names up in
# the module that `__module__` claims, and data converters ask it about the fields.

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OrchestrationInstance:
    """One run of an orchestration; `execution_id` changes with each of its generations."""

    instance_id: str
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ParentInstanceInfo:
    """The orchestration that waits for a sub-orchestration.

    `task_scheduled_id` is the number of the parent's event that created the child.
    """

    task_scheduled_id: int
    name: str | None = None
    version: str | None = None
    orchestration_instance: OrchestrationInstance | None = None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a distributed trace, in the notation of W3C Trace Context."""

    trace_parent: str
    span_id: str
    trace_state: str | None = None
