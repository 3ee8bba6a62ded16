"""Time and ids that are the same whenever an orchestration is replayed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

# Part of the algorithm that all Durable Task SDKs share: a replay elsewhere must agree.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "9e952958-5e33-4daf-827f-2fa12937b875")

_BEFORE_ANY_TURN = datetime.fromtimestamp(0, UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class ReplayClock:
    """The time at which the current turn began, as history records it; aware UTC."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = _BEFORE_ANY_TURN

    @property
    def is_set(self) -> bool:
        """Whether an event of history has set the time."""
        return self.now is not _BEFORE_ANY_TURN

    def after(self, span: timedelta) -> datetime:
        """That long from now, or the first or last time that a datetime can hold."""
        try:
            return self.now + span
        except OverflowError:
            return _END_OF_TIME if span > timedelta(0) else _BEFORE_ANY_TURN

    def time_of(self, when: datetime | timedelta) -> datetime:
        """A time or a span from now as users give it, as aware UTC; naive is UTC."""
        if isinstance(when, timedelta):
            return self.after(when)
        return as_utc(when)


def as_utc(when: datetime) -> datetime:
    """A time as users give it, as aware UTC; naive is UTC."""
    # A datetime whose tzinfo gives no offset counts as naive.
    if when.utcoffset() is None:
        return when.replace(tzinfo=UTC)
    return when.astimezone(UTC)


def nth_uuid(instance_id: str, now: datetime, n: int) -> str:
    """The n-th UUID, from 0, that this instance asks for, if it does so at `now`."""
    return str(uuid.uuid5(_NAMESPACE, f"{instance_id}_{now:%Y-%m-%dT%H:%M:%S.%fZ}_{n}"))


def call_uuid(instance_id: str, now: datetime, action_id: int) -> str:
    """The id of the call with that action id, made at `now`; never one that `nth_uuid` gives."""
    return str(
        uuid.uuid5(_NAMESPACE, f"{instance_id}_{now:%Y-%m-%dT%H:%M:%S.%fZ}_call_{action_id}")
    )
