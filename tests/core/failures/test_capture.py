"""From an exception to its details, whatever the exception is like."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.failures import FailureDetails, TaskFailedError, details_from_exception

if TYPE_CHECKING:
    from collections.abc import Mapping


def caught(raising: Any) -> BaseException:
    try:
        raising()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def missing_key() -> None:
    prices: dict[str, int] = {}
    prices["price"]


def wrapped() -> None:
    try:
        missing_key()
    except KeyError as error:
        raise ValueError("no price") from error


def depth(details: FailureDetails | None) -> int:
    return 0 if details is None else 1 + depth(details.inner_failure)


class Answering:
    """A properties provider that answers, or raises, what it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Exception] = []

    def get_exception_properties(self, exception: Exception) -> Mapping[str, Any] | None:
        self.asked.append(exception)
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: Mapping[str, Any] | None = self.answer
        return answer


def test_type_text_and_cause_are_told() -> None:
    details = details_from_exception(caught(wrapped))

    assert details.error_type == "builtins.ValueError"
    assert details.message == "no price"
    assert details.inner_failure is not None
    assert details.inner_failure.error_type == "builtins.KeyError"
    assert details.inner_failure.message == "'price'"
    assert details.inner_failure.inner_failure is None


def test_the_stack_trace_is_the_frames_without_the_exceptions_own_line() -> None:
    details = details_from_exception(caught(wrapped))

    assert details.stack_trace is not None
    assert details.stack_trace.startswith("  File ")
    assert "in wrapped" in details.stack_trace
    assert "ValueError: no price" not in details.stack_trace


def test_an_exception_that_was_never_raised_has_an_empty_stack_trace() -> None:
    assert details_from_exception(ValueError("x")).stack_trace == ""


def test_a_context_is_told_where_there_is_no_cause() -> None:
    def while_handling() -> None:
        try:
            missing_key()
        except KeyError:
            int("x")

    inner = details_from_exception(caught(while_handling)).inner_failure

    assert inner is not None
    assert inner.error_type == "builtins.KeyError"


def test_at_most_ten_causes_are_told() -> None:
    errors = [ValueError(str(number)) for number in range(30)]
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause

    assert depth(details_from_exception(errors[0])) == 11


def test_a_circle_of_causes_is_told_once() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert depth(details_from_exception(first)) == 2


def test_the_details_of_a_failed_task_become_the_inner_failure() -> None:
    original = FailureDetails("bad", "builtins.OSError", "frames on the other side")
    failed = TaskFailedError("Activity task #1 failed: bad", original)

    details = details_from_exception(failed)

    assert details.error_type == "durabletask.task.TaskFailedError"
    assert details.inner_failure == original


def test_the_details_of_a_failed_task_tell_more_than_what_it_was_raised_in() -> None:
    original = FailureDetails("bad", "builtins.OSError", None)

    def while_handling() -> None:
        try:
            missing_key()
        except KeyError:
            raise TaskFailedError("failed", original)  # noqa: B904  # what is tested

    assert details_from_exception(caught(while_handling)).inner_failure == original


def test_an_exception_raised_from_a_failed_task_still_leads_to_the_original() -> None:
    original = FailureDetails("bad", "builtins.OSError", None)

    def handled() -> None:
        try:
            raise TaskFailedError("failed", original)
        except TaskFailedError as error:
            raise ValueError("order lost") from error

    inner = details_from_exception(caught(handled)).inner_failure

    assert inner is not None
    assert inner.inner_failure == original


@pytest.mark.parametrize("obstacle", [RuntimeError, SystemExit])
def test_an_exception_that_cannot_be_printed_is_still_told(obstacle: type[BaseException]) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise obstacle("not today")

    details = details_from_exception(MuteError())

    assert details.error_type.endswith("MuteError")
    assert f"builtins.{obstacle.__name__}" in details.message


def test_properties_are_added_to_every_exception_of_the_chain() -> None:
    provider = Answering({"code": 7})

    details = details_from_exception(caught(wrapped), properties_provider=provider)

    assert details.properties == {"code": 7}
    assert details.inner_failure is not None
    assert details.inner_failure.properties == {"code": 7}
    assert {type(error) for error in provider.asked} == {ValueError, KeyError}


def test_properties_become_json_values() -> None:
    provider = Answering(
        {"d": Decimal("1.5"), "t": (1, None), "n": {3: {4}}, "w": datetime(2020, 1, 1, tzinfo=UTC)}
    )

    details = details_from_exception(ValueError(), properties_provider=provider)

    assert details.properties == {
        "d": 1.5,
        "t": [1, None],
        "n": {"3": "{4}"},
        "w": "2020-01-01 00:00:00+00:00",
    }


@pytest.mark.parametrize(
    "answer", [RuntimeError("broken"), SystemExit(3), ["not a mapping"], "text", 3]
)
def test_a_provider_that_misbehaves_is_logged_and_costs_only_its_properties(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "durabletask"):
        details = details_from_exception(
            ValueError("the real one"), properties_provider=Answering(answer)
        )

    assert details.message == "the real one"
    assert details.properties is None
    assert "its properties are left out" in caplog.text


def test_a_provider_may_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    details = details_from_exception(ValueError(), properties_provider=Answering(None))

    assert details.properties is None
    assert not caplog.records


def test_a_provider_is_never_shown_what_is_not_an_exception_it_was_promised() -> None:
    provider = Answering({"code": 7})

    details = details_from_exception(SystemExit(3), properties_provider=provider)

    assert details.error_type == "builtins.SystemExit"
    assert provider.asked == []


def test_text_that_utf_8_cannot_hold_is_spelled_out() -> None:
    """A file name that is not UTF-8 reaches Python with lone surrogates in it."""
    provider = Answering({"file": "caf\udce9", "seen": ["\udce9"]})

    details = details_from_exception(OSError("caf\udce9"), properties_provider=provider)

    assert details.message == "caf\\udce9"
    assert details.properties == {"file": "caf\\udce9", "seen": ["\\udce9"]}


@pytest.mark.parametrize(("number", "told"), [(2**53, 2**53), (2**70, float(2**70))])
def test_integers_that_a_double_cannot_hold_become_doubles(number: int, told: float) -> None:
    details = details_from_exception(ValueError(), properties_provider=Answering({"n": number}))

    assert details.properties == {"n": told}
    assert details.properties is not None
    assert type(details.properties["n"]) is type(told)


@pytest.mark.parametrize("value", [10**5000, Decimal("sNaN")], ids=["huge", "no-number"])
def test_a_property_that_is_no_number_at_all_costs_only_the_properties(value: Any) -> None:
    details = details_from_exception(ValueError("x"), properties_provider=Answering({"n": value}))

    assert details == FailureDetails("x", "builtins.ValueError", "")


class EmptyError(Exception):
    """An exception that counts as false."""

    def __len__(self) -> int:
        return 0


def test_a_cause_that_counts_as_false_is_told() -> None:
    error = ValueError("outer")
    error.__cause__ = EmptyError("inner")

    details = details_from_exception(error)

    assert details.inner_failure is not None
    assert details.inner_failure.message == "inner"
