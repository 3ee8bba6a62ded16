"""Remember which worker holds which work, and under which token.

A lease lasts as long as the stream it was handed to; it does not expire. At most one is
out for a turn of an instance. A restart of the sidecar ends all of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .sessions import NOTHING_KNOWN, KnownHistory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durabletask.sidecar.commit.notifications import Kind, Work, WorkKey
    from durabletask.sidecar.commit.pending_reply import PendingReply
    from durabletask.sidecar.engine.commands import DispatchedTurn
    from durabletask.sidecar.engine.entities.commands import DispatchedBatch

    from .responses import ResponseChunks
    from .streams import WorkStream


@dataclass(slots=True, eq=False)
class Lease:
    """One piece of work that one worker holds."""

    token: str
    work: Work
    stream: WorkStream
    next_work: Work | None = None
    """The next turn, if more arrived for the instance while this one was out."""
    committing: PendingReply | None = None
    """Its completion while that is being stored; no other call may complete or release it."""
    turn: DispatchedTurn | None = None
    """The inbox rows that the worker was given; None for activities and entities."""
    committed: KnownHistory = NOTHING_KNOWN
    """The history before the turn."""
    has_history: bool = True
    """Whether the worker was sent the whole history."""
    batch: DispatchedBatch | None = None
    """The messages of an entity that the worker was given."""
    chunks: ResponseChunks | None = None
    """The chunks received so far of a response that comes in several messages."""


class Leases:
    """All leases that are out."""

    def __init__(self) -> None:
        self._by_token: dict[str, Lease] = {}
        self._by_work: dict[WorkKey, Lease] = {}
        self._by_stream: dict[WorkStream, dict[str, Lease]] = {}

    def grant(self, token: str, work: Work, stream: WorkStream) -> Lease:
        lease = Lease(token, work, stream)
        self._by_token[token] = lease
        self._by_work[work.key] = lease
        self._by_stream.setdefault(stream, {})[token] = lease
        stream.take_slot(work.kind)
        return lease

    def release(self, lease: Lease) -> bool:
        """End a lease and free its slot; does nothing when it has ended before.

        Returns whether it was the lease of its work, which was not revoked or leased anew.
        """
        if self._by_token.pop(lease.token, None) is None:
            return False
        is_current = self.forget_work(lease)
        held = self._by_stream[lease.stream]
        del held[lease.token]
        if not held:
            del self._by_stream[lease.stream]
        lease.stream.free_slot(lease.work.kind)
        return is_current

    def forget_work(self, lease: Lease) -> bool:
        """Let the work be leased anew, while this lease keeps its slot until it is answered.

        Returns whether that was not the case before.
        """
        if self._by_work.get(lease.work.key) is not lease:
            return False
        del self._by_work[lease.work.key]
        return True

    def is_any_out(self) -> bool:
        """Whether some worker has yet to answer."""
        return bool(self._by_token)

    def counts(self) -> Counter[Kind]:
        """How much of each kind is leased."""
        return Counter(lease.work.kind for lease in self._by_token.values())

    def find(self, token: str) -> Lease | None:
        return self._by_token.get(token)

    def of(self, key: WorkKey) -> Lease | None:
        """The lease that is out for this work."""
        return self._by_work.get(key)

    def held_by(self, stream: WorkStream) -> list[Lease]:
        return list(self._by_stream.get(stream, {}).values())

    def find_only(
        self, kind: Kind, hub: str, instance_id: str | None = None, task_id: int | None = None
    ) -> Lease | None:
        """The lease of such work if exactly one is out, for workers that do not echo tokens."""
        # Scans all leases, for the few old workers that need it.
        found = list(self._matching(kind, hub, instance_id, task_id))
        return found[0] if len(found) == 1 else None

    def keys_of(self, hub: str) -> list[WorkKey]:
        """All work of the task hub that is leased."""
        return [key for key in self._by_work if key[1] == hub]

    def _matching(
        self, kind: Kind, hub: str, instance_id: str | None, task_id: int | None
    ) -> Iterator[Lease]:
        for lease in self._by_work.values():
            work = lease.work
            is_kind = (work.kind, work.hub) == (kind, hub)
            if is_kind and instance_id in (None, work.instance_id) and work.task_id == task_id:
                yield lease
