"""Say what came of a soak, line by line."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from tests.load.checker import applied
from tests.load.faults import Kind
from tests.prove.parts import Line

from .memory import MIB, growth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .run import Plan, Soak


def lines(result: Soak, plan: Plan) -> Iterator[Line]:
    """The table."""
    yield from _work(result, plan)
    yield from _workers(result, plan)
    found = Counter(fault.kind for fault in result.faults)
    for kind in Kind:
        yield Line(kind.value, f"{found[kind]}", holds=not found[kind])
    yield from _memory(result)


def _work(result: Soak, plan: Plan) -> Iterator[Line]:
    assert result.evidence is not None
    started, seconds = len(result.ledger.starts), result.seconds
    instances = result.evidence.instances
    completed = sum(each.status == "COMPLETED" for each in instances.values())
    sidecars, workers = result.sidecar_kills, result.worker_kills
    yield Line(
        "sidecar + worker processes killed",
        f"{sidecars} + {workers}",
        holds=sidecars > 0 and workers > 0,
    )
    yield Line(
        "orchestrations started, of those planned",
        f"{started} of {plan.orchestrations}",
        holds=started >= plan.orchestrations,
    )
    yield Line(
        "completed, with their children",
        f"{completed} of {len(instances)}",
        holds=completed == len(instances) > 0,
    )
    yield Line("in seconds", f"{seconds:.0f} ({started / seconds:.1f}/s)", holds=True)
    used, cores = result.processor_seconds, os.cpu_count()
    yield Line("processor seconds used, of cores", f"{used:.0f}, {cores}", holds=True)
    effects = len(result.evidence.effects)
    counted = applied(result.evidence)
    yield Line(
        "activities carried out, results that count", f"{effects}, {counted}", holds=counted > 0
    )


def _workers(result: Soak, plan: Plan) -> Iterator[Line]:
    all_of_them = plan.processes * plan.workers
    for what, count in (
        ("work item streams in the end", result.streams),
        ("workers that answered a roll call over them", result.heard),
    ):
        yield Line(what, f"{count} of {all_of_them}", holds=count == all_of_them)


def _memory(result: Soak) -> Iterator[Line]:
    yield Line("sidecar's memory at start", _mib(result.memory_at_start), holds=True)
    found = growth(result.samples)
    if found is None:
        yield Line("sidecar's memory at end", "too few samples to tell", holds=False)
        return
    yield Line("after warm-up, first half", _mib(found.before), holds=True)
    yield Line("after warm-up, last half", _mib(found.after), holds=not found.goes_on)
    yield Line("at the end", _mib(result.samples[-1]), holds=True)


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"
