"""The table and the page of `hatch run prove`."""

from __future__ import annotations

import pytest

from tests.prove.__main__ import main
from tests.prove.page import holds, page
from tests.prove.suites import Row, suites

GOOD = Row("examples run", "1000", holds=True)
BAD = Row("acknowledged and lost", "1", holds=False)


def test_it_holds_when_every_line_does() -> None:
    assert holds({"model": [GOOD, GOOD], "crashes": [GOOD]})


def test_it_does_not_hold_when_one_line_does_not() -> None:
    assert not holds({"model": [GOOD], "crashes": [GOOD, BAD]})


def test_a_suite_without_rows_has_proved_nothing() -> None:
    assert not holds({"model": [GOOD], "crashes": []})
    assert not holds({})


def test_the_page_names_the_part_the_figure_the_verdict_and_the_seed() -> None:
    text = page(42, {"model": [GOOD], "kills": [BAD]})

    assert "| model | examples run | 1000 | yes |" in text
    assert "| kills | acknowledged and lost | 1 | **NO** |" in text
    assert "--seed 42" in text


def test_an_unknown_suite_is_named_beside_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2

    assert "nonsense" in capsys.readouterr().out


def test_every_suite_says_in_one_line_what_it_is() -> None:
    for name, suite in suites().items():
        assert name == suite.NAME
        assert suite.__doc__, name
