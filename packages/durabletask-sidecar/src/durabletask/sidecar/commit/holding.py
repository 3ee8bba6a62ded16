"""Keep one submission back for a moment, to store it by the same commit as one that is to come.

    result of an activity -------- waits for --> the turn that was handed out ahead of it
    completion without effects --- waits for --> whatever is submitted next

A commit costs a flush, and processor time beside it: one less is worth a short wait, as long as
nothing else is to be stored and nobody outside waits for what is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock

    from .flushing import FlushPace

    SubmissionKey = tuple[str, str]
    """The task hub, and the instance or entity."""

T = TypeVar("T")

# Holding saves one commit, so it lasts about as long as one: the flush, or what the rest of a
# commit takes where flushes are quick.
_SHORTEST = timedelta(milliseconds=1)
# Where flushes take longer than this, a turn that has not come by now is a slow one.
_LONGEST = timedelta(milliseconds=5)


@dataclass(frozen=True, slots=True, eq=False)
class _Held(Generic[T]):
    what: T
    joins: SubmissionKey | None
    """Whose next submission it waits for; None waits for any."""
    until: datetime


class Holding(Generic[T]):
    """What is held, which is one submission at most.

    `clock` measures how long, `pace` knows how long a flush takes, and `expired` is called when
    nothing has come in that time.
    """

    def __init__(self, clock: Clock, pace: FlushPace, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._pace = pace
        self._expired = expired
        self._held: _Held[T] | None = None
        self._alarm: Alarm | None = None

    @property
    def is_empty(self) -> bool:
        return self._held is None

    @property
    def is_worth_it(self) -> bool:
        """Whether commits wait for a disk at all, and nothing is held yet."""
        return self._held is None and self._pace.typical() > 0

    def hold_for(self, key: SubmissionKey, what: T) -> None:
        """Hold it for the next submission with this key, for as long as a commit takes."""
        flush = timedelta(seconds=self._pace.typical())
        self._hold(what, key, min(max(flush, _SHORTEST), _LONGEST))

    def hold_for_any(self, what: T) -> None:
        """Hold it for whatever is submitted next: nobody waits for it."""
        self._hold(what, None, _LONGEST)

    def _hold(self, what: T, joins: SubmissionKey | None, patience: timedelta) -> None:
        assert self._held is None, "one submission at a time is held; ask `is_worth_it` first"
        self._held = _Held(what, joins, self._clock.now() + patience)
        # An alarm that is set already looks how long there is left. So most need none.
        if self._alarm is None or self._alarm.when > self._held.until:
            self._set_alarm(self._held.until)

    def waits_for(self, key: SubmissionKey) -> bool:
        """Whether something is held that is to be stored with a submission with this key."""
        held = self._held
        return held is not None and (held.joins is None or held.joins == key)

    @property
    def waits_for_any(self) -> bool:
        return self._held is not None and self._held.joins is None

    def take(self) -> T | None:
        """What is held, and is not any more."""
        held, self._held = self._held, None
        return None if held is None else held.what

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self, when: datetime) -> None:
        self.close()
        self._alarm = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        self._alarm = None
        if self._held is None:
            return
        if self._held.until > self._clock.now():
            self._set_alarm(self._held.until)
        else:
            self._expired()
