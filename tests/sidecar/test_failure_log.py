"""A store that fails is told of once, however often it fails."""

from __future__ import annotations

import pytest

from durabletask.sidecar.failure_log import Trouble
from durabletask.sidecar.store import StoreError

FULL = StoreError("disk is full")
DAMAGED = StoreError("a page is damaged")


@pytest.fixture
def trouble() -> Trouble:
    return Trouble("store it")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_it_is_told_once_and_once_that_it_is_over(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        trouble.note(FULL)
    for _ in range(1000):
        trouble.end(None)

    assert told(caplog) == ["cannot store it: disk is full", "can store it again"]
    assert not trouble.is_on


def test_what_comes_again_is_told_again(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        trouble.note(FULL)
        trouble.end(None)

    assert told(caplog) == ["cannot store it: disk is full", "can store it again"] * 2


def test_another_reason_is_told_too(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.note(FULL)
    trouble.note(DAMAGED)

    assert told(caplog) == ["cannot store it: disk is full", "cannot store it: a page is damaged"]


def test_many_that_fail_in_one_way_are_told_of_once(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for key in range(5000):
        trouble.note(FULL, key, {"instance": str(key)})

    assert told(caplog) == ["cannot store it: disk is full"]
    assert vars(caplog.records[0])["instance"] == "0"


def test_one_that_is_damaged_does_not_hide_that_the_disk_is_full_the_second_time(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    trouble.note(DAMAGED, "a")
    for _ in range(2):
        trouble.note(FULL)
        trouble.end(None)

    assert told(caplog)[1:] == ["cannot store it: disk is full"] * 2
    assert trouble.is_on


def test_a_store_with_ever_new_words_does_not_fill_the_log(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for key in range(5000):
        trouble.note(StoreError(f"row {key} is damaged"), key)

    assert len(told(caplog)) == 10


def test_a_defect_is_told_each_time_and_with_its_traceback(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        trouble.note(RuntimeError("a defect"))

    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert not trouble.is_on
