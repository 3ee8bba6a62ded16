"""The list of faults is up to date, and one is found; `hatch run prove faults` finds them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.faults import is_found
from tests.prove.planted import FAULTS, SIDECAR, Fault, FaultLostError
from tests.prove.suites import Options

SOURCES = Path(__file__).parents[2] / "packages" / "durabletask-sidecar" / "src"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaks)
def test_the_line_stands_once_in_its_file(fault: Fault) -> None:
    fault.check(SOURCES)

    assert fault.changed != fault.line


def test_there_are_enough_and_no_two_are_the_same() -> None:
    assert len({(fault.file, fault.line, fault.changed) for fault in FAULTS}) == len(FAULTS) >= 20
    assert len({fault.breaks for fault in FAULTS}) == len(FAULTS)


def test_planting_changes_one_line_and_keeps_its_indentation(tmp_path: Path) -> None:
    file = tmp_path / SIDECAR / "some.py"
    file.parent.mkdir(parents=True)
    file.write_text("def one():\n    return 1\n")

    Fault("one is two", "some.py", "return 1", "return 2").plant(tmp_path)

    assert file.read_text() == "def one():\n    return 2\n"


@pytest.mark.parametrize("text", ["return 0\n", "return 1\nreturn 1\n"])
def test_a_line_that_is_gone_or_there_twice_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / SIDECAR / "some.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)

    with pytest.raises(FaultLostError, match=r"some\.py has the line 'return 1' [02] times"):
        Fault("one is two", "some.py", "return 1", "return 2").plant(tmp_path)


FEW = Options(seed=6, examples=2)


@pytest.mark.slow
def test_a_fault_is_found_by_what_differs_and_nothing_where_there_is_none() -> None:
    twice = "an activity's result is applied as often as it is reported"
    (fault,) = [each for each in FAULTS if each.breaks == twice]

    assert is_found(fault, Options(seed=6, examples=20))
    assert not is_found(None, FEW)


@pytest.mark.slow
def test_a_copy_that_does_not_run_is_not_taken_for_one_whose_fault_was_found() -> None:
    broken = Fault(
        "all", "commit/unit_of_work.py", "waiting.append((target, following))", "waiting.append(("
    )

    with pytest.raises(RuntimeError, match="'all' was not tried"):
        is_found(broken, FEW)
