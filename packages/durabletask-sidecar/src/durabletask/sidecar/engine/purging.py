"""Forget instances that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import Purge
from .draft import releases
from .transition import ForChildren, Purged, Transition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .state import Instance


def purge(
    instance: Instance | None,
    instance_id: str,
    command: Purge,
    _now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Remove the instance with all that belongs to it; one that lives stays.

    A child that lives under a parent that has ended, goes with it: nobody waits for it,
    and without its parent nobody would find it.
    """
    if instance is None or (instance.is_live and not command.even_live):
        return Transition(reply=Purged(0))
    if command.ended_before is not None and _is_younger(instance, command.ended_before):
        return Transition(reply=Purged(0))
    recursion = ForChildren(Purge(recursive=True, even_live=True), live_only=False)
    return Transition(
        reply=Purged(1),
        removes=True,
        follow_ups=tuple(
            release for lock in instance.locks.values() for release in releases(instance_id, lock)
        ),
        for_children=recursion if command.recursive else None,
    )


def _is_younger(instance: Instance, age: datetime) -> bool:
    completed_at = instance.progress.completed_at
    return completed_at is None or completed_at >= age
