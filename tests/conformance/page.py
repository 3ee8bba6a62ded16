"""Lay the checklist out as a table: each item, its tests, and how they ended.

The page holds no times, dates or paths, so it changes only when a result does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .checklist import HALF_BUILT, ITEMS, NOT_BUILT, SECTIONS
from .results import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .claims import Claim
    from .results import Key

_HEAD = """\
# Conformance of {engine}

Written by `hatch run conformance`, which runs `tests/contract` over gRPC and, with our sidecar, in
process and on a batch stream as well. Each item of the checklist is a promise that any engine of the
protocol should keep. Each test is named after what it claims, and sends raw messages to the engine,
as a client and as a worker.
`hatch run conformance --engine-address HOST:PORT` tests another engine instead of the sidecar.

{summary}
"""
_COLUMNS = "| | item | tests | result |\n|--:|---|---|---|"
_BEYOND = "Beyond the checklist"


def page(engine: str, claims: Sequence[Claim], results: Mapping[Key, Result]) -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD.format(engine=engine, summary=_summary(claims, results))]
    for title, items in SECTIONS.items():
        rows = [_row(item, _proofs(item, claims, results)) for item in items]
        parts.append("\n".join([f"## {title}\n", _COLUMNS, *rows, ""]))
    others = [claim for claim in claims if not claim.items]
    if others:
        rows = [f"| {_title(each)} | {_verdict([_result(each, results)])} |" for each in others]
        parts.append("\n".join([f"## {_BEYOND}\n", "| test | result |\n|---|---|", *rows, ""]))
    return "\n".join(parts)


def failures(claims: Sequence[Claim], results: Mapping[Key, Result]) -> list[str]:
    """What keeps the engine from conforming: failed tests, and items that nobody proves."""
    failed = [
        f"failed: {claim.test}"
        for claim in claims
        if _result(claim, results).outcome is Outcome.FAILED
    ]
    proved = {item for claim in claims for item in claim.items}
    return failed + [
        f"no test for item {item}: {text}"
        for item, text in ITEMS.items()
        if item not in proved and item not in NOT_BUILT
    ]


Proof = tuple["Claim", Result]


def _proofs(item: int, claims: Sequence[Claim], results: Mapping[Key, Result]) -> list[Proof]:
    return [(claim, _result(claim, results)) for claim in claims if item in claim.items]


def _result(claim: Claim, results: Mapping[Key, Result]) -> Result:
    # A test of which pytest knows nothing could not even be collected.
    return results.get((claim.file, claim.test), Result(Outcome.FAILED))


def _row(item: int, proofs: Sequence[Proof]) -> str:
    tests = "<br>".join(_title(claim) for claim, _ in proofs)
    return f"| {item} | {ITEMS[item]} | {tests} | {_result_of(item, proofs)} |"


def _result_of(item: int, proofs: Sequence[Proof]) -> str:
    if item in NOT_BUILT:
        return f"not run: {NOT_BUILT[item]}"
    if not proofs:
        return "**FAILED**: there is no test"
    verdict = _verdict([result for _, result in proofs])
    return f"{verdict}; {HALF_BUILT[item]}" if item in HALF_BUILT else verdict


def _verdict(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    reason = next((result.reason for result in results if result.reason), "")
    if Outcome.FAILED in outcomes:
        return "**FAILED**"
    if Outcome.PASSED not in outcomes:
        return f"not run: {reason}"
    missing = outcomes.count(Outcome.NOT_RUN)
    return f"passed; {missing} of {len(outcomes)} tests not run: {reason}" if missing else "passed"


def _title(claim: Claim) -> str:
    return claim.test.removeprefix("test_").replace("_", " ")


def _summary(claims: Sequence[Claim], results: Mapping[Key, Result]) -> str:
    verdicts = [_result_of(item, _proofs(item, claims, results)) for item in ITEMS]
    counted = ", ".join(f"{count} {what}" for what, count in _counts(verdicts))
    return f"Of {len(ITEMS)} items: {counted}."


def _counts(verdicts: Sequence[str]) -> Iterator[tuple[str, int]]:
    for what, beginning in (("passed", "passed"), ("failed", "**FAILED"), ("not run", "not run")):
        yield what, sum(verdict.startswith(beginning) for verdict in verdicts)
