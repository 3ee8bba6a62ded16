"""What fails or is retried is logged once, warm and replayed."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask import task

if TYPE_CHECKING:
    import pytest

    from tests.e2e.conftest import Harness


def test_a_retried_call_and_its_end_are_logged_once_each(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    def pay(_ctx: task.ActivityContext) -> None:
        raise ValueError("no luck")

    def greet(_ctx: task.ActivityContext) -> str:
        return "hello"

    def order(ctx: task.OrchestrationContext) -> Generator[Any, Any, None]:
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=2
        )
        try:
            yield ctx.call_activity(pay, retry_policy=policy)
        except task.TaskFailedError:
            # So that what was logged is replayed.
            yield ctx.call_activity(greet)
            raise

    harness.host(order, activities=(pay, greet))
    with caplog.at_level(logging.INFO, "durabletask.worker"):
        instance_id = harness.run(order).instance_id

    told = [
        (record.levelname, vars(record).get("attempt"), record.exc_info is not None)
        for record in caplog.records
        if vars(record).get("instance_id") == instance_id and "luck" in record.getMessage()
    ]
    # On threads, so that an activity's failure may be logged beside what the turn logs.
    assert sorted(told, key=str) == [
        ("INFO", 1, False),
        ("WARNING", 2, False),
        ("WARNING", None, True),
        ("WARNING", None, True),
        ("WARNING", None, True),
    ]
