"""What the tables claim: every cell that is not simply passed, and why.

The tests in `tests/interop` hold the engines to it; the texts are those that a user sees.

Knows nothing about tests or their results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import dialects, methods

if TYPE_CHECKING:
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method

OURS = "durabletask-sidecar"
GO = "durabletask-go 0.14.0"

_UPSTREAM = "https://github.com/dapr/durabletask-go/blob/v0.14.0"
_DAPR_ISSUE = "https://github.com/dapr/dapr/issues"


@dataclass(frozen=True, slots=True)
class NotPassed:
    """A feature that an engine has not, or has not right; `seen` is what the user gets."""

    kind: str
    seen: str
    reference: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.seen} ({self.reference})"


@dataclass(frozen=True, slots=True)
class Shield:
    """Something that durabletask-go does, and that our SDK makes good, or what is left of it."""

    engine_does: str
    user_sees: str
    reference: str


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
        "daprd needs Dapr's placement and scheduler services beside it, which no package registry "
        "serves. It is built on durabletask-go, and its contract is the same.",
    ),
    Unplayed(
        "Durable Task Scheduler",
        dialects.TASKHUB,
        "it is a service in Azure, whose emulator comes as a container image only. What the "
        "client and the worker send to it is tested against a double in `tests/scheduler`.",
    ),
)

NOT_PASSED: dict[tuple[str, str], NotPassed] = {
    ("entities", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedByEngineError` in an orchestrator and `UnsupportedOperationError` from the "
        "client, before anything is sent: the engine dies of an action that it does not know",
        f"[applier.go]({_UPSTREAM}/backend/runtimestate/applier.go)",
    ),
    ("versioning", GO): NotPassed(
        NOT_OFFERED,
        "the version is dropped, `ctx.version` is None, and the client warns that the engine does "
        "not keep it; versions by name work, see patches",
        f"[executor.go]({_UPSTREAM}/backend/executor.go)",
    ),
    ("patches", OURS): NotPassed(
        NOT_OFFERED,
        "`UnsupportedByEngineError` says to compare `ctx.version`, which it records; under "
        '`dialect="dapr"` it has both',
        "[patches](../packages/durabletask-worker/README.md)",
    ),
    ("rewind", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`, before anything is sent",
        "its contract has no RewindInstance",
    ),
    ("rerun", GO): NotPassed(
        DEFECT,
        "`UnsupportedOperationError`: the call is there, but its SQLite backend answers "
        "UNIMPLEMENTED",
        f"[sqlite.go]({_UPSTREAM}/backend/sqlite/sqlite.go)",
    ),
    ("queries", GO): NotPassed(
        NOT_OFFERED,
        "`UnsupportedOperationError`, before anything is sent, which names `list_instance_ids`",
        "its contract has no QueryInstances",
    ),
}

NEEDED: dict[str, tuple[Method, ...]] = {
    "entities": (methods.COMPLETE_ENTITY_TASK,),
    "rewind": (methods.REWIND_INSTANCE,),
    "rerun": (methods.RERUN_ORCHESTRATION_FROM_EVENT,),
    "queries": (methods.QUERY_INSTANCES,),
}
"""Calls without which an engine cannot have the feature."""


SHIELDS: dict[str, Shield] = {
    "a_sent_event_is_an_event_to_its_target": Shield(
        "delivers the sender's record, EventSent, in place of an event",
        "the target gets the event, also from itself",
        f"[dapr#8243]({_DAPR_ISSUE}/8243)",
    ),
    "every_attempt_of_a_retried_call_has_its_answer": Shield(
        "takes one answer for each id, so that a second attempt with the same id is lost",
        "each attempt is numbered afresh",
        f"[dedup]({_UPSTREAM}/backend/runtimestate/dedup/set.go)",
    ),
    "a_start_does_not_wait_for_a_worker": Shield(
        "answers a start when a worker has taken the first turn",
        "the start returns at once, and what it started waits for a worker",
        f"[executor.go]({_UPSTREAM}/backend/executor.go)",
    ),
    "a_terminated_child_tells_its_parent_why": Shield(
        "tells the parent of a terminated child without any details",
        "the parent's `TaskFailedError` says that the child ended without details, and how that "
        "comes about",
        f"[applier.go]({_UPSTREAM}/backend/runtimestate/applier.go)",
    ),
    "two_suspends_need_one_resume": Shield(
        "sends every suspend and resume to the worker, and turns meanwhile",
        "suspended is suspended, however often; one resume goes on",
        "",
    ),
    "a_resume_of_what_runs_changes_nothing": Shield(
        "sends a resume to an instance that is not suspended",
        "nothing happens",
        "",
    ),
    "what_no_worker_has_the_version_for_waits": Shield(
        "sends STALLED to nobody, and takes the events of that turn for read",
        "?",
        f"[applier.go]({_UPSTREAM}/backend/runtimestate/applier.go)",
    ),
}
"""By the name of the test in `tests/interop/test_shields.py`, without `test_`."""


def test_of(feature: str, engine: str) -> str:
    """The test that fills the cell, as pytest calls it."""
    if feature == "stateful history":
        return f"test_late_turns_weigh_no_more_than_early_ones[{engine}]"
    return f"test_a_feature_works[{engine}-{feature}]"


def unplayed(feature: str, engine: Unplayed) -> str:
    """What is known of a feature on an engine that no test run can have."""
    missing = [each.name for each in NEEDED.get(feature, ()) if engine.dialect not in each.dialects]
    if missing:
        return f"{NOT_OFFERED}: its contract has no {missing[0]}"
    return "not run"
