"""Many submissions share one commit, and each caller learns what became of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Commit, Submission
from durabletask.sidecar.commit.flushing import Flushing
from durabletask.sidecar.commit.group_commit import GroupCommit
from durabletask.sidecar.commit.notifications import Notifications
from durabletask.sidecar.commit.pending_reply import PendingReply
from durabletask.sidecar.engine.commands import Resume
from durabletask.sidecar.engine.transition import ACCEPTED
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.store import SnapshotError, StoreError, UnreadableError
from tests.builders.flushes import AlwaysQuick, AlwaysSlow, FlushesOnDemand, on_thread

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class FakeCommitter:
    """Stands in for the committer."""

    batches: list[list[str]] = field(default_factory=list)
    rolled_back: list[list[str]] = field(default_factory=list)
    attempts: int = 0
    flush_seconds: float | None = None
    asked_at: list[datetime] = field(default_factory=list)
    next_due_at: datetime | None = None
    error: Exception | None = None
    read_error: Exception | None = None
    failing_id: str = ""
    error_of_id: Exception = field(default_factory=lambda: RuntimeError("poisoned"))

    def commit(self, submissions: Any, *, now: datetime, new_id: Any) -> Commit:
        self.attempts += 1
        if self.error:
            raise self.error
        names = [submission.instance_id for submission in submissions]
        if self.failing_id in names:
            raise self.error_of_id
        self.batches.append(names)
        return Commit((ACCEPTED,) * len(submissions), Notifications(), self.flush_seconds)

    def begin(self, submissions: Any, *, now: datetime, new_id: Any) -> FakeCommit:
        self.attempts += 1
        names = [submission.instance_id for submission in submissions]
        if self.failing_id in names:
            raise self.error_of_id
        return FakeCommit(self, names)

    def ready(self, now: datetime) -> Notifications:
        return Notifications()

    def due(self, now: datetime) -> Notifications:
        if self.read_error:
            raise self.read_error
        self.asked_at.append(now)
        return Notifications()

    def next_due(self, now: datetime) -> datetime | None:
        if self.read_error:
            raise self.read_error
        return self.next_due_at


@dataclass
class FakeCommit:
    """Stands in for a commit that waits for the disk."""

    committer: FakeCommitter
    names: list[str]
    must_be_flushed: bool = True

    def flush(self) -> None:
        if self.committer.error:
            raise self.committer.error

    def complete(self) -> Commit:
        self.committer.batches.append(self.names)
        return Commit((ACCEPTED,) * len(self.names), Notifications())

    def roll_back(self) -> None:
        self.committer.rolled_back.append(self.names)


class GroupCommitFixture:
    def __init__(self, flushing: Flushing | None = None) -> None:
        self.committer = FakeCommitter()
        self.clock = ManualClock()
        self.hold_clock = ManualClock()
        self.published: list[Notifications] = []
        self.publish_error: Exception | None = None
        self.commits = GroupCommit(
            self.committer,  # type: ignore[arg-type]
            self.clock,
            lambda: "id",
            self._publish,
            flushing,
            hold_clock=self.hold_clock,
        )

    def _publish(self, notifications: Notifications) -> None:
        if self.publish_error is not None:
            raise self.publish_error
        self.published.append(notifications)

    def submit(self, instance_id: str, **told: Any) -> PendingReply:
        return self.commits.submit(Submission("default", instance_id, Resume()), **told)


async def test_submissions_of_one_iteration_of_the_loop_share_one_commit() -> None:
    fixture = GroupCommitFixture()

    replies = await asyncio.gather(*(fixture.submit(name) for name in "abc"))

    assert fixture.committer.batches == [["a", "b", "c"]]
    assert replies == [ACCEPTED] * 3


async def test_no_submission_waits_for_a_second_one() -> None:
    fixture = GroupCommitFixture()

    await fixture.submit("a")
    await fixture.submit("b")

    assert fixture.committer.batches == [["a"], ["b"]]


async def test_a_large_batch_is_split_and_none_of_it_is_lost() -> None:
    fixture = GroupCommitFixture()

    await asyncio.gather(*(fixture.submit(str(n)) for n in range(1201)))

    assert [name for batch in fixture.committer.batches for name in batch] == [
        str(n) for n in range(1201)
    ]
    assert max(map(len, fixture.committer.batches)) <= 500


async def test_the_stored_callback_runs_before_the_commit_is_published() -> None:
    fixture = GroupCommitFixture()
    seen: list[int] = []

    await fixture.submit("a", stored=lambda _reply: seen.append(len(fixture.published)))

    assert seen == [0]
    assert len(fixture.published) == 1


@pytest.mark.parametrize("error", [StoreError("disk full"), RuntimeError("bug")])
async def test_when_the_store_fails_every_caller_gets_the_error(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.error = error
    failures: list[str] = []
    waiting = [fixture.submit(name, failed=lambda n=name: failures.append(n)) for name in "ab"]

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    fixture.committer.error = None
    await fixture.submit("c")

    assert [type(outcome) for outcome in outcomes] == [CommitFailedError] * 2
    assert str(error) in str(outcomes[0])
    assert failures == ["a", "b"]
    assert fixture.committer.batches == [["c"]]
    assert str(error) in caplog.text


async def test_what_is_submitted_together_is_stored_at_once_by_one_commit() -> None:
    fixture = GroupCommitFixture()
    waiting: list[PendingReply] = []

    fixture.commits.submit_together(lambda: waiting.extend(map(fixture.submit, "ab")))

    assert fixture.committer.batches == [["a", "b"]]
    assert [each.result() for each in waiting] == [ACCEPTED] * 2


async def test_what_was_submitted_before_is_stored_with_what_is_submitted_together() -> None:
    fixture = GroupCommitFixture()
    waiting = [fixture.submit("a")]

    fixture.commits.submit_together(lambda: waiting.append(fixture.submit("b")))
    await rounds()

    assert fixture.committer.batches == [["a", "b"]]


async def test_what_is_submitted_before_the_submitting_fails_is_stored() -> None:
    fixture = GroupCommitFixture()

    def fail() -> None:
        fixture.submit("a")
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        fixture.commits.submit_together(fail)

    assert fixture.committer.batches == [["a"]]


async def test_what_a_caller_submits_when_it_is_told_waits_for_the_next_commit() -> None:
    fixture = GroupCommitFixture()
    waiting: list[PendingReply] = []
    meanwhile: list[list[list[str]]] = []

    def go_on() -> None:
        fixture.commits.submit_together(lambda: waiting.append(fixture.submit("b")))
        meanwhile.append(list(fixture.committer.batches))

    fixture.submit("a").call_when_done(go_on)
    await rounds()

    assert meanwhile == [[["a"]]]
    assert fixture.committer.batches == [["a"], ["b"]]


async def test_callers_are_told_although_the_commit_cannot_be_published() -> None:
    fixture = GroupCommitFixture()
    fixture.publish_error = RuntimeError("bug")
    waiting: list[PendingReply] = []

    with pytest.raises(RuntimeError, match="bug"):
        fixture.commits.submit_together(lambda: waiting.append(fixture.submit("a")))

    assert waiting[0].result() == ACCEPTED


async def test_what_becomes_due_is_published_at_its_time() -> None:
    fixture = GroupCommitFixture()
    start = fixture.clock.now()
    fixture.committer.next_due_at = start + timedelta(minutes=5)
    fixture.commits.start()

    fixture.clock.advance(timedelta(minutes=4))
    await asyncio.sleep(0)
    early = list(fixture.committer.asked_at)
    fixture.committer.next_due_at = None
    fixture.clock.advance(timedelta(minutes=1))
    await asyncio.sleep(0)

    assert early == []
    assert fixture.committer.asked_at == [start + timedelta(minutes=5)]
    assert fixture.clock.next_alarm() is None


async def test_a_commit_that_schedules_something_earlier_moves_the_alarm() -> None:
    fixture = GroupCommitFixture()
    start = fixture.clock.now()
    fixture.committer.next_due_at = start + timedelta(minutes=5)
    fixture.commits.start()

    fixture.committer.next_due_at = start + timedelta(minutes=1)
    await fixture.submit("a")

    assert fixture.clock.next_alarm() == start + timedelta(minutes=1)


async def test_a_commit_after_the_due_time_does_not_hide_what_is_due() -> None:
    """The commit may run before the alarm that rang already, and knows only what is later."""
    fixture = GroupCommitFixture()
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    submitted = fixture.submit("a")

    fixture.committer.next_due_at = None
    fixture.clock.advance(timedelta(minutes=5))
    await submitted
    await asyncio.sleep(0)

    assert len(fixture.committer.asked_at) == 1


async def test_a_store_that_cannot_say_what_is_due_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    fixture.committer.read_error = StoreError("the file cannot be read")
    fixture.clock.advance(timedelta(minutes=5))
    await asyncio.sleep(0)

    fixture.committer.read_error = fixture.committer.next_due_at = None
    fixture.clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert len(fixture.committer.asked_at) == 1
    assert "the file cannot be read" in caplog.text


async def test_a_commit_does_not_keep_a_failing_store_from_being_asked_again() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    fixture.committer.read_error = StoreError("the file cannot be read")
    fixture.clock.advance(timedelta(minutes=5))
    await asyncio.sleep(0)

    fixture.committer.read_error = fixture.committer.next_due_at = None
    await fixture.submit("a")
    fixture.clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert len(fixture.committer.asked_at) == 1


async def test_a_commit_counts_although_the_store_cannot_say_what_is_due_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.commits.start()
    published_at_start = len(fixture.published)

    fixture.committer.read_error = StoreError("the file cannot be read")
    reply = await fixture.submit("a")
    fixture.committer.read_error = None
    fixture.clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert reply == ACCEPTED
    assert len(fixture.published) > published_at_start
    assert len(fixture.committer.asked_at) == 1
    assert "the file cannot be read" in caplog.text


async def test_a_store_that_cannot_say_what_is_due_next_fails_the_start() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.read_error = StoreError("the file cannot be read")

    with pytest.raises(StoreError):
        fixture.commits.start()


async def test_a_submission_that_cannot_be_carried_out_fails_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.failing_id = "b"

    outcomes = await asyncio.gather(*map(fixture.submit, "abc"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        type(ACCEPTED),
        CommitFailedError,
        type(ACCEPTED),
    ]
    assert fixture.committer.batches == [["a"], ["c"]]
    assert "poisoned" in caplog.text


async def test_a_store_that_fails_is_not_asked_anew_for_each_submission() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.error = StoreError("disk full")

    await asyncio.gather(*map(fixture.submit, "abc"), return_exceptions=True)

    assert fixture.committer.attempts == 1


async def test_closing_stores_what_is_pending_and_cancels_the_alarm() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(minutes=5)
    pending = fixture.submit("a")

    fixture.commits.close()

    assert pending.result() == ACCEPTED
    assert fixture.clock.next_alarm() is None


async def test_rows_that_cannot_be_read_fail_their_own_submission_only() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.failing_id = "b"
    fixture.committer.error_of_id = UnreadableError("the stored data of 'b' is damaged")

    outcomes = await asyncio.gather(*map(fixture.submit, "abc"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        type(ACCEPTED),
        CommitFailedError,
        type(ACCEPTED),
    ]


async def test_a_store_that_fails_at_every_commit_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.error = StoreError("disk full")
    for _ in range(100):
        with pytest.raises(CommitFailedError):
            await fixture.submit("a")

    fixture.committer.error = None
    await fixture.submit("a")

    assert len(caplog.records) == 2


async def test_a_store_that_cannot_say_what_is_due_for_an_hour_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(seconds=1)
    fixture.commits.start()
    fixture.committer.read_error = StoreError("the file cannot be read")

    for _ in range(3600):
        fixture.clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0)

    assert len(caplog.records) == 1


class SlowDiskFixture(GroupCommitFixture):
    """Every flush is made apart from the loop, when the test says so."""

    def __init__(self) -> None:
        self.flushes = FlushesOnDemand()
        super().__init__(Flushing(AlwaysSlow(), self.flushes))

    async def flush(self) -> None:
        self.flushes.do()
        await rounds()


async def outcomes(waiting: list[PendingReply]) -> list[Any]:
    """The reply of each, or the error that it raises."""
    return await asyncio.gather(*waiting, return_exceptions=True)


async def rounds() -> None:
    """Let the loop do all it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nobody_is_answered_while_the_commit_waits_for_the_disk() -> None:
    fixture = SlowDiskFixture()
    told: list[Any] = []
    waiting = fixture.submit("a", stored=told.append)

    await rounds()
    early = (waiting.done(), list(told), list(fixture.published), fixture.commits.is_idle)
    await fixture.flush()

    assert early == (False, [], [], False)
    assert waiting.result() == ACCEPTED
    assert told == [ACCEPTED]
    assert len(fixture.published) == 1
    assert fixture.commits.is_idle


async def test_what_comes_while_the_disk_is_busy_shares_the_next_commit() -> None:
    fixture = SlowDiskFixture()
    waiting = [fixture.submit("a")]
    await rounds()
    for name in "bcd":
        waiting.append(fixture.submit(name))
        await rounds()

    attempts = fixture.committer.attempts
    await fixture.flush()
    between = list(fixture.committer.batches)
    await fixture.flush()

    assert attempts == 1
    assert between == [["a"]]
    assert fixture.committer.batches == [["a"], ["b", "c", "d"]]
    assert [each.result() for each in waiting] == [ACCEPTED] * 4


async def test_when_the_disk_fails_every_caller_gets_the_error_and_nothing_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = SlowDiskFixture()
    fixture.committer.error = StoreError("disk full")
    failures: list[str] = []
    waiting = [fixture.submit(name, failed=lambda n=name: failures.append(n)) for name in "ab"]
    await rounds()

    await fixture.flush()
    fixture.committer.error = None
    later = fixture.submit("c")
    await rounds()
    await fixture.flush()

    assert [type(outcome) for outcome in await outcomes(waiting)] == [CommitFailedError] * 2
    assert failures == ["a", "b"]
    assert fixture.committer.rolled_back == [["a", "b"]]
    assert later.result() == ACCEPTED
    assert "disk full" in caplog.text


async def test_one_that_cannot_be_carried_out_fails_alone_on_a_slow_disk_too() -> None:
    fixture = SlowDiskFixture()
    fixture.committer.failing_id = "b"
    waiting = [fixture.submit(name) for name in "abc"]
    await rounds()

    await fixture.flush()
    await fixture.flush()

    first, second, third = await outcomes(waiting)
    assert isinstance(second, CommitFailedError)
    assert (first, third) == (ACCEPTED, ACCEPTED)
    assert fixture.committer.batches == [["a"], ["c"]]


async def test_a_flush_with_a_defect_is_repeated_for_each_submission() -> None:
    fixture = SlowDiskFixture()
    fixture.committer.error = RuntimeError("bug")
    waiting = [fixture.submit(name) for name in "ab"]
    await rounds()
    await fixture.flush()

    fixture.committer.error = None
    await fixture.flush()
    await fixture.flush()

    assert fixture.committer.rolled_back == [["a", "b"]]
    assert fixture.committer.batches == [["a"], ["b"]]
    assert [each.result() for each in waiting] == [ACCEPTED] * 2


async def test_when_a_failed_commit_cannot_be_rolled_back_all_who_wait_are_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = SlowDiskFixture()
    fixture.committer.error = RuntimeError("flush failed")
    failures: list[str] = []
    waiting = [fixture.submit(name, failed=lambda n=name: failures.append(n)) for name in "ab"]
    await rounds()
    queued = fixture.submit("c")

    with monkeypatch.context() as patched:
        patched.setattr(FakeCommit, "roll_back", _cannot_roll_back)
        await fixture.flush()
    fixture.committer.error = None
    await fixture.flush()

    assert [type(outcome) for outcome in await outcomes(waiting)] == [CommitFailedError] * 2
    assert failures == ["a", "b"]
    assert queued.result() == ACCEPTED
    assert fixture.commits.is_idle
    assert "flush failed" in caplog.text
    assert "the disk is gone" in caplog.text


def _cannot_roll_back(_: FakeCommit) -> None:
    raise RuntimeError("the disk is gone")


async def test_what_cannot_be_flushed_apart_from_reads_is_flushed_on_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = SlowDiskFixture()
    monkeypatch.setattr(fixture.committer, "begin", _no_snapshot)

    waiting = [fixture.submit(name) for name in "ab"]
    await rounds()

    assert [each.result() for each in waiting] == [ACCEPTED] * 2
    assert fixture.committer.batches == [["a", "b"]]
    assert "too many open files" in caplog.text


def _no_snapshot(*_: object, **__: object) -> FakeCommit:
    raise SnapshotError("too many open files")


async def test_what_becomes_due_meanwhile_is_published_once_the_commit_is_stored() -> None:
    fixture = SlowDiskFixture()
    due_at = fixture.clock.now() + timedelta(minutes=5)
    fixture.committer.next_due_at = due_at
    fixture.commits.start()
    fixture.submit("a")
    await rounds()

    fixture.clock.advance(timedelta(minutes=5))
    await rounds()
    early = list(fixture.committer.asked_at)
    fixture.committer.next_due_at = None
    await fixture.flush()

    assert early == []
    assert fixture.committer.asked_at == [due_at]
    assert fixture.committer.batches == [["a"]]


async def test_who_needs_the_store_alone_waits_for_the_disk() -> None:
    fixture = GroupCommitFixture(on_thread())
    waiting = fixture.submit("a")
    await rounds()

    fixture.commits.settle()

    assert waiting.result() == ACCEPTED
    assert fixture.commits.is_idle
    await rounds()
    assert fixture.committer.batches == [["a"]]
    fixture.commits.close()


async def test_closing_stores_what_waits_for_the_disk_and_what_came_after_it() -> None:
    fixture = GroupCommitFixture(on_thread())
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(minutes=5)
    first = fixture.submit("a")
    await rounds()
    second = fixture.submit("b")

    fixture.commits.close()

    assert (first.result(), second.result()) == (ACCEPTED, ACCEPTED)
    assert fixture.committer.batches == [["a"], ["b"]]
    assert fixture.clock.next_alarm() is None


async def test_a_commit_that_changes_nothing_does_not_wait_for_the_disk() -> None:
    fixture = SlowDiskFixture()
    fixture.committer.begin = lambda submissions, **_: FakeCommit(  # type: ignore[method-assign]
        fixture.committer, ["a"], must_be_flushed=False
    )

    assert await fixture.submit("a") == ACCEPTED

    assert not fixture.flushes.is_any_waiting


class HoldingFixture(GroupCommitFixture):
    """Every flush was measured to take this long."""

    def __init__(self, seconds: float) -> None:
        pace = AlwaysQuick()
        for _ in range(16):
            pace.measured(seconds)
        super().__init__(Flushing(pace))

    def hold(self, instance_id: str, **told: Any) -> PendingReply:
        return self.commits.hold(Submission("default", instance_id, Resume()), **told)


async def test_what_is_held_is_stored_with_the_next_submission_of_its_instance() -> None:
    fixture = HoldingFixture(0.001)
    held = fixture.hold("a")

    await fixture.submit("b")
    between = held.done()
    await fixture.submit("a")

    assert not between
    assert held.result() == ACCEPTED
    assert fixture.committer.batches == [["b"], ["a", "a"]]


@pytest.mark.parametrize(("flush", "longest"), [(0.00001, 1), (0.004, 4), (0.05, 5)])
async def test_what_is_held_waits_for_as_long_as_a_flush_takes_or_one_to_five_milliseconds(
    flush: float, longest: int
) -> None:
    fixture = HoldingFixture(flush)
    held = fixture.hold("a")

    fixture.hold_clock.advance(timedelta(milliseconds=longest) - timedelta(microseconds=1))
    await rounds()
    early = held.done()
    fixture.hold_clock.advance(timedelta(microseconds=1))
    await held

    assert not early
    assert fixture.committer.batches == [["a"]]


async def test_what_is_held_is_stored_although_the_clock_of_the_engine_stands_still() -> None:
    fixture = HoldingFixture(0.001)
    held = fixture.hold("a")

    fixture.clock.advance(timedelta(days=1))
    await rounds()
    early = held.done()
    fixture.hold_clock.advance(timedelta(milliseconds=1))
    await held

    assert not early
    assert fixture.committer.batches == [["a"]]


async def test_only_one_is_held_and_only_while_nothing_else_is_to_be_stored() -> None:
    fixture = HoldingFixture(0.001)
    before = fixture.commits.may_hold
    held = fixture.hold("a")
    meanwhile = fixture.commits.may_hold
    fixture.commits.close()
    submitted = fixture.submit("b")
    waiting = fixture.commits.may_hold
    await asyncio.gather(held, submitted)

    assert (before, meanwhile, waiting) == (True, False, False)
    assert fixture.commits.may_hold


async def test_a_second_one_is_refused_rather_than_that_the_first_is_lost() -> None:
    fixture = HoldingFixture(0.001)
    held = fixture.hold("a")

    with pytest.raises(AssertionError, match="one submission at a time"):
        fixture.hold("b")
    fixture.commits.close()

    assert held.result() == ACCEPTED


async def test_nothing_is_held_where_no_commit_waits_for_a_disk() -> None:
    assert HoldingFixture(0.00001).commits.may_hold
    assert not GroupCommitFixture().commits.may_hold


async def test_what_is_held_for_any_is_stored_with_whatever_comes_next() -> None:
    fixture = HoldingFixture(0.001)
    held = fixture.hold("a", for_any=True)
    await rounds()
    early = held.done()

    await fixture.submit("b")

    assert not early
    assert held.result() == ACCEPTED
    assert fixture.committer.batches == [["a", "b"]]


async def test_what_is_held_for_any_is_stored_before_something_due_is_published() -> None:
    fixture = HoldingFixture(0.001)
    fixture.committer.next_due_at = fixture.clock.now() + timedelta(seconds=1)
    fixture.commits.start()
    held = fixture.hold("a", for_any=True)

    fixture.clock.advance(timedelta(seconds=1))
    await rounds()

    assert held.result() == ACCEPTED


async def test_one_alarm_serves_many_that_are_held() -> None:
    fixture = HoldingFixture(0.004)
    fixture.hold("a")
    fixture.hold_clock.advance(timedelta(milliseconds=3))
    await fixture.submit("a")

    second = fixture.hold("a")
    fixture.hold_clock.advance(timedelta(milliseconds=3))
    await rounds()
    early = second.done()
    fixture.hold_clock.advance(timedelta(milliseconds=1))
    await second

    assert not early
    assert fixture.committer.batches == [["a", "a"], ["a"]]


async def test_the_thread_is_used_once_flushes_are_measured_to_be_slow() -> None:
    flushes = FlushesOnDemand()
    fixture = GroupCommitFixture(Flushing(executor=flushes))
    fixture.committer.flush_seconds = 0.005

    for _ in range(16):
        await fixture.submit("a")
    fixture.submit("b")
    await rounds()

    assert fixture.committer.batches == [["a"]] * 16
    assert flushes.is_any_waiting
