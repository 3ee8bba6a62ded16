"""What an engine does not have, and what to use instead, for people.

A table of texts; who asks is told before anything is sent. Knows nothing about gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from durabletask.protocol.methods import Method
    from durabletask.transport.dialect import Engine

OTHER_ENGINE: Final = "use an engine that can, such as `durabletask-sidecar`"

CANNOT: Final = {
    "RewindInstance": "rewind instances",
    "RestartInstance": "restart instances",
    "RerunWorkflowFromEvent": "run an instance again from an event",
    "PurgeInstances": "purge instances this way",
    "QueryInstances": "query instances",
    "ListInstanceIds": "list the ids of instances",
    "ListInstanceIDs": "list the ids of all instances",
    "StreamInstanceHistory": "tell an instance's history",
    "GetInstanceHistory": "tell an instance's history at once",
    "SignalEntity": "keep entities",
    "GetEntity": "keep entities",
    "QueryEntities": "keep entities",
    "CleanEntityStorage": "keep entities",
}
"""What an engine cannot do that lacks the call of this name."""

_INSTEAD: Final = {
    "RewindInstance": (
        "use rerun_orchestration_from_event, if the engine has that, or schedule a new instance"
    ),
    "RestartInstance": ("schedule a new instance with the same input"),
    "RerunWorkflowFromEvent": (
        "use rewind_orchestration for an instance that failed, restart_orchestration for one "
        "that has ended otherwise"
    ),
    "QueryInstances": (
        "use list_instance_ids, and get_orchestration_state for those that are of interest"
    ),
}


def method(lacking: Method, engine: Engine) -> str:
    """The engine does not have this call at all."""
    return text(
        engine,
        f"{CANNOT.get(lacking.name, 'do this')} ({lacking.name})",
        _INSTEAD.get(lacking.name, OTHER_ENGINE),
    )


def text(engine: Engine, what: str, instead: str) -> str:
    """`what` goes on after "cannot", `instead` is a request."""
    return f"{engine.name} cannot {what}. Instead, {instead}."
