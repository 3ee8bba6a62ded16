"""Keep unknown fields, and send them on with their message.

They are kept under our own numbers. A field from Dapr therefore gets 1000 added, like all
fields that only Dapr has; else a newer field of one vendor could be taken for one of the
other's. For the same reason only fields from Dapr are sent to Dapr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import wire
from durabletask.protocol.dialects import FIRST_DAPR_NUMBER, DaprNumbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.dialects import Dialect

_SHIFT = FIRST_DAPR_NUMBER << 3


def keeper(dialect: Dialect) -> Callable[[Any, bytes, int, int, int], int]:
    """The function that keeps the field at `pos` and returns where it ends."""
    return _keep_shifted if dialect.dapr_numbers is DaprNumbers.SHIFTED else _keep


def writer(dialect: Dialect) -> Callable[[bytes], bytes]:
    """The function that gives the kept fields that peers of this dialect may be sent."""
    return _write_shifted if dialect.dapr_numbers is DaprNumbers.SHIFTED else bytes


def _keep(message: Any, raw: bytes, tag: int, pos: int, end: int) -> int:
    stop = wire.skip(raw, tag, pos, end)
    kept = message._unknown_fields  # noqa: SLF001 - where betterproto2 looks for them
    if not isinstance(kept, bytearray):
        # Appended to in place: with copies, many unknown fields would take quadratic time.
        message._unknown_fields = kept = bytearray(kept)  # noqa: SLF001
    kept += wire.varint(tag) + raw[pos:stop]
    return stop


def _keep_shifted(message: Any, raw: bytes, tag: int, pos: int, end: int) -> int:
    if (tag + _SHIFT) >> 3 > wire.LARGEST_NUMBER:
        return wire.skip(raw, tag, pos, end)
    wire.skip(raw, tag, pos, end)  # of the tag as received: it may be malformed
    return _keep(message, raw, tag + _SHIFT, pos, end)


def _write_shifted(kept: bytes) -> bytes:
    raw = bytes(kept)
    written = []
    pos = 0
    while pos < len(raw):
        tag, pos = wire.tag_at(raw, pos)
        content, pos = pos, wire.skip(raw, tag, pos, len(raw))
        if tag >= _SHIFT:
            written.append(wire.varint(tag - _SHIFT) + raw[content:pos])
    return b"".join(written)
