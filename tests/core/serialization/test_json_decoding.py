"""Reading without a type: JSON values, and the objects that old SDKs marked."""

from __future__ import annotations

import json
import typing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.serialization import JsonDataConverter

converter = JsonDataConverter()
MARKED = '{"__durabletask_autoobject__": true, "a": {"__durabletask_autoobject__": true, "b": 1}}'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_values_come_back_as_they_were(value: Any) -> None:
    assert converter.deserialize(converter.serialize(value)) == value


@pytest.mark.parametrize("data", [None, ""])
@pytest.mark.parametrize("target", [None, int, list[int]])
def test_no_payload_is_none(data: str | None, target: Any) -> None:
    assert converter.deserialize(data, target) is None


@pytest.mark.parametrize("text", ["{no json", "1 2", "[] x", " "])
@pytest.mark.parametrize("target", [None, int])
def test_text_that_is_not_json_is_an_error(text: str, target: type | None) -> None:
    with pytest.raises(json.JSONDecodeError):
        converter.deserialize(text, target)


@pytest.mark.parametrize("text", [" 7", "7\n", "\t7\r\n "])
def test_white_space_around_json_is_no_part_of_it(text: str) -> None:
    assert converter.deserialize(text) == 7


def test_a_marked_object_of_an_old_sdk_is_a_namespace() -> None:
    assert converter.deserialize(MARKED) == SimpleNamespace(a=SimpleNamespace(b=1))


@pytest.mark.parametrize("target", [dict, typing.Dict, dict[str, Any]])  # noqa: UP006
def test_the_mark_is_not_shown_to_a_reader_with_a_type(target: Any) -> None:
    assert converter.deserialize(MARKED, target) == {"a": {"b": 1}}
    assert converter.deserialize(f"[{MARKED}]", typing.List) == [{"a": {"b": 1}}]  # noqa: UP006


def test_a_marked_object_that_does_not_fit_the_type_is_read_as_if_none_were_asked_for() -> None:
    assert converter.deserialize(MARKED, int) == SimpleNamespace(a=SimpleNamespace(b=1))


def test_an_object_marked_false_is_an_object() -> None:
    assert converter.deserialize('{"__durabletask_autoobject__": false, "a": 1}') == {"a": 1}


def test_a_string_that_only_mentions_the_mark_stays_as_it_is() -> None:
    text = "about __durabletask_autoobject__"

    assert converter.deserialize(json.dumps([text])) == [text]
