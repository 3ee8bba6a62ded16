"""The checklist and the contract agree, and the page made of both shows the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.__main__ import PAGE
from tests.conformance.checklist import HALF_BUILT, ITEMS, NOT_BUILT
from tests.conformance.claims import Claim, claims
from tests.conformance.page import failures, page
from tests.conformance.results import Outcome, Result, Results

if TYPE_CHECKING:
    from tests.conformance.results import Key

PROVED = {item for claim in claims() for item in claim.items}


def test_the_checklist_has_ninety_two_items() -> None:
    assert list(ITEMS) == list(range(1, 93))


def test_every_item_has_a_test_or_a_reason_why_not() -> None:
    assert set(ITEMS) - PROVED == set(NOT_BUILT)


def test_what_is_half_built_has_tests_for_its_other_half() -> None:
    assert set(HALF_BUILT) <= PROVED


def test_no_test_claims_an_item_that_there_is_not() -> None:
    assert set(ITEMS) >= PROVED


def test_the_page_in_the_documentation_is_that_of_these_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    passed = dict.fromkeys(((each.file, each.test) for each in claims()), Result(Outcome.PASSED))

    # When this fails: hatch run conformance
    assert text == page("our sidecar", claims(), passed)


def proofs(**outcomes: Result) -> tuple[list[Claim], dict[Key, Result]]:
    """One test for each item, all of which passed but for those named like `item_9`."""
    known = [Claim("test_hub.py", f"test_item_{n}", (n,)) for n in ITEMS if n not in NOT_BUILT]
    results = {
        (each.file, each.test): outcomes.get(each.test[5:], Result(Outcome.PASSED))
        for each in known
    }
    return known, results


def row_of(item: int, text: str) -> str:
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {item} |"))
    return row


def test_an_engine_that_passes_everything_conforms_and_no_item_is_left_out() -> None:
    known, results = proofs()

    text = page("an engine", known, results)

    assert failures(known, results) == []
    assert all(row_of(item, text) for item in ITEMS)
    assert "Of 92 items: 84 passed, 0 failed, 8 not run." in text
    assert row_of(7, text).endswith(
        "| not run: Dapr's dialect: see tests/sidecar/service/test_dapr_*.py |"
    )


def test_a_failed_test_fails_its_item_and_the_run() -> None:
    known, results = proofs(item_9=Result(Outcome.FAILED))

    assert failures(known, results) == ["failed: test_item_9"]
    assert row_of(9, page("an engine", known, results)).endswith("| item 9 | **FAILED** |")


def test_a_test_that_could_not_be_collected_counts_as_failed() -> None:
    known, results = proofs()
    del results["test_hub.py", "test_item_9"]

    assert failures(known, results) == ["failed: test_item_9"]


def test_an_item_that_lost_its_test_fails_the_run() -> None:
    known, results = proofs()
    known = [each for each in known if 9 not in each.items]

    assert failures(known, results) == [f"no test for item 9: {ITEMS[9]}"]
    assert row_of(9, page("an engine", known, results)).endswith("**FAILED**: there is no test |")


def test_what_was_not_run_says_why_and_fails_nothing() -> None:
    known, results = proofs(item_9=Result(Outcome.NOT_RUN, "the engine offers no clock"))

    assert failures(known, results) == []
    text = page("an engine", known, results)
    assert row_of(9, text).endswith("| not run: the engine offers no clock |")


def test_an_item_of_which_a_part_was_not_run_says_so() -> None:
    known, results = proofs()
    known.append(Claim("test_hub.py", "test_more", (9,)))
    results["test_hub.py", "test_more"] = Result(Outcome.NOT_RUN, "the engine offers no clock")

    text = page("an engine", known, results)

    passed = "passed; 1 of 2 tests not run: the engine offers no clock"
    assert row_of(9, text).endswith(f"| item 9<br>more | {passed} |")


def test_the_worst_run_of_a_test_with_parameters_counts() -> None:
    results = Results()

    for name, outcome in (("[a]", "passed"), ("[b]", "failed"), ("[c]", "passed")):
        results.pytest_runtest_logreport(report(f"tests/test_hub.py::test_x{name}", outcome))

    assert results.by_test == {("test_hub.py", "test_x"): Result(Outcome.FAILED)}


def test_a_test_whose_fixture_failed_has_failed() -> None:
    results = Results()

    results.pytest_runtest_logreport(report("tests/test_hub.py::test_x", "failed", when="setup"))

    assert results.by_test == {("test_hub.py", "test_x"): Result(Outcome.FAILED)}


def test_a_skipped_test_was_not_run_for_the_reason_that_it_gives() -> None:
    results = Results()
    where = ("tests/conftest.py", 40, "Skipped: the engine offers no clock")

    results.pytest_runtest_logreport(
        report("tests/test_hub.py::test_x", "skipped", where, when="setup")
    )

    expected = Result(Outcome.NOT_RUN, "the engine offers no clock")
    assert results.by_test == {("test_hub.py", "test_x"): expected}


def report(
    nodeid: str, outcome: Any, longrepr: Any = None, *, when: Any = "call"
) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, longrepr, when)
