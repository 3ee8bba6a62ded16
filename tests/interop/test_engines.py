"""Our client and worker on durabletask-go and on our own sidecar: the same claims on both.

Where durabletask-go differs, what a user sees of it is claimed instead. `docs/engines.md` is
written from what is recorded here.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tools.peer import go

from builders import interop
from builders.engine_features import FEATURES, Stage, double
from builders.relay import relay
from durabletask.client import TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.transport.errors import UnsupportedOperationError
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from durabletask import task

# The first run builds the engine.
pytestmark = pytest.mark.timeout(600)

ENGINES: dict[str, Callable[[Path], Any]] = {
    "our sidecar": lambda folder: Sidecar(folder / "tasks.db"),
    "durabletask-go 0.14.0": go.engine,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What the engine does instead, and where that is known from."""

    kind: str
    seen: type[Exception]
    text: str
    reference: str


NOT_OFFERED, DEFECT = "not offered by the engine", "fails because of its defect"


def _not_offered(text: str) -> Difference:
    return Difference(NOT_OFFERED, UnsupportedOperationError, text, "the RPC is unknown there")


DIFFERENCES: dict[tuple[str, str], Difference] = {
    ("durabletask-go 0.14.0", "rewind"): _not_offered("rewind"),
    ("durabletask-go 0.14.0", "queries"): _not_offered("quer"),
}


@contextmanager
def _stage(address: str) -> Iterator[Stage]:
    with (
        TaskHubGrpcWorker(host_address=address) as worker,
        TaskHubGrpcClient(host_address=address) as client,
    ):
        yield Stage(client, worker)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_feature_works(
    engine: str, feature: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    difference = DIFFERENCES.get((engine, feature))
    with interop.needed(), ENGINES[engine](tmp_path) as address, _stage(address) as stage:
        if difference is None:
            FEATURES[feature](stage)
        else:
            with pytest.raises(difference.seen, match=difference.text):
                FEATURES[feature](stage)
    told = f"{difference.kind}: {difference.reference}" if difference else "passed"
    record_property("cell", (feature, engine, told))


STEPS = 500


def test_with_stateful_history_late_turns_weigh_no_more_than_early_ones(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def chain(ctx: task.OrchestrationContext, steps: int) -> Any:
        for step in range(steps):
            yield ctx.call_activity(double, input=step)
        return steps

    with (
        interop.needed(),
        go.engine(tmp_path) as address,
        relay(address) as (relayed, turns),
        _stage(relayed) as stage,
    ):
        stage.host(chain, activities=(double,))
        instance_id = stage.start(chain, input=STEPS)
        stage.client.wait_for_orchestration_completion(instance_id, timeout=500)

    assert len(turns) == STEPS + 1
    early, late = max(turns[20:100]), max(turns[400:500])
    assert late <= 1.2 * early, f"{late} bytes, and {early} before"
    weighed = f"passed: at most {late} bytes in turns 400 to 500, {early} in turns 20 to 100"
    record_property("cell", ("stateful history", "durabletask-go 0.14.0", weighed))
