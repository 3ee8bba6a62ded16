"""Retries and give-ups are logged once, in the turn that decides them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from durabletask.core.decision import LogEntry
from durabletask.task import ActivityContext, OrchestrationContext, RetryPolicy, Task
from tests.builders.core import FakeEngine, Instance

Steps = Generator[Task[Any], Any, Any]
SECOND = timedelta(seconds=1)


def flaky(_ctx: ActivityContext) -> None:
    raise ValueError("not yet")


def retrying(**options: Any) -> Callable[..., Steps]:
    policy = RetryPolicy(first_retry_interval=SECOND, **options)

    def stubborn(ctx: OrchestrationContext) -> Steps:
        yield ctx.call_activity("flaky", retry_policy=policy)

    return stubborn


def entries(instance: Instance, level: int) -> list[LogEntry]:
    return [
        entry
        for decision in instance.decisions
        for entry in decision.log_entries
        if entry.level == level and (entry.fields or {}).get("attempt")
    ]


def ended(**options: Any) -> Instance:
    hub = FakeEngine(retrying(**options), activities=[flaky])
    instance = hub.run("stubborn")
    hub.advance(timedelta(days=1))
    return instance


def test_each_retry_is_logged_once_with_its_delay() -> None:
    instance = ended(max_number_of_attempts=3, backoff_coefficient=2)

    retries = entries(instance, logging.INFO)
    assert [entry.text.partition(") ")[2] for entry in retries] == [
        (
            "retries activity 'flaky' (task #1) in 0:00:01: "
            "attempt 1 of 3 failed with builtins.ValueError: not yet"
        ),
        (
            "retries activity 'flaky' (task #1) in 0:00:02: "
            "attempt 2 of 3 failed with builtins.ValueError: not yet"
        ),
    ]
    assert retries[1].extra == {
        "instance_id": "an-instance",
        "kind": "activity",
        "task_name": "flaky",
        "task_id": 1,
        "attempt": 2,
        "delay": 2.0,
    }


def test_the_last_failed_attempt_is_logged_as_a_give_up() -> None:
    (gave_up,) = entries(ended(max_number_of_attempts=2), logging.WARNING)

    assert gave_up.text.endswith(
        "gives up activity 'flaky' (task #1): "
        "attempt 2 of 2 failed with builtins.ValueError: not yet"
    )
    assert gave_up.extra["attempt"] == 2


def test_a_give_up_before_the_last_attempt_names_the_retry_timeout() -> None:
    instance = ended(max_number_of_attempts=5, retry_timeout=SECOND / 2)

    (gave_up,) = entries(instance, logging.WARNING)
    assert gave_up.text.endswith("not yet, and retry_timeout is over")
