"""What annotations say about payloads, for everything that can be registered."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from durabletask.serialization import DEFAULT_DATA_CONVERTER, DataConverter, JsonDataConverter
from durabletask.serialization.type_discovery import input_type, return_type, takes_input


@dataclass
class Order:
    id: int


class Stamp:
    @classmethod
    def from_json(cls, value: Any) -> Stamp:
        return cls()


def sync(ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]
async def asynchronous(ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]
def generator(ctx: Any, order: Order) -> Generator[Any, Any, Stamp]: ...  # type: ignore[empty-body]
def only_context(ctx: Any) -> Stamp: ...  # type: ignore[empty-body]
def with_default(ctx: Any, order: Order | None = None) -> Stamp | None: ...
def unannotated(ctx, order): ...  # type: ignore[no-untyped-def]
def anything(ctx: Any, order: Any) -> Any: ...
def star(*args: Any) -> None: ...
def keyword_only(ctx: Any, *, order: Order) -> None: ...
def three(ctx: Any, order: Order, extra: int) -> Stamp: ...  # type: ignore[empty-body]
def unknown_name(ctx: Nowhere, order: Order) -> Stamp: ...  # type: ignore[name-defined,empty-body]  # noqa: F821
def quoted_inside(ctx: Any, order: list["Order"]) -> Sequence["Stamp"]: ...  # type: ignore[empty-body]  # noqa: UP037


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def elsewhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate it with a decorator of a module that does not know our types."""
    module: dict[str, Any] = {}
    exec("def decorate(f):\n  def wrapper(*args): ...\n  return wrapper", module)
    return functools.wraps(function)(module["decorate"](function))


class Callable_:  # noqa: N801
    def __call__(self, ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]

    def method(self, ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]

    @staticmethod
    def static(ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]

    @classmethod
    def of_class(cls, ctx: Any, order: Order) -> Stamp: ...  # type: ignore[empty-body]


class Unhashable(Callable_):
    __hash__ = None  # type: ignore[assignment]


FULL = [
    sync,
    asynchronous,
    unknown_name,
    decorated(sync),
    elsewhere(sync),
    functools.partial(three, extra=1),
    functools.partial(functools.partial(three), extra=1),
    Callable_(),
    Callable_().method,
    Callable_.static,
    Callable_.of_class,
    Unhashable(),
]


@pytest.mark.parametrize("function", FULL, ids=lambda f: getattr(f, "__name__", type(f).__name__))
def test_input_and_result_are_found_on_everything_that_can_be_called(
    function: Callable[..., Any],
) -> None:
    assert input_type(function, DEFAULT_DATA_CONVERTER) is Order
    assert return_type(function, DEFAULT_DATA_CONVERTER) is Stamp
    assert takes_input(function)


@pytest.mark.parametrize("function", [unannotated, anything, star, print, len, dict])
def test_no_useful_annotation_means_untyped(function: Callable[..., Any]) -> None:
    assert input_type(function, DEFAULT_DATA_CONVERTER) is None
    assert return_type(function, DEFAULT_DATA_CONVERTER) is None


def test_optional_and_lists_are_kept_as_hints() -> None:
    assert input_type(with_default, DEFAULT_DATA_CONVERTER) == Order | None
    assert input_type(quoted_inside, DEFAULT_DATA_CONVERTER) == list[Order]
    assert return_type(quoted_inside, DEFAULT_DATA_CONVERTER) == Sequence[Stamp]


def test_a_generator_does_not_say_what_reads_its_result() -> None:
    assert input_type(generator, DEFAULT_DATA_CONVERTER) is Order
    assert return_type(generator, DEFAULT_DATA_CONVERTER) is None


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (only_context, False),
        (keyword_only, False),
        (functools.partial(sync, order=Order(1)), False),
        (with_default, True),
        (star, True),
        (unannotated, True),
        (lambda ctx: None, False),
        (lambda ctx, _: None, True),
    ],
)
def test_an_input_is_passed_only_to_what_has_room_for_it(
    function: Callable[..., Any], answer: bool
) -> None:
    assert takes_input(function) is answer


def test_a_function_without_input_has_no_input_type() -> None:
    assert input_type(only_context, DEFAULT_DATA_CONVERTER) is None
    assert return_type(only_context, DEFAULT_DATA_CONVERTER) is Stamp


@pytest.mark.parametrize(
    ("hint", "answer"),
    [
        (Order, True),
        (Stamp, True),
        (Order | None, True),
        (list[Order], True),
        (Sequence[Stamp | None], True),
        (Order | int, True),
        (dict[str, Order], False),
        (tuple[Order, ...], False),
        (set[Order], False),
        (int, False),
        (dict, False),
        (int | None, False),
        (None, False),
        ("Order", False),
    ],
    ids=str,
)
def test_the_json_converter_rebuilds_dataclasses_hooked_types_and_lists_of_them(
    hint: Any, answer: bool
) -> None:
    assert JsonDataConverter().can_reconstruct(hint) is answer


class Numbers(JsonDataConverter):
    """A converter that wants to be asked about int."""

    def can_reconstruct(self, target_type: Any) -> bool:
        return target_type is int or super().can_reconstruct(target_type)


class Everything(JsonDataConverter):
    def can_reconstruct(self, target_type: Any) -> bool:
        return True


class Nothing(DataConverter):
    def serialize(self, value: Any) -> str | None: ...
    def deserialize(self, data: str | None, target_type: type | None = None) -> Any: ...
    def coerce(self, value: Any, target_type: type | None = None) -> Any: ...


def only_unknown(ctx: Any, order: Nowhere) -> Nowhere: ...  # type: ignore[name-defined]  # noqa: F821


def test_the_converter_is_not_asked_about_names_that_nobody_knows() -> None:
    assert input_type(only_unknown, Everything()) is None
    assert return_type(only_unknown, Everything()) is None


def counting(ctx: Any, number: int) -> list[int]: ...  # type: ignore[empty-body]


def test_the_converter_decides_each_time_which_types_count() -> None:
    assert input_type(counting, DEFAULT_DATA_CONVERTER) is None
    assert input_type(counting, Numbers()) is int
    assert return_type(counting, Numbers()) == list[int]
    assert input_type(sync, Nothing()) is None
