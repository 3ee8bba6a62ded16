"""Which calls may be repeated after a failure, and when.

    safety      repeated after which failures                  for how long
    ----------  ---------------------------------------------  --------------------------
    REPEATABLE  the sidecar was unreachable or too busy        patience
    WAIT        the same                                       patience, or half a minute
                                                               if a sidecar was there before
    ONCE        only if the request cannot have been sent      patience

A method that is not in the table is ONCE, since a repetition could be carried out twice.

Status codes are names here (`"UNAVAILABLE"`), so that the table can be read and tested
without gRPC. Does no I/O: times and the draw for the jitter are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final


class Safety(Enum):
    """What happens to the sidecar's state when a request of a method arrives twice."""

    REPEATABLE = "the second request changes nothing"
    WAIT = "the second request changes nothing, and the call is expected to take long"
    ONCE = "the request would be carried out twice"


_SAFETY: Final[dict[str, Safety]] = {
    "Hello": Safety.REPEATABLE,
    # The id is chosen before the first attempt, so a second one finds the instance.
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
    # The sidecar ignores a second request with the same completion token.
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
    # Between two requests the instance may have failed or ended again, or its id been reused.
    "RewindInstance": Safety.ONCE,
    "RestartInstance": Safety.ONCE,
    "RerunWorkflowFromEvent": Safety.ONCE,
    "PurgeInstances": Safety.ONCE,
    # The second would count only what the first has left.
    "CleanEntityStorage": Safety.ONCE,
}

# gRPC's server answers CANCELLED when thousands of calls are waiting to be accepted.
_TRANSIENT = frozenset({"UNAVAILABLE", "CANCELLED"})

NOT_IN_PROCESS: Final = "no sidecar of this process has this address"

# gRPC's texts where there was no connection to write the request to. If gRPC ever changes them,
# calls that must not be made twice are repeated less often; nothing else changes.
_NEVER_SENT = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "errors resolving ",
    NOT_IN_PROCESS,
)

RECONNECT_WINDOW: Final = 30.0
"""Seconds for which a wait is repeated if a sidecar was there before: it may be restarting."""

# Seconds by which the sidecar's timer and ours may differ for the same deadline.
_TIMER_TOLERANCE = 0.1

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How gRPC reported a failed attempt: the name of the status and its details.

    `in_detection` means that engine detection failed, before the request was sent.
    """

    status: str
    details: str = ""
    in_detection: bool = False

    @property
    def never_sent(self) -> bool:
        """True only if the request cannot have reached a sidecar."""
        return self.status == "UNAVAILABLE" and self.details.startswith(_NEVER_SENT)

    def is_deadline(self, left: float) -> bool:
        """True if the call ended because of its deadline; `left` is the time that remained.

        The sidecar has the same deadline. If its reset of the stream arrives before our own
        timer fires, gRPC reports UNAVAILABLE or CANCELLED.
        """
        if self.status == "DEADLINE_EXCEEDED":
            return True
        return (
            self.status in _TRANSIENT and "RST_STREAM" in self.details and left <= _TIMER_TOLERANCE
        )


def safety_of(method_name: str) -> Safety:
    """What a second request of this method would do."""
    return _SAFETY.get(method_name, Safety.ONCE)


def may_repeat(safety: Safety, failure: Failure) -> bool:
    """Whether a call that failed so may be repeated at all."""
    if safety is Safety.ONCE and not failure.in_detection:
        return failure.never_sent
    return failure.status in _TRANSIENT


@dataclass(slots=True)
class Retries:
    """The attempts of one call: how long the next one may take, and whether there is one.

    `deadline` and every `now` are seconds of the same clock.
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
        lasted = now - self._attempt_began > _LONGEST_PAUSE and not failure.never_sent
        # A wait that lasted had reached its sidecar; the failures after it are a new outage.
        self.sidecar_was_there |= lasted
        if lasted or self._failures == 0:
            self._failing_since = now
            self._failures = 0
        self._failures += 1

    @property
    def _window(self) -> float:
        # Patience 0 means no repetitions, for waits too.
        if self.safety is Safety.WAIT and self.sidecar_was_there and self.patience > 0:
            return RECONNECT_WINDOW
        return self.patience

    def _pause(self, jitter: float) -> float:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._failures - 1))
        # Never less than half: gRPC itself does not reconnect sooner.
        return longest * (1 + jitter) / 2
