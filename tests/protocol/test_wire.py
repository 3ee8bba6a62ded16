from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.protocol import codec, json_values, messages, timestamps, wire

int32s = st.integers(-(2**31), 2**31 - 1)
times = st.datetimes(timezones=st.just(UTC))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_as_it_was_written(value: int) -> None:
    raw = wire.varint(value)

    assert wire.varint_at(raw, 0) == (value, len(raw))


@given(int32s)
def test_a_signed_number_is_read_as_it_was_written(value: int) -> None:
    raw = wire.int32(value)

    assert raw[0] < 128 or wire.rest_of_int32(raw, 1, raw[0]) == (value, len(raw))


def test_a_stored_event_can_be_spliced_into_a_request() -> None:
    event = messages.HistoryEvent(event_id=300)
    request = messages.OrchestratorRequest(instance_id="order-1")

    raw = codec.encode(request) + wire.length_delimited(3, codec.encode(event))

    request.past_events.append(event)
    assert codec.decode(messages.OrchestratorRequest, raw) == request


@given(times)
def test_a_timestamp_is_read_as_it_was_written(time: datetime) -> None:
    raw = timestamps.write_timestamp(time)

    assert timestamps.read_timestamp(raw, 1, len(raw), None) == time


@given(st.integers(2**28, 2**35 - 1), st.integers(0, 999_999_999))
def test_nanoseconds_are_cut_to_microseconds(seconds: int, nanos: int) -> None:
    raw = b"\x08" + wire.varint(seconds) + b"\x10" + wire.varint(nanos)

    read = timestamps.read_timestamp(raw, 0, len(raw), None)

    assert read == EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


@pytest.mark.parametrize(
    ("seconds", "nearest"),
    [
        (253_402_300_800, datetime.max),
        (2**63 - 1, datetime.max),
        (-62_135_596_801, datetime.min),
        (-(2**63), datetime.min),
    ],
)
def test_a_time_that_python_cannot_hold_becomes_the_nearest(
    seconds: int, nearest: datetime
) -> None:
    raw = b"\x08" + wire.varint(seconds % 2**64)

    assert timestamps.read_timestamp(raw, 0, len(raw), None) == nearest.replace(tzinfo=UTC)


@given(st.timedeltas())
def test_a_duration_is_read_as_it_was_written(span: timedelta) -> None:
    raw = timestamps.write_duration(span)

    assert timestamps.read_duration(raw, 1, len(raw), None) == span


def test_a_duration_below_zero_has_both_parts_below_zero() -> None:
    raw = timestamps.write_duration(timedelta(seconds=-1.5))

    assert raw[1:] == b"\x08" + wire.int32(-1) + b"\x10" + wire.int32(-500_000_000)


json_texts = st.recursive(
    st.none() | st.booleans() | int32s | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(json.dumps)


@given(json_texts)
def test_json_says_the_same_after_a_trip_over_the_wire(text: str) -> None:
    raw = json_values.write(text)

    assert json.loads(json_values.read(raw, 0, len(raw))) == json.loads(text)


def test_whole_numbers_stay_whole_in_json() -> None:
    raw = json_values.write("[3, 3.0, 3.5]")

    assert json_values.read(raw, 0, len(raw)) == "[3, 3, 3.5]"


@pytest.mark.parametrize("text", ["", "{", "1e999x", '"\\ud800"', str(10**400), "[" * 10**5])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(wire.EncodeError):
        json_values.write(text)
