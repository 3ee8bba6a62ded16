"""What our SDK can do on which engine: every cell that is not simply passed, and why.

`tests/interop/test_engines.py` holds the engines to it; the texts are what a user sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import dialects, methods

from .upstream import source

if TYPE_CHECKING:
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method

OURS = "durabletask-sidecar"
GO = "durabletask-go 0.14.0"


@dataclass(frozen=True, slots=True)
class NotPassed:
    """A feature that an engine does not offer, or with a defect; `seen` is what the user sees."""

    kind: str
    seen: str
    reference: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.seen} ({self.reference})"


@dataclass(frozen=True, slots=True)
class Unplayed:
    """An engine that no test run can have, and why."""

    name: str
    dialect: Dialect
    reason: str


NOT_OFFERED, DEFECT = "not offered by the engine", "fails because of its defect"

FEATURES = (
    "activities",
    "retries",
    "sub-orchestrations",
    "timers",
    "events",
    "send_event",
    "continue-as-new",
    "suspend",
    "terminate recursive",
    "purge",
    "entities",
    "versioning",
    "patches",
    "restart",
    "rewind",
    "rerun",
    "history",
    "list ids",
    "queries",
    "stateful history",
)

PLAYED = (OURS, GO)

UNPLAYED = (
    Unplayed(
        "Dapr 1.18 (daprd)",
        dialects.DAPR,
        "[daprd](https://github.com/dapr/dapr) needs Dapr's placement and scheduler services beside "
        "it, which no package registry has. It is built on durabletask-go and has the same contract.",
    ),
    Unplayed(
        "Durable Task Scheduler",
        dialects.TASKHUB,
        "it is a service in Azure, and its emulator is available as a container image only. What "
        "`durabletask-scheduler` sends is tested with a fake scheduler in "
        "[tests/scheduler](../tests/scheduler).",
    ),
)

NOT_PASSED: dict[tuple[str, str], NotPassed] = {
    ("entities", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedByEngineError` in an orchestrator and `UnsupportedOperationError` from the "
        "client, before anything is sent: the engine crashes on an action that it does not know",
        source("runtimestate/applier.go"),
    ),
    ("versioning", GO): NotPassed(
        DEFECT,
        "it drops the version, so `ctx.version` is None, and the client logs a warning; named "
        "versions work, see patches",
        source("executor.go"),
    ),
    ("patches", OURS): NotPassed(
        NOT_OFFERED,
        '`UnsupportedByEngineError`, which says to compare `ctx.version`; under `dialect="dapr"` '
        "they work",
        "Microsoft's contract has no field for them",
    ),
    ("restart", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`, before anything is sent",
        "its contract has no RestartInstance",
    ),
    ("rewind", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`, before anything is sent",
        "its contract has no RewindInstance",
    ),
    ("rerun", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`: the method exists, but the SQLite backend does not support it",
        source("sqlite/sqlite.go"),
    ),
    ("queries", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`, before anything is sent; it names `list_instance_ids`",
        "its contract has no QueryInstances",
    ),
}

_NEEDED: dict[str, tuple[Method, ...]] = {
    "entities": (methods.COMPLETE_ENTITY_TASK,),
    "restart": (methods.RESTART_INSTANCE,),
    "rewind": (methods.REWIND_INSTANCE,),
    "rerun": (methods.RERUN_ORCHESTRATION_FROM_EVENT,),
    "queries": (methods.QUERY_INSTANCES,),
}
"""Calls without which an engine cannot have the feature."""


def unplayed(feature: str, engine: Unplayed) -> str:
    """What is known of a feature on an engine that no test run can have."""
    missing = [
        each.name for each in _NEEDED.get(feature, ()) if engine.dialect not in each.dialects
    ]
    if missing:
        return f"{NOT_OFFERED}: its contract has no {missing[0]}"
    return "not run"
