"""Hand out the turn that an activity's result leads to before the result is stored.

    result --held--+--the turn's completion--> both are stored by one commit
                   +--too late, or another command--> it is stored alone, with the same bytes

A turn has no effect outside before its completion is stored, and that comes after the result.
So a lone chain of activities waits for the disk once for each, not twice. Only a worker that
has the session gets such a turn: the work item has nothing but the new events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.sidecar.commit import notifications
from durabletask.sidecar.engine import payload_limits, results
from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import Instance
from durabletask.sidecar.instrumentation import FailureLog
from durabletask.sidecar.store import Key

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.commit.group_commit import GroupCommit
    from durabletask.sidecar.commit.notifications import Work
    from durabletask.sidecar.engine.commands import CompleteActivity
    from durabletask.sidecar.engine.limits import Limits

    from .dispatcher import Dispatcher
    from .items import WorkItemSource
    from .leases import Lease


class TurnsAhead:
    """Chooses the turns that are handed out ahead of the results that cause them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        commits: GroupCommit,
        committer: Committer,
        items: WorkItemSource,
        clock: Clock,
    ) -> None:
        self._dispatcher = dispatcher
        self._commits = commits
        self._committer = committer
        self._items = items
        self._clock = clock
        self._failures = FailureLog("hand out a turn ahead of the result that causes it")

    def hand_out(self, activity: Work, result: CompleteActivity) -> datetime | None:
        """Hand out the turn that the result leads to, if that helps and a worker can take it.

        Then the time is returned at which the worker saw the result come: it has to be held,
        and to be stored as of that time. None when the result is to be stored as any other,
        which includes every failure here: it is logged.
        """
        if not self._commits.may_hold:
            return None
        key = Key(activity.hub, activity.instance_id)
        try:
            handed_out_at = self._hand_out(key, result)
        except Exception as error:  # noqa: BLE001 - the result counts, with a turn ahead or without
            self._failures.record(error, fields=key._asdict())
            return None
        self._failures.recovered(None)
        return handed_out_at

    def _hand_out(self, key: Key, result: CompleteActivity) -> datetime | None:
        now = self._clock.now()
        instance = self._committer.instance(*key)
        if instance is None or not _waits_for_one_only(instance, now):
            return None
        after = _after_result(instance, result, now, self._committer.limits)
        if after is None:
            return None
        turn = notifications.turn(key, after.origin.name, after.origin.version)

        def load(lease: Lease) -> bytes | None:
            return self._items.load_ahead(lease, after, now)

        return now if self._dispatcher.hand_out_ahead(turn, load) else None


def _waits_for_one_only(instance: Instance, now: datetime) -> bool:
    """Whether one activity is outstanding and nothing else has come.

    Of many, the results that come together share a turn.
    """
    if len(instance.tasks) != 1:
        return False
    due_at = instance.due_at()
    return due_at is None or due_at > now


def _after_result(
    instance: Instance, result: CompleteActivity, now: datetime, limits: Limits
) -> Instance | None:
    """The instance as its next turn will find it once the result is stored.

    It has the new event and nothing else that waits. None when the result changes nothing.
    """
    limited = payload_limits.limit_activity(result, limits)
    after = results.complete_activity(instance, instance.instance_id, limited, now, _no_new_id)
    if after.progress is None or not after.inbox_add:
        return None
    inbox = Inbox(after.inbox_add)
    return Instance(instance.instance_id, instance.origin, after.progress, inbox)


def _no_new_id() -> str:
    """Stands in for what makes ids: one that is made here would differ from the stored one."""
    raise AssertionError("the result of an activity needs no new id")
