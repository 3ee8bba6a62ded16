"""Details survive the trip, and what a peer sends is never too odd to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.failures import FailureDetails, from_message, to_message
from durabletask.protocol import codec, dialects, messages

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
plain = st.builds(
    FailureDetails,
    message=st.text(),
    error_type=st.text(),
    stack_trace=st.none() | st.text(),
    properties=st.none() | st.dictionaries(st.text(), json_values, min_size=1, max_size=3),
)
any_details = st.recursive(
    plain,
    lambda inner: st.builds(
        FailureDetails, st.text(), st.text(), st.none() | st.text(), inner_failure=inner
    ),
    max_leaves=4,
)


@given(any_details)
def test_details_come_back_as_they_were_sent(details: FailureDetails) -> None:
    assert from_message(to_message(details)) == details


@given(any_details, st.sampled_from([dialects.NATIVE, dialects.TASKHUB]))
def test_they_do_so_through_bytes(details: FailureDetails, dialect: dialects.Dialect) -> None:
    raw = codec.encode(to_message(details), dialect)

    assert from_message(codec.decode(messages.TaskFailureDetails, raw, dialect)) == details


def depth_of(message: messages.TaskFailureDetails | None) -> int:
    depth = 0
    while message is not None:
        depth, message = depth + 1, message.inner_failure
    return depth


@pytest.mark.parametrize(("told", "sent"), [(49, 49), (50, 50), (51, 50), (5000, 50)])
def test_no_more_causes_are_sent_than_peers_read(told: int, sent: int) -> None:
    details = None
    for level in range(told, 0, -1):
        details = FailureDetails(f"level {level}", "t", None, inner_failure=details)
    assert details is not None

    message = to_message(details)

    assert depth_of(message) == sent
    assert message.error_message == "level 1"


def test_a_property_that_is_no_json_is_kept_as_text() -> None:
    message = messages.TaskFailureDetails(properties={"code": "E{7", "fine": "7"})

    assert from_message(message).properties == {"code": "E{7", "fine": 7}


def test_a_property_no_json_can_hold_is_sent_as_text() -> None:
    details = FailureDetails("m", "t", None, properties={"where": {1}})

    assert from_message(to_message(details)).properties == {"where": "{1}"}


def test_an_empty_message_is_an_empty_failure() -> None:
    assert from_message(messages.TaskFailureDetails()) == FailureDetails("", "", None)
