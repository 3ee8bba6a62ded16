"""Annotations written as text, resolved as far as their names are known."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional, Union

import pytest

from durabletask.serialization.annotations import resolve


class Order:
    pass


NAMES = {"Order": Order, "Optional": Optional, "side_effect": 1}


@pytest.mark.parametrize(
    ("annotation", "resolved"),
    [
        ("Order", Order),
        ("Optional[Order]", Order | None),
        ("list['Order']", list[Order]),
        (list["Order"], list[Order]),
        (typing.List["Order"], list[Order]),  # noqa: UP006
        (list["Order"] | None, Optional[list[Order]]),  # noqa: UP045
        (Union["Order", int], Order | int),
        (dict[str, tuple["Order", ...]], dict[str, tuple[Order, ...]]),
        (Callable[[int], "Order"], Callable[[int], Order]),
        (Annotated["Order", "a comment"], Order),
        (Annotated[list["Order"], "a comment"], list[Order]),
        (Order, Order),
        (Any, Any),
        (None, None),
    ],
    ids=str,
)
def test_every_name_in_an_annotation_is_looked_up(annotation: Any, resolved: Any) -> None:
    assert resolve(annotation, NAMES) == resolved


@pytest.mark.parametrize(
    "annotation",
    ["Nowhere", "list[Nowhere]", "not python", "1 / 0", Optional["1, 2"]],
    ids=str,
)
def test_what_cannot_be_looked_up_stays_as_it_was_written(annotation: Any) -> None:
    assert resolve(annotation, NAMES) == annotation


def test_an_unknown_name_spoils_only_its_own_place() -> None:
    assert resolve(dict["Nowhere", "Order"], NAMES) == dict["Nowhere", Order]  # type: ignore[name-defined]  # noqa: F821


def test_the_strings_of_a_literal_are_values() -> None:
    assert resolve(Literal["Order"], NAMES) == Literal["Order"]
