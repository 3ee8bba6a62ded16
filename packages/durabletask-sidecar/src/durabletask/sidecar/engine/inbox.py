"""The inbox: events that an orchestrator has not read yet.

Each row becomes visible at a certain time: an external event at once, a timer when it fires,
the start of an instance when it is scheduled. Turns get the visible rows in the order in
which these became visible. The start, and a pair of suspended and resumed, come first.
"""

from __future__ import annotations

import enum
import heapq
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime


class RowKind(enum.IntEnum):
    """The kinds of rows; turns get those with lower numbers first."""

    START = 0
    CONTROL = 1
    """Suspended and resumed, which are always a pair."""
    CARRIED = 2
    """An event that was carried over by continue-as-new; later ones do not overtake it."""
    EVENT = 3
    """From a client or another orchestration; it outlives continue-as-new."""
    RESULT = 4
    """The result of a task, timer, child, call or lock; it belongs to one execution."""
    REWIND = 5
    """The instance was rewound; the row is alone in its turn."""
    WAKE_UP = 6
    """No event: it makes a turn due although nothing has happened."""

    @property
    def outlives_its_execution(self) -> bool:
        """Whether continue-as-new passes the row on to the next execution."""
        return self in (RowKind.CONTROL, RowKind.CARRIED, RowKind.EVENT)


class InboxRow(NamedTuple):
    """One event in the inbox."""

    number: int
    kind: RowKind
    visible_at: datetime
    event: bytes
    answers: str | None = None
    """What it answers, by its name in `pending`; that is not asked for again."""

    @property
    def order(self) -> tuple[int, datetime, int]:
        # Events and results are read in the order in which they arrived.
        return (min(self.kind, RowKind.EVENT), self.visible_at, self.number)


class Inbox:
    """The rows of one instance."""

    def __init__(self, rows: Iterable[InboxRow] = ()) -> None:
        self._rows: dict[int, InboxRow] = {}
        self._by_time: list[tuple[datetime, int]] = []
        self._answers: dict[str, int] = {}
        self.size = 0
        """Bytes of the events."""
        self._start: InboxRow | None = None
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[InboxRow]:
        return iter(self._rows.values())

    def add(self, row: InboxRow) -> None:
        self._rows[row.number] = row
        self.size += len(row.event)
        heapq.heappush(self._by_time, (row.visible_at, row.number))
        if row.answers is not None:
            self._answers[row.answers] = row.number
        if row.kind is RowKind.START:
            self._start = row

    def remove(self, number: int) -> None:
        row = self._rows.pop(number)
        self.size -= len(row.event)
        # The name may belong to a newer row: a worker may leave a critical section before it
        # reads the grant, and request it again.
        if row.answers is not None and self._answers.get(row.answers) == number:
            del self._answers[row.answers]

    def get(self, number: int) -> InboxRow | None:
        """The row of this number."""
        return self._rows.get(number)

    def answer_to(self, name: str) -> int | None:
        """The number of the row that answers this; a timer's row may not be visible yet."""
        return self._answers.get(name)

    def keeping(self, numbers: Collection[int]) -> Inbox:
        """A new inbox with only these rows."""
        return Inbox(self._rows[number] for number in numbers)

    def starts_at(self) -> datetime | None:
        """When the start event is visible; None if it was read."""
        start = self._start
        return start.visible_at if start is not None and start.number in self._rows else None

    def due_at(self) -> datetime | None:
        """When the first row is visible."""
        # Removed rows leave the heap here, where they are on top of it.
        while self._by_time and self._by_time[0][1] not in self._rows:
            heapq.heappop(self._by_time)
        return self._by_time[0][0] if self._by_time else None

    def due(self, now: datetime) -> list[InboxRow]:
        """The visible rows, in the order in which turns get them."""
        visible = [row for row in self._rows.values() if row.visible_at <= now]
        if len(visible) > 1:
            visible.sort(key=lambda row: row.order)
        return visible
