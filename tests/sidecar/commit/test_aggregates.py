"""Clients make up names of task hubs: one without live orchestrations costs nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from durabletask.sidecar.commit.aggregates import LiveCounts
from durabletask.sidecar.engine import apply
from durabletask.sidecar.engine.commands import StartInstance, Terminate
from tests.builders.engine import EngineDriver

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_task_hub_whose_last_orchestration_has_ended_is_not_remembered() -> None:
    counts = LiveCounts({"other": 1})
    hub = EngineDriver()
    start = apply(None, "a", StartInstance("order"), now=NOW, new_id=lambda: "id")
    counts.note("made up", None, start)
    counts.commit()
    hub.start("a")
    instance = hub.state("a")

    terminate = apply(instance, "a", Terminate(), now=NOW, new_id=lambda: "id")
    counts.note("made up", instance, terminate)
    counts.commit()

    assert counts.of("made up") == 0
    assert len(counts) == 1
