"""The queue of messages that wait for an entity.

Each message is visible at once, or at the time that it is scheduled for. Messages are taken
in the order in which they become visible; while the entity is locked, only those of the
orchestration that has locked it.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from .commands import Caller


class MessageKind(enum.IntEnum):
    """The kinds of messages."""

    SIGNAL = 0
    CALL = 1
    LOCK = 2


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message in the queue."""

    number: int
    kind: MessageKind
    visible_at: datetime
    request_id: str
    """For a lock request, the id of the critical section."""
    event: bytes
    caller: Caller | None = None
    """The execution that waits for the answer; None for a signal."""

    @property
    def order(self) -> tuple[datetime, int]:
        return (self.visible_at, self.number)

    @property
    def request(self) -> tuple[str | None, str]:
        """Identifies the message when its sender repeats it."""
        return (None if self.caller is None else self.caller.instance_id, self.request_id)


class MessageQueue:
    """The messages of one entity."""

    def __init__(self, rows: Iterable[MessageRow] = ()) -> None:
        self._rows: dict[int, MessageRow] = {}
        self._by_request: dict[tuple[str | None, str], int] = {}
        self.size = 0
        """Bytes of the messages."""
        self._order: list[tuple[datetime, int]] = []
        self._order_by_caller: dict[str, list[tuple[datetime, int]]] = {}
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[MessageRow]:
        return iter(self._rows.values())

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def __getitem__(self, number: int) -> MessageRow:
        return self._rows[number]

    def find(self, caller_id: str | None, request_id: str) -> MessageRow | None:
        """The message in the queue with this caller and id; the caller of a signal is None.

        Ids are unique within one orchestration only, and some senders give none.
        """
        number = self._by_request.get((caller_id, request_id)) if request_id else None
        return None if number is None else self._rows[number]

    def add(self, row: MessageRow) -> None:
        self._rows[row.number] = row
        self.size += len(row.event)
        self._by_request[row.request] = row.number
        insort(self._order, row.order)
        if row.caller is not None:
            insort(self._order_by_caller.setdefault(row.caller.instance_id, []), row.order)

    def remove(self, number: int) -> None:
        row = self._rows.pop(number)
        self.size -= len(row.event)
        if self._by_request.get(row.request) == number:
            del self._by_request[row.request]
        _take_out(self._order, row)
        if row.caller is not None:
            caller_id = row.caller.instance_id
            _take_out(self._order_by_caller[caller_id], row)
            if not self._order_by_caller[caller_id]:
                del self._order_by_caller[caller_id]

    def visible_at(self, holder_id: str | None) -> datetime | None:
        """When the first message is visible; with a holder, the first one of the holder."""
        order = self._order_for(holder_id)
        return order[0][0] if order else None

    def visible(self, now: datetime, holder_id: str | None) -> Iterator[MessageRow]:
        """The visible messages, in order; with a holder, only those of the holder."""
        for visible_at, number in self._order_for(holder_id):
            if visible_at > now:
                return
            yield self._rows[number]

    def _order_for(self, holder_id: str | None) -> list[tuple[datetime, int]]:
        if holder_id is None:
            return self._order
        return self._order_by_caller.get(holder_id, [])


def _take_out(order: list[tuple[datetime, int]], row: MessageRow) -> None:
    del order[bisect_left(order, row.order)]
