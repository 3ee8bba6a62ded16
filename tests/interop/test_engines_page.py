"""The page `docs/engines.md` says what the interop tests claim, and every claim has its test."""

from __future__ import annotations

import re

import pytest

from tests.conformance.results import Outcome, Result
from tests.interop import results
from tests.interop.__main__ import PAGE
from tests.interop.features import GO, OURS
from tests.interop.page import failures, keys, page

PASSED = dict.fromkeys(keys(), Result(Outcome.PASSED))
RETRIES = ("test_engines.py", f"test_a_feature_works[{GO}-retries]")


def row(feature: str, text: str) -> list[str]:
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {feature} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_page_in_the_documentation_is_that_of_these_tests() -> None:
    # When this fails: hatch run engines
    assert PAGE.read_text(encoding="utf-8") == page(PASSED)


@pytest.mark.parametrize("file", sorted({file for file, _ in keys()}))
def test_every_cell_has_its_test(file: str) -> None:
    written = re.findall(r"^def (test_\w+)\(", (results.FOLDER / file).read_text(), re.MULTILINE)

    assert {name.partition("[")[0] for of, name in keys() if of == file} <= set(written)


def test_no_cell_is_empty() -> None:
    rows = [line for line in page(PASSED).splitlines() if line.startswith("|")]

    assert len(rows) > 40
    assert not [line for line in rows if re.search(r"\|\s*\|", line)]


def test_a_feature_that_failed_is_shown_as_failed_and_fails_the_run() -> None:
    outcome = {**PASSED, RETRIES: Result(Outcome.FAILED)}

    assert row("retries", page(outcome))[:3] == ["retries", "passed", "**FAILED**"]
    assert failures(outcome) == [f"**FAILED** {RETRIES[1]}"]


def test_a_test_that_could_not_be_collected_has_failed() -> None:
    outcome = {key: result for key, result in PASSED.items() if key != RETRIES}

    assert failures(outcome) == [f"**FAILED** {RETRIES[1]}"]


def test_what_was_not_run_says_why_and_fails_nothing() -> None:
    outcome = {**PASSED, RETRIES: Result(Outcome.NOT_RUN, "go is not on the path")}

    assert row("retries", page(outcome))[2] == "not run: go is not on the path"
    assert failures(outcome) == []


def test_an_engine_that_cannot_be_run_is_known_not_to_have_what_its_contract_has_not() -> None:
    dapr, scheduler = row("rewind", page(PASSED))[3:]

    assert dapr == "not offered by the engine: its contract has no RewindInstance"
    assert scheduler == "not run"


def test_results_tell_the_parameters_of_a_test_apart() -> None:
    seen = results.Results()

    for engine, outcome in ((OURS, "passed"), (GO, "failed")):
        nodeid = f"tests/interop/test_engines.py::test_x[{engine}]"
        seen.pytest_runtest_logreport(
            pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, None, "call")  # type: ignore[arg-type]
        )

    assert seen.by_test == {
        ("test_engines.py", f"test_x[{OURS}]"): Result(Outcome.PASSED),
        ("test_engines.py", f"test_x[{GO}]"): Result(Outcome.FAILED),
    }
