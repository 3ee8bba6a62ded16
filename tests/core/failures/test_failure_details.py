"""What `is_caused_by` answers, for types and for their names."""

from __future__ import annotations

import pickle
import typing

import pytest

from durabletask.failures import FailureDetails


class ShopError(Exception):
    pass


class OutOfStockError(ShopError):
    pass


def failure(error_type: str) -> FailureDetails:
    return FailureDetails(message="no", error_type=error_type, stack_trace=None)


@pytest.mark.parametrize(
    ("stored", "asked", "answer"),
    [
        ("builtins.ValueError", ValueError, True),
        ("builtins.ValueError", Exception, True),
        ("builtins.ValueError", BaseException, True),
        ("builtins.ValueError", UnicodeError, False),
        ("builtins.ValueError", KeyError, False),
        ("ValueError", ValueError, True),
        ("ValueError", Exception, True),
        ("a.b.ValueError", ValueError, False),
        ("a.b.ValueError", Exception, False),
        ("builtins.ValueError", "ValueError", True),
        ("builtins.ValueError", "builtins.ValueError", True),
        ("builtins.ValueError", "x.ValueError", False),
        ("builtins.ValueError", "Exception", False),
        ("ValueError", "x.ValueError", True),
        ("a.b.ValueError", "ValueError", True),
        ("builtins.ValueError", "", False),
    ],
)
def test_a_type_matches_its_subclasses_and_a_name_only_itself(
    stored: str, asked: type[BaseException] | str, *, answer: bool
) -> None:
    """The answers of the official SDK 1.12.0 to the same questions."""
    assert failure(stored).is_caused_by(asked) is answer


def test_a_subclass_of_ones_own_is_recognised_by_its_base() -> None:
    details = failure(f"{__name__}.OutOfStockError")

    assert details.is_caused_by(OutOfStockError)
    assert details.is_caused_by(ShopError)
    assert not details.is_caused_by(ValueError)


def test_inner_failures_are_not_searched() -> None:
    outer = FailureDetails("outer", "builtins.KeyError", None, failure("builtins.ValueError"))

    assert not outer.is_caused_by(ValueError)


@pytest.mark.parametrize("nonsense", [int, 3, None, ValueError()])
def test_only_exception_types_and_names_can_be_asked_about(nonsense: object) -> None:
    with pytest.raises(TypeError, match="expects an exception type or a type-name string"):
        failure("builtins.ValueError").is_caused_by(nonsense)  # type: ignore[arg-type]


def test_details_are_values() -> None:
    one = FailureDetails("m", "t", "frames", failure("inner"), {"code": [1]})
    same = FailureDetails("m", "t", "frames", failure("inner"), {"code": [1]})

    assert one == same
    assert hash(one) == hash(same)
    with pytest.raises(AttributeError):
        one.message = "other"  # type: ignore[misc]


def test_details_survive_pickling() -> None:
    details = FailureDetails("m", "t", "frames", failure("inner"), {"code": [1]})

    assert pickle.loads(pickle.dumps(details)) == details


def test_data_converters_can_ask_for_the_types_of_the_fields() -> None:
    hints = typing.get_type_hints(FailureDetails)

    assert hints["inner_failure"] == FailureDetails | None
