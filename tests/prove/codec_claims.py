"""What the codec promises about bytes that anybody may have sent.

Reading them raises DecodeError or returns a message. That message can be written in every
dialect; what was written in its own, or in the native one as our engine stores it, is read as the
same message. (A number that only Dapr has and that was not read is read by the native dialect: so
what comes back from Microsoft's workers has lost nothing.)
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, dialect_detection, dialects, messages, wire, work_items
from durabletask.protocol.messages import _generated

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECTS = (dialects.NATIVE, dialects.TASKHUB, dialects.DAPR, dialects.EITHER)

CLASSES: tuple[type[Any], ...] = tuple(
    getattr(messages, name)
    for name in sorted(vars(_generated))
    if dataclasses.is_dataclass(getattr(_generated, name))
    and getattr(_generated, name).__module__ == _generated.__name__
)
"""Every message of the protocol."""

_CHOICES = 2


def check(data: bytes) -> None:
    """Try all of it on `data`, whose first two bytes say as what it is read."""
    if len(data) < _CHOICES:
        return
    message_class = CLASSES[data[0] % len(CLASSES)]
    dialect = DIALECTS[data[1] % len(DIALECTS)]
    check_message(message_class, data[_CHOICES:], dialect)
    check_dialect_detection(data[_CHOICES:])


def chosen(message_class: type[Any], dialect: dialects.Dialect, raw: bytes) -> bytes:
    """The data that makes `check` read `raw` as this."""
    return bytes((CLASSES.index(message_class), DIALECTS.index(dialect))) + raw


def check_message(message_class: type[Any], raw: bytes, dialect: dialects.Dialect) -> None:
    """Raise AssertionError, or what the codec should not have raised."""
    try:
        message = codec.decode(message_class, raw, dialect)
    except codec.DecodeError:
        return
    written = codec.encode(message, dialect)
    again = codec.decode(message_class, written, dialect)
    assert again == message, f"{message} became {again}"
    assert codec.encode(again, dialect) == written, f"{message} is written in two ways"
    for other in DIALECTS:
        codec.encode(message, other)
    stored = codec.encode(message, dialects.NATIVE)
    found = codec.decode(message_class, stored, dialects.NATIVE)
    assert found == message or _keeps_daprs(message), f"{message} is stored as {found}"


def _keeps_daprs(value: Any) -> bool:
    """Whether a message, or one in it, keeps a field unread that only Dapr has."""
    if isinstance(value, dict):
        return any(map(_keeps_daprs, value.values()))
    if isinstance(value, list):
        return any(map(_keeps_daprs, value))
    if not dataclasses.is_dataclass(value):
        return False
    held = vars(value)
    numbers = _numbers(bytes(held.get("_unknown_fields", b"")))
    return any(number >= dialects.FIRST_DAPR_NUMBER for number in numbers) or any(
        map(_keeps_daprs, held.values())
    )


def _numbers(raw: bytes) -> Iterator[int]:
    pos = 0
    while pos < len(raw):
        tag, pos = wire.tag_at(raw, pos)
        pos = wire.skip(raw, tag, pos, len(raw))
        yield tag >> 3


def check_dialect_detection(raw: bytes) -> None:
    """The same of those who look into bytes before they are decoded."""
    for look in (
        dialect_detection.of_worker,
        dialect_detection.of_completion,
        dialect_detection.completion_ids,
    ):
        _only_decode_error(look, raw)
    for dialect in DIALECTS:
        _only_decode_error(work_items.peek, raw, dialect)


def _only_decode_error(look: Any, *arguments: Any) -> None:
    try:
        look(*arguments)
    except codec.DecodeError:
        return
