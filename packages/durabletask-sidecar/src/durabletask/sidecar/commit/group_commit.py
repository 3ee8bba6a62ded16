"""Store all submissions that are pending in one transaction, then publish what it means.

Nothing is acknowledged before it is stored. Submissions that arrive in one iteration of the
event loop share one commit. None waits for others to arrive, except the one that `hold` has
put off for a few milliseconds (`holding`). One alarm is set for the time when something becomes
due: it never rings later, and ringing too early does no harm.

A commit runs on the event loop, except that it waits for a slow disk on a thread of its own.
Until that has ended, the batch is like one that is still pending: nobody is answered, nothing
of it is published or read, and the next batch fills. Batches are stored one after the other.
What is held is not published or read either, but the turn that it causes may be with a worker
already (`work/turns_ahead.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.sidecar.clock import SystemClock
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION, FailureLog
from durabletask.sidecar.store import SnapshotError, StoreError, UnreadableError

from .flushing import Flushing
from .holding import Holding
from .pending_reply import PendingReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.instrumentation import Instrumentation

    from .committer import Commit, CommitInProgress, Committer, Submission
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
    reply: PendingReply
    stored: Callable[[Reply], None]
    failed: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Submissions of one commit, and when it began."""

    pending: Sequence[_Pending]
    now: datetime
    started: float


@dataclass(frozen=True, slots=True, eq=False)
class _Flush:
    """The commit that waits for the disk on the thread."""

    batch: _Batch
    commit: CommitInProgress
    future: Future[None]


class GroupCommit:
    """Submits commands to the committer, many in one commit."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        new_id: Callable[[], str],
        publish: Callable[[Notifications], None],
        flushing: Flushing | None = None,
        *,
        hold_clock: Clock | None = None,
    ) -> None:
        """Commits through this committer; `publish` is told what each of them means.

        `hold_clock` measures how long a submission is held; None is the machine's clock.
        """
        self._committer = committer
        self._clock = clock
        self._new_id = new_id
        self._publish = publish
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION
        self._flushing = flushing or Flushing()
        # Not `clock`: a caller waits, and that one may stand still, in tests for instance.
        clock_of_holding = hold_clock or SystemClock()
        self._holding: Holding[_Pending] = Holding(
            clock_of_holding, self._flushing.pace, self._release
        )
        self._pending: list[_Pending] = []
        self._alone: deque[_Pending] = deque()
        """Of a batch that failed, maybe because of one of them: each gets its own commit."""
        self._is_scheduled = False
        self._flush: _Flush | None = None
        self._is_due_late = False
        """Whether something became due while a commit was waiting for the disk."""
        self._alarm: Alarm | None = None
        self._due_at: datetime | None = None
        self._storing = FailureLog("commit changes")
        self._snapshots = FailureLog("commit on a thread instead of the event loop")
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
    ) -> PendingReply:
        """Store the submission together with all others that are pending.

        What is returned has the reply, or raises CommitFailedError. `stored` is called with the
        reply before the commit is published, `failed` when the commit failed.
        """
        reply = PendingReply()
        if self._holding.waits_for(_key(submission)):
            self._release()
        self._pending.append(_Pending(submission, reply, stored, failed))
        self._schedule()
        return reply

    def submit_together(self, submit: Callable[[], None]) -> None:
        """Call `submit`, and store by one commit, at once, what it submits.

        For callers that have everything at hand: others wait for the next iteration of the
        event loop, in which more may come.
        """
        if self._is_scheduled:
            submit()
            return
        self._is_scheduled = True
        try:
            submit()
        finally:
            self._run()

    @property
    def may_hold(self) -> bool:
        """Whether a submission may be held: when nothing else is to be stored, one at a time."""
        return self.is_idle and self._holding.is_worth_it

    def hold(
        self,
        submission: Submission,
        *,
        stored: Callable[[Reply], None] = _ignore,
        failed: Callable[[], None] = _nothing,
        for_any: bool = False,
    ) -> PendingReply:
        """Store the submission together with the next one for its instance, or `for_any`.

        It is stored alone if none comes in a few milliseconds. To be called only when
        `may_hold` is true.
        """
        pending = _Pending(submission, PendingReply(), stored, failed)
        if for_any:
            self._holding.hold_for_any(pending)
        else:
            self._holding.hold_for(_key(submission), pending)
        return pending.reply

    def _release(self) -> None:
        """Store what is held."""
        held = self._holding.take()
        if held is not None:
            self._pending.append(held)
            self._schedule()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was submitted is stored."""
        return self._flush is None and self._holding.is_empty and not self._is_waiting

    def settle(self) -> None:
        """Wait until no commit is waiting for the disk; the event loop stands still meanwhile."""
        if self._flush is not None:
            self._end_flush()

    def close(self) -> None:
        """Store what is still pending, and cancel the alarm."""
        self.settle()
        self._release()
        while self._is_waiting:
            self._store(self._next_batch())
        self._flushing.close()
        self._holding.close()
        self._cancel_alarm()

    @property
    def _is_waiting(self) -> bool:
        return bool(self._pending or self._alone)

    def _schedule(self) -> None:
        """Store what is waiting, once the disk is free."""
        if not self._is_scheduled and self._flush is None:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        try:
            if self._is_waiting and self._flush is None:
                self._store_next()
        finally:
            # Not before: what a caller that is told submits then has to wait its turn.
            self._is_scheduled = False
        if self._is_waiting:
            self._schedule()

    def _store_next(self) -> None:
        if self._flushing.pace.is_next_on_thread():
            self._begin_flush(self._next_batch())
        else:
            self._store(self._next_batch())

    def _next_batch(self) -> _Batch:
        if self._alone:
            pending = [self._alone.popleft()]
        else:
            pending, self._pending = (
                self._pending[:_LARGEST_BATCH],
                self._pending[_LARGEST_BATCH:],
            )
        return _Batch(pending, self._clock.now(), self.instrumentation.ticks())

    def _store(self, batch: _Batch) -> None:
        try:
            commit = self._committer.commit(_submissions(batch), now=batch.now, new_id=self._new_id)
        except Exception as error:  # noqa: BLE001 - callers wait for the outcome
            self._not_stored(batch, error)
        else:
            if commit.flush_seconds is not None:
                self._flushing.pace.measured(commit.flush_seconds)
            self._stored(batch, commit)

    def _begin_flush(self, batch: _Batch) -> None:
        """Do all of the commit but for the wait for the disk, which begins on the thread."""
        try:
            commit = self._committer.begin(_submissions(batch), now=batch.now, new_id=self._new_id)
        except SnapshotError as error:
            self._snapshots.record(error)
            self._store(batch)
            return
        except Exception as error:  # noqa: BLE001 - callers wait for the outcome
            self._not_stored(batch, error)
            return
        self._snapshots.recovered(None)
        if not commit.must_be_flushed:
            self._stored(batch, commit.complete())
            return
        flush = self._flush = _Flush(batch, commit, self._flushing.start(commit.flush))
        loop = asyncio.get_running_loop()
        flush.future.add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._flush_ended, flush)
        )

    def _flush_ended(self, flush: _Flush) -> None:
        # Unless `settle` was faster.
        if self._flush is flush:
            self._end_flush()

    def _end_flush(self) -> None:
        """Do what follows the wait for the disk, once it has ended."""
        assert self._flush is not None
        flush, self._flush = self._flush, None
        try:
            flush.future.result()
            commit = flush.commit.complete()
        except Exception as error:  # noqa: BLE001 - callers wait for the outcome
            self._not_stored(flush.batch, _roll_back(flush.commit, error))
        except BaseException:
            flush.commit.roll_back()
            raise
        else:
            self._stored(flush.batch, commit)
        if self._is_due_late:
            self._is_due_late = False
            self._publish_due()
        if self._is_waiting:
            self._schedule()

    def _stored(self, batch: _Batch, commit: Commit) -> None:
        if self._storing.is_failing:
            self._storing.recovered(None, *(_key(each.submission) for each in batch.pending))
        self.instrumentation.commit_finished(len(batch.pending), batch.started)
        for pending, reply in zip(batch.pending, commit.replies, strict=True):
            pending.stored(reply)
        try:
            self._publish(commit.notifications)
            self._set_next_alarm(batch.now)
        finally:
            for pending, reply in zip(batch.pending, commit.replies, strict=True):
                pending.reply.set_reply(reply)

    def _not_stored(self, batch: _Batch, error: Exception) -> None:
        if len(batch.pending) > 1 and _may_concern_one(error):
            # Each is stored by itself, so that the others do not fail with it.
            self._alone.extend(batch.pending)
            return
        self._note(error, batch.pending)
        _fail(batch.pending, error)
        self._set_next_alarm(batch.now)

    def _note(self, error: Exception, batch: Sequence[_Pending]) -> None:
        if _may_concern_one(error):
            submission = batch[0].submission
            fields = {"hub": submission.hub, "instance_id": submission.instance_id}
            self._storing.record(error, _key(submission), fields)
        else:
            self._storing.record(error, fields={"changes": len(batch)})
        if isinstance(error, StoreError):
            self.instrumentation.commit_failed()

    def _publish_due(self) -> None:
        """Publish what has become due, and set the alarm for what becomes due next."""
        self._cancel_alarm()
        if self._holding.waits_for_any:
            # What has become due may be for the instance whose last turn it completes.
            self._release()
        if self._flush is not None:
            # The store does not have yet what the commit makes due; it would never be found.
            self._is_due_late = True
            return
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


def _submissions(batch: _Batch) -> list[Submission]:
    return [pending.submission for pending in batch.pending]


def _key(submission: Submission) -> tuple[str, str]:
    return submission.hub, submission.instance_id


def _may_concern_one(error: Exception) -> bool:
    """Whether one submission alone may be the cause: of a defect, or of damaged rows."""
    return not isinstance(error, StoreError) or isinstance(error, UnreadableError)


def _roll_back(commit: CommitInProgress, error: Exception) -> Exception:
    """Drop the changes of a commit that failed, and return what its callers are told."""
    try:
        commit.roll_back()
    except Exception as second:  # noqa: BLE001 - callers wait for the outcome
        # A StoreError: it does not help to repeat the commit for each submission by itself.
        return StoreError(f"{error}; nor could it be rolled back: {second}")
    return error


def _fail(batch: Sequence[_Pending], error: Exception) -> None:
    for pending in batch:
        pending.failed()
        pending.reply.set_error(CommitFailedError(f"the sidecar cannot store the change: {error}"))
