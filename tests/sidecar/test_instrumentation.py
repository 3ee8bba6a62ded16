"""A failing store is logged once per reason, however often it fails."""

from __future__ import annotations

import pytest

from durabletask.sidecar.instrumentation import FailureLog
from durabletask.sidecar.store import StoreError

FULL = StoreError("disk is full")
DAMAGED = StoreError("a page is damaged")


@pytest.fixture
def failures() -> FailureLog:
    return FailureLog("commit changes")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_failure_is_logged_once_and_so_is_its_end(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        failures.record(FULL)
    for _ in range(1000):
        failures.recovered(None)

    assert told(caplog) == [
        "Cannot commit changes: disk is full",
        "The store works again: it can commit changes",
    ]
    assert not failures.is_failing


def test_a_failure_that_comes_again_is_logged_again(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        failures.record(FULL)
        failures.recovered(None)

    assert (
        told(caplog)
        == ["Cannot commit changes: disk is full", "The store works again: it can commit changes"]
        * 2
    )


def test_another_reason_is_logged_too(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    failures.record(FULL)
    failures.record(DAMAGED)

    assert told(caplog) == [
        "Cannot commit changes: disk is full",
        "Cannot commit changes: a page is damaged",
    ]


def test_one_reason_of_many_keys_is_logged_once(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    for key in range(5000):
        failures.record(FULL, key, {"instance_id": str(key)})

    assert told(caplog) == ["Cannot commit changes: disk is full"]
    assert vars(caplog.records[0])["instance_id"] == "0"


def test_a_damaged_row_does_not_hide_that_the_disk_is_full_the_second_time(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    failures.record(DAMAGED, "a")
    for _ in range(2):
        failures.record(FULL)
        failures.recovered(None)

    assert told(caplog)[1:] == ["Cannot commit changes: disk is full"] * 2
    assert failures.is_failing


def test_ever_new_reasons_do_not_fill_the_log(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    for key in range(5000):
        failures.record(StoreError(f"row {key} is damaged"), key)

    assert len(told(caplog)) == 10


def test_a_defect_is_logged_each_time_with_its_traceback(
    failures: FailureLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        failures.record(RuntimeError("a defect"))

    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert not failures.is_failing
