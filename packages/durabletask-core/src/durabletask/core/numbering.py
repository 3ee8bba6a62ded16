"""Where the numbers of an execution's actions begin.

durabletask-go hands an execution the answers to the one that it continued, and takes one answer
for each number. Were the first action of both number 1, a timer of the old execution would end
one of the new. So each execution has numbers of its own: a thousand times something that follows
from its id, and then 001, 002, and so on. Where history has been written otherwise, by another
SDK or for another engine, it is followed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.core.foresight import Foresight

# All numbers stay below 2**31, which is what they have room for on the wire.
_PLACES = 2_000_000
_APART = 1_000


def base_of(execution_id: str, foresight: Foresight, *, unique: bool) -> int:
    """The number before the first one of that execution.

    `unique` is whether an execution that has asked for nothing yet begins with its own.
    """
    own = zlib.crc32(execution_id.encode(errors="replace")) % _PLACES * _APART
    recorded = foresight.first_number()
    is_own = unique if recorded is None else own < recorded <= own + _APART
    return own if is_own else 0
