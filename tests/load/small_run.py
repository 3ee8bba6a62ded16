"""Histories and expectations of a small run without violations, for tests to change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask import history
from tests.load.effects import Effect
from tests.load.expectations import Answer, Ending, Event, Expectations, Move, Start
from tests.load.observations import Entity, Instance, Observations

if TYPE_CHECKING:
    from durabletask.history import HistoryEvent

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
COMPLETED = 1


def turn(at: datetime = NOON) -> HistoryEvent:
    return history.OrchestratorStartedEvent(-1, at)


def started() -> HistoryEvent:
    return history.ExecutionStartedEvent(-1, NOON, "order")


def ended(output: Any = None) -> HistoryEvent:
    return history.ExecutionCompletedEvent(99, NOON, COMPLETED, json.dumps(output))


def scheduled(id: int) -> HistoryEvent:
    return history.TaskScheduledEvent(id, NOON, "work")


def completed(id: int, result: str = "e1") -> HistoryEvent:
    return history.TaskCompletedEvent(-1, NOON, id, json.dumps(result))


def failed(id: int) -> HistoryEvent:
    return history.TaskFailedEvent(-1, NOON, id)


def timer(id: int, due: datetime = NOON) -> HistoryEvent:
    return history.TimerCreatedEvent(id, NOON, due)


def fired(id: int, due: datetime = NOON) -> HistoryEvent:
    return history.TimerFiredEvent(-1, NOON, due, id)


def child(id: int, instance_id: str = "child") -> HistoryEvent:
    return history.SubOrchestrationInstanceCreatedEvent(id, NOON, instance_id, "leaf")


def child_completed(id: int, result: Any = None) -> HistoryEvent:
    return history.SubOrchestrationInstanceCompletedEvent(-1, NOON, id, json.dumps(result))


def child_failed(id: int) -> HistoryEvent:
    return history.SubOrchestrationInstanceFailedEvent(-1, NOON, id)


def called(request: str) -> HistoryEvent:
    return history.EntityOperationCalledEvent(7, NOON, request, "move")


def returned(request: str) -> HistoryEvent:
    return history.EntityOperationCompletedEvent(-1, NOON, request)


def lock(section: str) -> HistoryEvent:
    return history.EntityLockRequestedEvent(8, NOON, section, ["@account@a"], 0)


def granted(section: str) -> HistoryEvent:
    return history.EntityLockGrantedEvent(-1, NOON, section)


def raised(id: str | None) -> HistoryEvent:
    return history.EventRaisedEvent(-1, NOON, "note", json.dumps(id))


def instance(
    *events: HistoryEvent, output: Any = None, parent: str | None = None, status: str = "COMPLETED"
) -> Instance:
    """An instance with these events between its beginning and its end."""
    output = {"effects": []} if output is None else output
    end = [ended(output)] if status == "COMPLETED" else []
    told = json.dumps(output) if status == "COMPLETED" else None
    return Instance(status, told, [turn(), started(), *events, *end], parent)


LEAF = {"effects": ["e2"]}


def expectations() -> Expectations:
    """What a client was told in a run of five orchestrations."""
    told = Answer.TOLD
    return Expectations(
        starts={
            "order": Start("order", 1, told),
            "parent": Start("family", 0, told),
            "mailbox": Start("mailbox", 0, told),
            "transfer": Start("transfer", 0, told),
            "maybe": Start("order", 0, Answer.UNKNOWN),
        },
        events={"n1": Event("mailbox", told), "n2": Event("mailbox", Answer.UNKNOWN)},
        moves={
            ("transfer", "@account@a"): Move(-1, told),
            ("transfer", "@account@b"): Move(1, told),
            ("signal", "@account@b"): Move(1, Answer.UNKNOWN),
        },
        endings={"order": Ending("COMPLETED", json.dumps({"effects": ["e1"]}))},
    )


def instances() -> dict[str, Instance]:
    """What is found of them, when nothing went wrong."""
    notes = {"effects": [], "notes": ["n1"]}
    return {
        "order": instance(scheduled(1), completed(1), output={"effects": ["e1"]}),
        "parent": instance(child(1), child_completed(1, LEAF)),
        "child": instance(scheduled(1), completed(1, "e2"), output=LEAF, parent="parent"),
        "mailbox": instance(raised("n1"), raised(None), output=notes),
        "transfer": instance(output={"effects": [], "balances": [0, -1, 0, 1]}),
    }


def entities() -> dict[str, Entity]:
    return {
        "@account@a": Entity([("transfer", -1)]),
        "@account@b": Entity([("transfer", 1)]),
    }


def effects() -> list[Effect]:
    """One more than there are results: an activity may be carried out again."""
    return [
        Effect("e1", "order", 1, "w"),
        Effect("again", "order", 1, "w"),
        Effect("e2", "child", 1, "w"),
    ]


def observations(**spoiled: Any) -> Observations:
    """All of it; arguments replace or, by None, remove instances."""
    found: dict[str, Any] = instances() | spoiled
    return Observations({id: each for id, each in found.items() if each}, entities(), effects())
