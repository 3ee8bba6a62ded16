"""Many submissions share one commit, and each caller learns what became of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Commit, Submission
from durabletask.sidecar.commit.group_commit import GroupCommit
from durabletask.sidecar.commit.notifications import Notifications
from durabletask.sidecar.engine.commands import Resume
from durabletask.sidecar.engine.transition import ACCEPTED
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.store import StoreError, UnreadableError

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class FakeCommitter:
    """Stands in for the committer."""

    batches: list[list[str]] = field(default_factory=list)
    attempts: int = 0
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
        return Commit((ACCEPTED,) * len(submissions), Notifications())

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


class GroupCommitFixture:
    def __init__(self) -> None:
        self.committer = FakeCommitter()
        self.clock = ManualClock()
        self.published: list[Notifications] = []
        self.commits = GroupCommit(
            self.committer,  # type: ignore[arg-type]
            self.clock,
            lambda: "id",
            self.published.append,
        )

    def submit(self, instance_id: str, **told: Any) -> asyncio.Future[Any]:
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


async def test_a_caller_that_is_cancelled_does_not_stop_the_commit() -> None:
    fixture = GroupCommitFixture()
    gone = fixture.submit("a")
    gone.cancel()

    await fixture.submit("b")

    assert fixture.committer.batches == [["a", "b"]]


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
