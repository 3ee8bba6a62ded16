"""Names, policies and loggers: what stands around the tasks."""

from __future__ import annotations

import functools
import logging
from datetime import timedelta
from typing import Any

import pytest

from durabletask import task
from durabletask.task import ReplaySafeLogger, RetryPolicy, get_name, named


def greet(_ctx: Any) -> None: ...


class Callable:
    def __call__(self, _ctx: Any) -> None: ...

    def method(self, _ctx: Any) -> None: ...


def test_a_function_has_its_own_name() -> None:
    assert get_name(greet) == "greet"
    assert get_name(Callable().method) == "method"


def test_a_partial_has_the_name_of_what_it_wraps() -> None:
    assert get_name(functools.partial(functools.partial(greet), 1)) == "greet"


def test_a_given_name_wins() -> None:
    def fn(_ctx: Any) -> None: ...

    assert named(fn, "charge-v2") is fn
    assert get_name(fn) == "charge-v2"


@pytest.mark.parametrize(
    "fn",
    [functools.partial(greet), lambda _ctx: None, Callable()],
    ids=["partial", "lambda", "obj"],
)
def test_whatever_takes_attributes_can_be_given_a_name(fn: Any) -> None:
    assert get_name(named(fn, "charge-v2")) == "charge-v2"


def test_a_partial_of_a_named_function_has_its_name() -> None:
    def fn(_ctx: Any) -> None: ...

    assert get_name(functools.partial(named(fn, "charge-v2"))) == "charge-v2"


def test_a_bound_method_keeps_the_name_it_has() -> None:
    assert get_name(named(Callable().method, "charge-v2")) == "method"


def test_a_lambda_has_no_name() -> None:
    with pytest.raises(ValueError, match="Cannot infer a name from a lambda function"):
        get_name(lambda _ctx: None)


def test_an_object_has_no_name() -> None:
    with pytest.raises(ValueError, match="Please provide a name explicitly"):
        get_name(Callable())


def policy(**changes: Any) -> RetryPolicy:
    fields: dict[str, Any] = {"first_retry_interval": timedelta(1), "max_number_of_attempts": 3}
    return RetryPolicy(**(fields | changes))


def test_a_policy_keeps_what_it_is_given() -> None:
    given = policy(max_retry_interval=timedelta(2), retry_timeout=timedelta(3))

    assert given.first_retry_interval == timedelta(1)
    assert given.max_number_of_attempts == 3
    assert given.backoff_coefficient == 1.0
    assert given.max_retry_interval == timedelta(2)
    assert given.retry_timeout == timedelta(3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_retry_interval", timedelta(-1)),
        ("max_number_of_attempts", 0),
        ("backoff_coefficient", 0.5),
        ("backoff_coefficient", float("nan")),
        ("max_retry_interval", timedelta(-1)),
        ("retry_timeout", timedelta(-1)),
    ],
)
def test_a_policy_refuses_what_makes_no_sense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        policy(**{field: value})


def test_a_replay_safe_logger_is_silent_during_replay(caplog: pytest.LogCaptureFixture) -> None:
    replaying = True
    logger = logging.getLogger("test.replay")
    logger.setLevel(logging.INFO)
    safe = ReplaySafeLogger(logger, lambda: replaying)

    safe.info("old")
    assert not safe.isEnabledFor(logging.ERROR)
    replaying = False
    safe.info("new")

    assert caplog.messages == ["new"]
    assert not safe.isEnabledFor(logging.DEBUG)


def test_a_replay_safe_logger_passes_on_what_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.replay")
    safe = ReplaySafeLogger(logger, lambda: False)

    safe.error("order %d", 7, extra={"order": 7}, stack_info=True)

    (record,) = caplog.records
    assert record.getMessage() == "order 7"
    assert record.__dict__["order"] == 7
    assert record.stack_info


@pytest.mark.parametrize(
    "name", [name for name in task.__all__ if isinstance(getattr(task, name), type)]
)
def test_public_classes_report_the_official_module(name: str) -> None:
    module = {
        "DurableEntity": "durabletask.entities.durable_entity",
        "EntityContext": "durabletask.entities.entity_context",
        "EntityInstanceId": "durabletask.entities.entity_instance_id",
        "EntityLock": "durabletask.entities.entity_lock",
    }.get(name, "durabletask.task")

    assert getattr(task, name).__module__ == module


def test_an_entity_has_the_name_it_claims_or_that_of_its_code() -> None:
    class Counter(task.DurableEntity): ...

    class Renamed(task.DurableEntity):
        __durable_entity_name__ = "Tally"

    assert task.get_entity_name(Counter) == "Counter"
    assert task.get_entity_name(Renamed) == "Tally"
    assert task.get_entity_name(greet) == "greet"
    with pytest.raises(ValueError, match="Cannot infer a name from a lambda function"):
        task.get_entity_name(lambda _ctx, _input: None)
