"""`google.protobuf.Timestamp` and `Duration` as `datetime` and `timedelta`.

A time outside Python's range becomes the first or the last of it: a peer with a broken clock
must not make the work item unreadable. Fractions of a microsecond are cut off.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from durabletask.protocol import wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_DAY = 86_400
_from_seconds = datetime.fromtimestamp

# The continuation flags of a varint's first three and four bytes, added up.
_FLAGS_OF_3 = 128 + (128 << 7) + (128 << 14)
_FLAGS_OF_4 = _FLAGS_OF_3 + (128 << 21)

# The least numbers whose varints have so many bytes, and the first after 2106.
_LEAST_OF_4 = 1 << 21
_LEAST_OF_5 = 1 << 28
_END_OF_USUAL = 1 << 32

_SECONDS_TAG = 1 << 3
_NANOS_TAG = 2 << 3


def read_timestamp(raw: bytes, pos: int, stop: int, previous: datetime | None) -> datetime:
    """The timestamp in `raw[pos:stop]`; parts that are missing are taken from `previous`."""
    if 10 < stop - pos < 13:
        usual = _read_usual(raw, pos, stop - pos)
        if usual is not None:
            return usual
    seconds, nanos = (0, 0) if previous is None else _parts(previous)
    seconds, nanos = _read_parts(raw, pos, stop, seconds, nanos)
    try:
        return _EPOCH + timedelta(0, seconds, nanos // 1000)
    except OverflowError:
        return _LATEST if seconds > 0 else _EARLIEST


def _read_usual(raw: bytes, pos: int, size: int) -> datetime | None:
    """The timestamp that nearly every event has, in half the time; None if it is another.

    Seconds from 1978 to 2106, which take five bytes, then nanoseconds in four or five.
    """
    s_tag, s0, s1, s2, s3, s4, n_tag, n0, n1, n2, n3 = raw[pos : pos + 11]
    if (
        s_tag != _SECONDS_TAG
        or n_tag != _NANOS_TAG
        or s0 & s1 & s2 & s3 & n0 & n1 & n2 < 128
        or s4 > 15
    ):
        return None
    seconds = s0 + (s1 << 7) + (s2 << 14) + (s3 << 21) + (s4 << 28) - _FLAGS_OF_4
    nanos = n0 + (n1 << 7) + (n2 << 14) + (n3 << 21)
    if size == 11 and n3 < 128:
        nanos -= _FLAGS_OF_3
    elif size == 12 and n3 > 127 and raw[pos + 11] < 4:
        nanos += (raw[pos + 11] << 28) - _FLAGS_OF_4
    else:
        return None
    # Exact: a float holds 32 bits of seconds and 20 of microseconds.
    return _from_seconds(seconds + nanos // 1000 * 1e-6, UTC)


def write_timestamp(value: datetime) -> bytes:
    """The message with its length before it."""
    if value.tzinfo is None:
        raise wire.EncodeError(f"{value!r} has no time zone")
    since = value - _EPOCH
    seconds, nanos = since.days * _DAY + since.seconds, since.microseconds * 1000
    if _LEAST_OF_5 <= seconds < _END_OF_USUAL and nanos >= _LEAST_OF_4:
        return _write_usual(seconds, nanos)
    return _write_parts(seconds, nanos)


def write_dapr_timestamp(value: datetime) -> bytes:
    """The same, but the latest time is written with all of its nanoseconds.

    Dapr's SDKs use that time for timers that never fire, and recognize them by it.
    """
    return _NEVER if value == _LATEST else write_timestamp(value)


def _write_usual(seconds: int, nanos: int) -> bytes:
    """The timestamp that nearly every event has (`_read_usual`), in a third of the time."""
    s0, s1, s2, s3 = seconds & 127, seconds >> 7 & 127, seconds >> 14 & 127, seconds >> 21 & 127
    n0, n1, n2, n3 = nanos & 127, nanos >> 7 & 127, nanos >> 14 & 127, nanos >> 21 & 127
    head = (_SECONDS_TAG, s0 | 128, s1 | 128, s2 | 128, s3 | 128, seconds >> 28, _NANOS_TAG)
    if nanos < _LEAST_OF_5:
        return bytes((11, *head, n0 | 128, n1 | 128, n2 | 128, n3))
    return bytes((12, *head, n0 | 128, n1 | 128, n2 | 128, n3 | 128, nanos >> 28))


def read_duration(raw: bytes, pos: int, stop: int, previous: timedelta | None) -> timedelta:
    """The duration in `raw[pos:stop]`; parts that are missing are taken from `previous`."""
    seconds, nanos = (0, 0) if previous is None else _signed_parts(previous)
    seconds, nanos = _read_parts(raw, pos, stop, seconds, nanos)
    micros = nanos // 1000 if nanos >= 0 else -(-nanos // 1000)
    try:
        return timedelta(0, seconds, micros)
    except OverflowError:
        return timedelta.max if seconds > 0 else timedelta.min


def write_duration(value: timedelta) -> bytes:
    """The message with its length before it."""
    seconds, nanos = _signed_parts(value)
    return _write_parts(seconds, nanos)


def _parts(value: datetime) -> tuple[int, int]:
    since = value - _EPOCH
    return since.days * _DAY + since.seconds, since.microseconds * 1000


def _signed_parts(value: timedelta) -> tuple[int, int]:
    """Seconds and nanoseconds of the same sign, as a Duration has them."""
    seconds, micros = value.days * _DAY + value.seconds, value.microseconds
    if seconds < 0 and micros:
        seconds, micros = seconds + 1, micros - 1_000_000
    return seconds, micros * 1000


def _read_parts(raw: bytes, pos: int, stop: int, seconds: int, nanos: int) -> tuple[int, int]:
    while pos < stop:
        tag = raw[pos]
        pos += 1
        if tag == _SECONDS_TAG:
            seconds, pos = wire.varint_at(raw, pos)
            if seconds > 0x7FFF_FFFF_FFFF_FFFF:
                seconds -= 1 << 64
        elif tag == _NANOS_TAG:
            nanos = raw[pos]
            pos += 1
            if nanos > 0x7F:
                nanos, pos = wire.rest_of_int32(raw, pos, nanos)
        else:
            tag, pos = wire.tag_at(raw, pos - 1)
            pos = wire.skip(raw, tag, pos, stop)
    if pos != stop:
        raise wire.DecodeError(wire.TRUNCATED)
    return seconds, nanos


def _write_parts(seconds: int, nanos: int) -> bytes:
    body = b""
    if seconds:
        body = b"\x08" + wire.varint(seconds if seconds > 0 else seconds + (1 << 64))
    if nanos:
        body += b"\x10" + wire.int32(nanos)
    return wire.BYTE[len(body)] + body


_NEVER = _write_parts(_parts(_LATEST)[0], 999_999_999)
