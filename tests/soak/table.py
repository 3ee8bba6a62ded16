"""The results of a soak as rows of a table."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from tests.load.checker import applied
from tests.load.violations import Kind
from tests.prove.suites import Row

from .memory import MIB, growth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .run import Plan, Soak


def rows(result: Soak, plan: Plan) -> Iterator[Row]:
    """The table."""
    yield from _work(result, plan)
    yield from _workers(result, plan)
    found = Counter(violation.kind for violation in result.violations)
    for kind in Kind:
        yield Row(kind.value, f"{found[kind]}", holds=not found[kind])
    yield from _memory(result)


def _work(result: Soak, plan: Plan) -> Iterator[Row]:
    assert result.observations is not None
    started, seconds = len(result.expectations.starts), result.seconds
    instances = result.observations.instances
    completed = sum(each.status == "COMPLETED" for each in instances.values())
    sidecars, workers = result.sidecar_kills, result.worker_kills
    yield Row(
        "sidecar + worker processes killed",
        f"{sidecars} + {workers}",
        holds=sidecars > 0 and workers > 0,
    )
    yield Row(
        "orchestrations started, of those planned",
        f"{started} of {plan.orchestrations}",
        holds=started >= plan.orchestrations,
    )
    yield Row(
        "completed, with their children",
        f"{completed} of {len(instances)}",
        holds=completed == len(instances) > 0,
    )
    yield Row("in seconds", f"{seconds:.0f} ({started / seconds:.1f}/s)", holds=True)
    used, cores = result.processor_seconds, os.cpu_count()
    yield Row("processor seconds used, of cores", f"{used:.0f}, {cores}", holds=True)
    effects = len(result.observations.effects)
    counted = applied(result.observations)
    yield Row(
        "activities carried out, results that count", f"{effects}, {counted}", holds=counted > 0
    )


def _workers(result: Soak, plan: Plan) -> Iterator[Row]:
    all_of_them = plan.processes * plan.workers
    for what, count in (
        ("work item streams in the end", result.streams),
        ("workers that answered a roll call over them", result.heard),
    ):
        yield Row(what, f"{count} of {all_of_them}", holds=count == all_of_them)


def _memory(result: Soak) -> Iterator[Row]:
    yield Row("sidecar's memory at start", _mib(result.memory_at_start), holds=True)
    found = growth(result.samples)
    if found is None:
        yield Row("sidecar's memory at end", "too few samples to tell", holds=False)
        return
    yield Row("after warm-up, first half", _mib(found.before), holds=True)
    yield Row("after warm-up, last half", _mib(found.after), holds=not found.goes_on)
    yield Row("at the end", _mib(result.samples[-1]), holds=True)


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"
