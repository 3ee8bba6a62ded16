"""The logger of clients and workers adds fields, and respects those of the program."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.transport.constructor_arguments import HubLogger, choose_logger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log() -> HubLogger:
    return choose_logger("durabletask.test", None, None, None, metadata=[("taskhub", "orders")])


@pytest.fixture
def records_with_an_instance_id() -> Iterator[None]:
    """A program whose records all have a field `instance_id`: that of its machine."""
    usual = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.instance_id = "i-0abc"
        return record

    logging.setLogRecordFactory(make)
    yield
    logging.setLogRecordFactory(usual)


def test_a_record_has_the_hub_and_the_fields_of_the_call(
    log: HubLogger, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("Started", extra={"instance_id": "order-1"})

    (record,) = caplog.records
    assert vars(record).items() >= {"hub": "orders", "instance_id": "order-1"}.items()


@pytest.mark.usefixtures("records_with_an_instance_id")
def test_a_field_that_the_program_gives_to_all_its_records_stays(
    log: HubLogger, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("Started", extra={"instance_id": "order-1", "task_name": "order"})

    (record,) = caplog.records
    expected = {"hub": "orders", "instance_id": "i-0abc", "task_name": "order"}
    assert vars(record).items() >= expected.items()


def test_fields_are_those_of_the_call_again_once_the_program_adds_none(
    log: HubLogger, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    usual = logging.getLogRecordFactory()
    request.getfixturevalue("records_with_an_instance_id")
    log.warning("Started", extra={"instance_id": "order-1"})
    logging.setLogRecordFactory(usual)
    log.warning("Started", extra={"instance_id": "order-1"})

    assert [vars(record)["instance_id"] for record in caplog.records] == ["i-0abc", "order-1"]
