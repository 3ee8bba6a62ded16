"""Group commit against a committer that only keeps count."""

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
    upcoming: datetime | None = None
    broken: Exception | None = None
    unreadable: Exception | None = None
    poisonous: str = ""
    poison: Exception = field(default_factory=lambda: RuntimeError("poisoned"))

    def commit(self, submissions: Any, *, now: datetime, new_id: Any) -> Commit:
        self.attempts += 1
        if self.broken:
            raise self.broken
        names = [submission.instance_id for submission in submissions]
        if self.poisonous in names:
            raise self.poison
        self.batches.append(names)
        return Commit((ACCEPTED,) * len(submissions), Notifications())

    def ready(self, now: datetime) -> Notifications:
        return Notifications()

    def due(self, now: datetime) -> Notifications:
        if self.unreadable:
            raise self.unreadable
        self.asked_at.append(now)
        return Notifications()

    def next_due(self, now: datetime) -> datetime | None:
        if self.unreadable:
            raise self.unreadable
        return self.upcoming


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


async def test_all_that_is_ready_shares_one_commit() -> None:
    fixture = GroupCommitFixture()

    replies = await asyncio.gather(*(fixture.submit(name) for name in "abc"))

    assert fixture.committer.batches == [["a", "b", "c"]]
    assert replies == [ACCEPTED] * 3


async def test_nothing_waits_for_a_second_submission_to_come() -> None:
    fixture = GroupCommitFixture()

    await fixture.submit("a")
    await fixture.submit("b")

    assert fixture.committer.batches == [["a"], ["b"]]


async def test_a_large_batch_is_parted_and_none_of_it_is_lost() -> None:
    fixture = GroupCommitFixture()

    await asyncio.gather(*(fixture.submit(str(n)) for n in range(1201)))

    assert [name for batch in fixture.committer.batches for name in batch] == [
        str(n) for n in range(1201)
    ]
    assert max(map(len, fixture.committer.batches)) <= 500


async def test_leases_end_before_anybody_learns_of_the_commit() -> None:
    fixture = GroupCommitFixture()
    seen: list[int] = []

    await fixture.submit("a", stored=lambda _reply: seen.append(len(fixture.published)))

    assert seen == [0]
    assert len(fixture.published) == 1


@pytest.mark.parametrize("error", [StoreError("disk full"), RuntimeError("bug")])
async def test_when_the_store_fails_all_that_wait_learn_of_it(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.broken = error
    failures: list[str] = []
    waiting = [fixture.submit(name, failed=lambda n=name: failures.append(n)) for name in "ab"]

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    fixture.committer.broken = None
    await fixture.submit("c")

    assert [type(outcome) for outcome in outcomes] == [CommitFailedError] * 2
    assert str(error) in str(outcomes[0])
    assert failures == ["a", "b"]
    assert fixture.committer.batches == [["c"]]
    assert str(error) in caplog.text


async def test_who_gave_up_waiting_does_not_stop_the_commit() -> None:
    fixture = GroupCommitFixture()
    gone = fixture.submit("a")
    gone.cancel()

    await fixture.submit("b")

    assert fixture.committer.batches == [["a", "b"]]


async def test_what_becomes_due_is_looked_for_at_its_time() -> None:
    fixture = GroupCommitFixture()
    start = fixture.clock.now()
    fixture.committer.upcoming = start + timedelta(minutes=5)
    fixture.commits.start()

    fixture.clock.advance(timedelta(minutes=4))
    await asyncio.sleep(0)
    early = list(fixture.committer.asked_at)
    fixture.committer.upcoming = None
    fixture.clock.advance(timedelta(minutes=1))
    await asyncio.sleep(0)

    assert early == []
    assert fixture.committer.asked_at == [start + timedelta(minutes=5)]
    assert fixture.clock.next_alarm() is None


async def test_a_commit_that_schedules_something_earlier_moves_the_alarm() -> None:
    fixture = GroupCommitFixture()
    start = fixture.clock.now()
    fixture.committer.upcoming = start + timedelta(minutes=5)
    fixture.commits.start()

    fixture.committer.upcoming = start + timedelta(minutes=1)
    await fixture.submit("a")

    assert fixture.clock.next_alarm() == start + timedelta(minutes=1)


async def test_a_commit_after_the_due_time_does_not_hide_what_is_due() -> None:
    """The commit may run before the alarm that rang already, and knows only what is later."""
    fixture = GroupCommitFixture()
    fixture.committer.upcoming = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    submitted = fixture.submit("a")

    fixture.committer.upcoming = None
    fixture.clock.advance(timedelta(minutes=5))
    await submitted
    await asyncio.sleep(0)

    assert len(fixture.committer.asked_at) == 1


async def test_a_store_that_cannot_say_what_is_due_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.upcoming = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    fixture.committer.unreadable = StoreError("unreadable")
    fixture.clock.advance(timedelta(minutes=5))
    await asyncio.sleep(0)

    fixture.committer.unreadable = fixture.committer.upcoming = None
    fixture.clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert len(fixture.committer.asked_at) == 1
    assert "unreadable" in caplog.text


async def test_a_commit_does_not_keep_an_unwell_store_from_being_asked_again() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.upcoming = fixture.clock.now() + timedelta(minutes=5)
    fixture.commits.start()
    fixture.committer.unreadable = StoreError("unreadable")
    fixture.clock.advance(timedelta(minutes=5))
    await asyncio.sleep(0)

    fixture.committer.unreadable = fixture.committer.upcoming = None
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

    fixture.committer.unreadable = StoreError("unreadable")
    reply = await fixture.submit("a")
    fixture.committer.unreadable = None
    fixture.clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert reply == ACCEPTED
    assert len(fixture.published) > published_at_start
    assert len(fixture.committer.asked_at) == 1
    assert "unreadable" in caplog.text


async def test_a_store_that_cannot_say_what_is_due_next_is_not_begun_with() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.unreadable = StoreError("unreadable")

    with pytest.raises(StoreError):
        fixture.commits.start()


async def test_a_submission_that_cannot_be_carried_out_fails_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.poisonous = "b"

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
    fixture.committer.broken = StoreError("disk full")

    await asyncio.gather(*map(fixture.submit, "abc"), return_exceptions=True)

    assert fixture.committer.attempts == 1


async def test_closing_stores_what_is_pending_and_watches_no_more() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.upcoming = fixture.clock.now() + timedelta(minutes=5)
    pending = fixture.submit("a")

    fixture.commits.close()

    assert pending.result() == ACCEPTED
    assert fixture.clock.next_alarm() is None


async def test_rows_that_cannot_be_read_fail_their_own_submission_only() -> None:
    fixture = GroupCommitFixture()
    fixture.committer.poisonous = "b"
    fixture.committer.poison = UnreadableError("the stored data of 'b' is damaged")

    outcomes = await asyncio.gather(*map(fixture.submit, "abc"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        type(ACCEPTED),
        CommitFailedError,
        type(ACCEPTED),
    ]


async def test_a_store_that_fails_at_every_commit_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.broken = StoreError("disk full")
    for _ in range(100):
        with pytest.raises(CommitFailedError):
            await fixture.submit("a")

    fixture.committer.broken = None
    await fixture.submit("a")

    assert len(caplog.records) == 2


async def test_a_store_that_cannot_say_what_is_due_for_an_hour_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = GroupCommitFixture()
    fixture.committer.upcoming = fixture.clock.now() + timedelta(seconds=1)
    fixture.commits.start()
    fixture.committer.unreadable = StoreError("unreadable")

    for _ in range(3600):
        fixture.clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0)

    assert len(caplog.records) == 1
