"""The results as text: a table for each workload, and a checklist of what was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.bench._sides import SIDES
from tools.bench._workloads import DBOS, OFFICIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench._goals import Goal
    from tools.bench._results import Results
    from tools.bench._workloads import Workload

_MIB = 1024 * 1024
_NOTHING = "-"
_PEERS = {OFFICIAL: "official", DBOS: "DBOS"}


def workload_table(results: Results, workload: Workload) -> str:
    """One row for each side that ran it: the medians, and what they are of the peers'."""
    family = workload.family
    ran = [side for side in SIDES if results.of(workload, side)]
    peers = [peer for peer in _PEERS if peer in ran]
    header = [
        "",
        *(figure.title for figure in family.figures),
        *(f"x {_PEERS[peer]}" for peer in peers),
        *(f"CPU ms per {family.unit}", "memory, MiB"),
    ]
    return table(header, [_row(results, workload, side, peers) for side in ran])


def _row(results: Results, workload: Workload, side: str, peers: Sequence[str]) -> list[str]:
    figures = range(len(workload.family.figures))
    return [
        side,
        *(number(results.value(workload, side, figure)) for figure in figures),
        *(number(results.ratio(workload, side, peer)) for peer in peers),
        number(results.cpu_ms(workload, side)),
        number(results.peak_bytes(workload, side) / _MIB),
    ]


def checklist(results: Results, goals: Sequence[Goal]) -> str:
    rows = []
    for goal in goals:
        measured = goal.measure(results)
        rows.append(
            [
                goal.text,
                goal.bound(goal.must),
                goal.bound(goal.aim),
                number(measured),
                goal.verdict(measured),
            ]
        )
    return table(["", "must", "aim", "measured", ""], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it is."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def number(value: float | None) -> str:
    """With three digits that count."""
    if value is None:
        return _NOTHING
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
