"""Run the contract and remember how each of its tests ended.

A test with parameters has one result: failed if any of its runs failed, passed if the others
passed, and not run only if none was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import pytest

from .claims import CONTRACT

if TYPE_CHECKING:
    from collections.abc import Mapping

    Key = tuple[str, str]


class Outcome(IntEnum):
    """The worse one counts."""

    NOT_RUN = 0
    PASSED = 1
    FAILED = 2


@dataclass(slots=True)
class Result:
    """How one test ended, over all of its parameters."""

    outcome: Outcome = Outcome.NOT_RUN
    reason: str = ""
    """Why it was not run; of several reasons the first."""


@dataclass
class Results:
    """A plugin of pytest."""

    by_test: dict[Key, Result] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        file, _, name = report.nodeid.partition("::")
        test = name.partition("[")[0]
        result = self.by_test.setdefault((file.rpartition("/")[2], test), Result())
        if report.skipped:
            result.reason = result.reason or reason(report)
            return
        result.outcome = max(result.outcome, Outcome.PASSED if report.passed else Outcome.FAILED)


def run() -> Mapping[Key, Result]:
    """Run every test of the contract; by file and name."""
    results = Results()
    pytest.main(["-q", "-p", "no:cacheprovider", str(CONTRACT)], plugins=[results])
    return results.by_test


def reason(report: pytest.TestReport) -> str:
    """Why the test of that report was skipped."""
    # Of a skipped test it is file, line and text.
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return text.removeprefix("Skipped: ")
