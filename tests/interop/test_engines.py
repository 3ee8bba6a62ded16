"""Our client and worker on durabletask-go and on our own sidecar: the same claims on both.

Where an engine cannot keep a claim, what a user sees of that is claimed instead. What
`docs/engines.md` says of the features is what is claimed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.protocol.dialects import DAPR, TASKHUB
from durabletask.transport.errors import UnsupportedOperationError
from tests.interop import feature_claims, scenarios
from tests.interop.feature_claims import double
from tests.interop.features import FEATURES, GO, NOT_PASSED, OURS, PLAYED
from tests.interop.harness import ENGINES, MARKED, Harness, harness_at, harness_on
from tests.interop.proxy import proxied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from durabletask import task

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)


def _entities_are_refused(harness: Harness) -> None:
    entity = EntityInstanceId("counter", "one")

    def call(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.call_entity(entity, "add", 1)

    harness.host(call, activities=(double,))

    with pytest.raises(UnsupportedOperationError, match="cannot keep entities") as refused:
        harness.client.signal_entity(entity, "add", 1)
    assert not refused.value.refusal.sent
    details = harness.wait(harness.start(call)).failure_details
    assert details is not None
    assert details.error_type.endswith("UnsupportedByEngineError")
    # An action that it does not know would have killed it.
    assert harness.status("nobody") is None


def _the_version_is_dropped(harness: Harness) -> None:
    def versioned(ctx: task.OrchestrationContext, _: Any) -> Any:
        return ctx.version

    harness.host(versioned)

    assert harness.result(versioned, version="2.1") is None


def _patches_are_refused(harness: Harness) -> None:
    def patched(ctx: task.OrchestrationContext, _: Any) -> bool:
        return ctx.is_patched("anything")

    harness.host(patched)

    details = harness.wait(harness.start(patched)).failure_details
    assert details is not None
    assert details.error_type.endswith("UnsupportedByEngineError")
    assert "ctx.version" in details.message


def _is_refused(
    call: Callable[[Harness], Any], *, sent: bool, text: str
) -> Callable[[Harness], None]:
    def play(harness: Harness) -> None:
        with pytest.raises(UnsupportedOperationError, match=text) as refused:
            call(harness)
        assert refused.value.refusal.sent is sent

    return play


INSTEAD: dict[tuple[str, str], Callable[[Harness], None]] = {
    ("entities", GO): _entities_are_refused,
    ("versioning", GO): _the_version_is_dropped,
    ("patches", OURS): _patches_are_refused,
    ("restart", GO): _is_refused(
        lambda harness: harness.client.restart_orchestration("one"),
        sent=False,
        text="schedule a new",
    ),
    ("rewind", GO): _is_refused(
        lambda harness: harness.client.rewind_orchestration("one"),
        sent=False,
        text="schedule a new",
    ),
    ("rerun", GO): _is_refused(
        lambda harness: harness.client.rerun_orchestration_from_event("one", 2),
        sent=True,
        text="cannot run an instance again from an event",
    ),
    ("queries", GO): _is_refused(
        lambda harness: harness.client.get_all_orchestration_states(),
        sent=False,
        text="list_instance_ids",
    ),
}


def test_every_feature_of_the_table_is_played() -> None:
    assert [*feature_claims.FEATURES, "stateful history"] == list(FEATURES)
    assert set(INSTEAD) == set(NOT_PASSED)
    assert set(ENGINES) == set(PLAYED)


@pytest.mark.parametrize("feature", feature_claims.FEATURES)
@pytest.mark.parametrize("engine", MARKED)
def test_a_feature_works(engine: str, feature: str, tmp_path: Path) -> None:
    play = INSTEAD.get((feature, engine), feature_claims.FEATURES[feature])
    with harness_on(engine, tmp_path) as harness:
        play(harness)


STEPS = 500


@pytest.mark.slow
@pytest.mark.parametrize("engine", MARKED)
def test_late_turns_weigh_no_more_than_early_ones(engine: str, tmp_path: Path) -> None:
    """With stateful history: the engine sends what is new, and not what the worker has."""

    def chain(ctx: task.OrchestrationContext, steps: int) -> Any:
        for step in range(steps):
            yield ctx.call_activity(double, input=step)
        return steps

    with (
        scenarios.needed(),
        ENGINES[engine](tmp_path) as address,
        proxied(address, DAPR if engine == GO else TASKHUB) as (address_of_proxy, turns),
        harness_at(address_of_proxy) as harness,
    ):
        harness.host(chain, activities=(double,))
        state = harness.client.wait_for_orchestration_completion(
            harness.start(chain, input=STEPS), timeout=300
        )

    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED
    assert len(turns) == STEPS + 1
    early, late = max(turns[20:100]), max(turns[400:500])
    assert late <= 1.2 * early, f"{late} bytes, and {early} before"
