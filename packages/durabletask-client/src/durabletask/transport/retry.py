"""Which calls may be made again after a failure, and when.

    safety      after which failures                           for how long
    ----------  ---------------------------------------------  --------------------------
    REPEATABLE  the sidecar was away, or turned the call away  patience
    WAIT        the same                                       patience, or half a minute
                                                               if a sidecar was there before
    ONCE        only if the request cannot have been sent      patience

A method that is not in the table is ONCE: what it does twice, nobody knows.

Status codes are names here (`"UNAVAILABLE"`), so that the table can be read and tested
without gRPC. Knows no clock: times and the draw for the jitter are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final


class Safety(Enum):
    """What happens to the sidecar's state when a request of a method arrives twice."""

    REPEATABLE = "the second changes nothing"
    WAIT = "nothing, and the caller expects to stay for long"
    ONCE = "something would happen twice"


_SAFETY: Final[dict[str, Safety]] = {
    "Hello": Safety.REPEATABLE,
    # The id is chosen before the first attempt, so a second one finds the instance there.
    "StartInstance": Safety.REPEATABLE,
    "GetInstance": Safety.REPEATABLE,
    "WaitForInstanceStart": Safety.WAIT,
    "WaitForInstanceCompletion": Safety.WAIT,
    "TerminateInstance": Safety.REPEATABLE,
    "SuspendInstance": Safety.REPEATABLE,
    "ResumeInstance": Safety.REPEATABLE,
    "QueryInstances": Safety.REPEATABLE,
    "ListInstanceIds": Safety.REPEATABLE,
    "ListInstanceIDs": Safety.REPEATABLE,
    "GetInstanceHistory": Safety.REPEATABLE,
    "StreamInstanceHistory": Safety.REPEATABLE,
    "GetEntity": Safety.REPEATABLE,
    "QueryEntities": Safety.REPEATABLE,
    # Guarded by their completion token: the second is ignored.
    "CompleteActivityTask": Safety.REPEATABLE,
    "CompleteOrchestratorTask": Safety.REPEATABLE,
    "CompleteWorkflowTask": Safety.REPEATABLE,
    "CompleteEntityTask": Safety.REPEATABLE,
    "AbandonTaskActivityWorkItem": Safety.REPEATABLE,
    "AbandonTaskOrchestratorWorkItem": Safety.REPEATABLE,
    "AbandonTaskEntityWorkItem": Safety.REPEATABLE,
    # An event that is delivered twice is two events.
    "RaiseEvent": Safety.ONCE,
    "SignalEntity": Safety.ONCE,
    # In between the instance may have failed or ended again, or its id begun another life.
    "RewindInstance": Safety.ONCE,
    "RestartInstance": Safety.ONCE,
    "RerunWorkflowFromEvent": Safety.ONCE,
    "PurgeInstances": Safety.ONCE,
    # The second would count what the first has left.
    "CleanEntityStorage": Safety.ONCE,
}

# gRPC's server turns calls away with CANCELLED when thousands are waiting to be accepted.
_PASSING = frozenset({"UNAVAILABLE", "CANCELLED"})

# gRPC says so when there was no connection to write the request to. Should the texts ever
# change, calls that must not be made twice are repeated less often, and that is all.
_NEVER_SENT = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "errors resolving ",
)

RECONNECT_WINDOW: Final = 30.0
"""Seconds for which a wait outlives a sidecar that was there before: it may be restarting."""

# Seconds by which two timers for one deadline may differ.
_TIMERS_DIFFER = 0.1

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What gRPC said of an attempt that failed: the name of the status and its details.

    `in_detection` means that the question who is there failed, before the request was sent.
    """

    status: str
    details: str = ""
    in_detection: bool = False

    @property
    def never_sent(self) -> bool:
        """True only if the request cannot have reached anybody."""
        return self.status == "UNAVAILABLE" and self.details.startswith(_NEVER_SENT)

    def is_end_of_time(self, left: float) -> bool:
        """True if the call was cut off because its time was over; `left` is what remained.

        The sidecar keeps the same deadline. Where its reset of the stream comes before our own
        timer, gRPC calls that UNAVAILABLE or CANCELLED.
        """
        if self.status == "DEADLINE_EXCEEDED":
            return True
        return self.status in _PASSING and "RST_STREAM" in self.details and left <= _TIMERS_DIFFER


def safety_of(method_name: str) -> Safety:
    """Say what a second request of this method would do."""
    return _SAFETY.get(method_name, Safety.ONCE)


def may_repeat(safety: Safety, failure: Failure) -> bool:
    """Say whether a call that failed so may be made again at all."""
    if safety is Safety.ONCE and not failure.in_detection:
        return failure.never_sent
    return failure.status in _PASSING


@dataclass(slots=True)
class Retries:
    """The attempts of one call: how long the next may take, and whether there is a next.

    `deadline` and every `now` are seconds of one and the same clock.
    """

    safety: Safety
    deadline: float
    patience: float
    sidecar_was_there: bool = False
    _attempt_began: float = 0.0
    _failing_since: float = 0.0
    _failures: int = 0

    def begin(self, now: float) -> float:
        """Begin an attempt; returns the seconds that it may take."""
        self._attempt_began = now
        return self.left(now)

    def left(self, now: float) -> float:
        """The seconds until the deadline."""
        return max(0.0, self.deadline - now)

    def pause_after(self, failure: Failure, *, now: float, jitter: float) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        `jitter` is a draw from [0, 1).
        """
        if not may_repeat(self.safety, failure):
            return None
        self._record(failure, now)
        pause = self._pause(jitter)
        gives_up_at = min(self.deadline, self._failing_since + self._window)
        return pause if now + pause < gives_up_at else None

    def _record(self, failure: Failure, now: float) -> None:
        held = now - self._attempt_began > _LONGEST_PAUSE and not failure.never_sent
        # A wait that held for a while had found its sidecar, and what follows is one outage.
        self.sidecar_was_there |= held
        if held or self._failures == 0:
            self._failing_since = now
            self._failures = 0
        self._failures += 1

    @property
    def _window(self) -> float:
        # Whoever asked for no repetitions at all gets none.
        if self.safety is Safety.WAIT and self.sidecar_was_there and self.patience > 0:
            return RECONNECT_WINDOW
        return self.patience

    def _pause(self, jitter: float) -> float:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._failures - 1))
        # Never less than half: gRPC itself does not dial again any sooner.
        return longest * (1 + jitter) / 2
