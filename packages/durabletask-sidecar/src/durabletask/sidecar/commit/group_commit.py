"""Store all submissions that are pending in one transaction, then publish what it means.

Nothing is acknowledged before it is stored. Submissions that arrive in one iteration of the
event loop share one commit; none waits for others to arrive. One alarm is set for the time
when something becomes due: it never rings later, and ringing too early does no harm.

Commits run on the event loop: they are short, and a thread was measured to take half as much
processor time again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION, FailureLog
from durabletask.sidecar.store import StoreError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.instrumentation import Instrumentation

    from .committer import Commit, Committer, Submission
    from .notifications import Notifications

# A commit of more submissions would block the event loop for too long.
_LARGEST_BATCH = 500
# How long after a failure the store is asked again what is due.
_STORE_REST = timedelta(seconds=1)


def _nothing() -> None:
    return None


def _ignore(_reply: Reply) -> None:
    return None


@dataclass(slots=True)
class _Pending:
    submission: Submission
    future: asyncio.Future[Reply]
    stored: Callable[[Reply], None]
    failed: Callable[[], None]


class GroupCommit:
    """Submits commands to the committer, many in one commit."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        new_id: Callable[[], str],
        publish: Callable[[Notifications], None],
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._new_id = new_id
        self._publish = publish
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION
        self._pending: list[_Pending] = []
        self._is_scheduled = False
        self._alarm: Alarm | None = None
        self._due_at: datetime | None = None
        self._storing = FailureLog("commit changes")
        self._reading = FailureLog("read what is due next")

    def start(self) -> None:
        """Publish all that the store says is ready, and set the alarm for what becomes due."""
        now = self._clock.now()
        self._publish(self._committer.ready(now))
        self._set_alarm(self._committer.next_due(now))

    def submit(
        self,
        submission: Submission,
        *,
        stored: Callable[[Reply], None] = _ignore,
        failed: Callable[[], None] = _nothing,
    ) -> asyncio.Future[Reply]:
        """Store the submission together with all others that are pending.

        The future has the reply, or raises CommitFailedError. `stored` is called with the
        reply before the commit is published, `failed` when the commit failed.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(submission, future, stored, failed))
        self._schedule()
        return future

    @property
    def is_idle(self) -> bool:
        """Whether everything that was submitted is stored."""
        return not self._pending

    def close(self) -> None:
        """Store what is still pending, and cancel the alarm."""
        while self._pending:
            self._flush()
        self._cancel_alarm()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        if self._pending:
            self._flush()
        if self._pending:
            self._schedule()

    def _flush(self) -> None:
        batch, self._pending = self._pending[:_LARGEST_BATCH], self._pending[_LARGEST_BATCH:]
        now = self._clock.now()
        self._store(batch, now)
        self._set_next_alarm(now)

    def _store(self, batch: Sequence[_Pending], now: datetime) -> None:
        submissions = [pending.submission for pending in batch]
        started = self.instrumentation.ticks()
        try:
            commit = self._committer.commit(submissions, now=now, new_id=self._new_id)
        except Exception as error:  # noqa: BLE001 - callers wait for the outcome
            if len(batch) > 1 and _may_concern_one(error):
                # Each is stored by itself, so that the others do not fail with it.
                for pending in batch:
                    self._store([pending], now)
                return
            self._note(error, batch)
            _fail(batch, error)
        else:
            if self._storing.is_failing:
                self._storing.recovered(None, *(_key(pending.submission) for pending in batch))
            self.instrumentation.commit_finished(len(batch), started)
            self._announce(batch, commit)

    def _note(self, error: Exception, batch: Sequence[_Pending]) -> None:
        if _may_concern_one(error):
            submission = batch[0].submission
            fields = {"hub": submission.hub, "instance_id": submission.instance_id}
            self._storing.record(error, _key(submission), fields)
        else:
            self._storing.record(error, fields={"changes": len(batch)})
        if isinstance(error, StoreError):
            self.instrumentation.commit_failed()

    def _announce(self, batch: Sequence[_Pending], commit: Commit) -> None:
        for pending, reply in zip(batch, commit.replies, strict=True):
            pending.stored(reply)
        for pending, reply in zip(batch, commit.replies, strict=True):
            if not pending.future.done():
                pending.future.set_result(reply)
        self._publish(commit.notifications)

    def _publish_due(self) -> None:
        """Publish what has become due, and set the alarm for what becomes due next."""
        self._cancel_alarm()
        now = self._clock.now()
        try:
            notifications = self._committer.due(now)
        except Exception as error:  # noqa: BLE001 - timers must fire once the store works again
            self._reading.record(error, "due")
            self._set_alarm(now + _STORE_REST)
            return
        self._reading.recovered("due")
        self._publish(notifications)
        self._set_next_alarm(now)

    def _set_next_alarm(self, now: datetime) -> None:
        try:
            next_due = self._committer.next_due(now)
        except Exception as error:  # noqa: BLE001 - what is stored stays acknowledged
            self._reading.record(error, "next")
            next_due = now + _STORE_REST
        else:
            self._reading.recovered("next")
        self._set_alarm(next_due)

    def _set_alarm(self, due_at: datetime | None) -> None:
        """Set the alarm to this time, unless it rings earlier anyway.

        After a commit only what is due later is known here. What the earlier alarm is set for
        may be due already, or could not be read the last time.
        """
        if due_at is None or (self._due_at is not None and self._due_at <= due_at):
            return
        self._cancel_alarm()
        self._due_at = due_at
        self._alarm = self._clock.call_at(due_at, self._publish_due)

    def _cancel_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._due_at = None


def _key(submission: Submission) -> tuple[str, str]:
    return submission.hub, submission.instance_id


def _may_concern_one(error: Exception) -> bool:
    """Whether one submission alone may be the cause: of a defect, or of damaged rows."""
    return not isinstance(error, StoreError) or isinstance(error, UnreadableError)


def _fail(batch: Sequence[_Pending], error: Exception) -> None:
    for pending in batch:
        pending.failed()
        if not pending.future.done():
            pending.future.set_exception(
                CommitFailedError(f"the sidecar cannot store the change: {error}")
            )
            # The caller may have gone meanwhile: asyncio would log that nobody retrieved it.
            pending.future.exception()
