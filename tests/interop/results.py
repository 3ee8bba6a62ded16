"""Run the interop tests and remember how each of them ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.results import Outcome, Result, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Key = tuple[str, str]

FOLDER = Path(__file__).parent


@dataclass
class Results:
    """A plugin of pytest; unlike the checklist's, it tells the parameters of a test apart."""

    by_test: dict[Key, Result] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        file, _, test = report.nodeid.partition("::")
        result = self.by_test.setdefault((file.rpartition("/")[2], test), Result())
        if report.skipped:
            result.reason = reason(report)
            return
        result.outcome = max(result.outcome, Outcome.PASSED if report.passed else Outcome.FAILED)


def run(files: Iterable[str]) -> Mapping[Key, Result]:
    """Run the tests of these files; by file and name."""
    results = Results()
    paths = [str(FOLDER / file) for file in files]
    pytest.main(["-q", "-p", "no:cacheprovider", *paths], plugins=[results])
    return results.by_test
