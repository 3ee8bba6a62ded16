"""Faults to plant: one line of the sidecar each, and what it breaks.

Each line stands exactly once in its file, as it is written here except for the indentation; if
not, the list is out of date and the error says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIDECAR = "durabletask/sidecar"


class FaultLostError(Exception):
    """The line to change is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One changed line."""

    breaks: str
    file: str
    line: str
    changed: str

    def plant(self, sources: Path) -> None:
        """Change the line in these sources, which must be a copy."""
        path = sources / SIDECAR / self.file
        lines = path.read_text(encoding="utf-8").splitlines()
        number = self._place(lines)
        lines[number] = lines[number].replace(self.line, self.changed)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def check(self, sources: Path) -> None:
        """Raise FaultLostError when it could not be planted there."""
        self._place((sources / SIDECAR / self.file).read_text(encoding="utf-8").splitlines())

    def _place(self, lines: list[str]) -> int:
        found = [number for number, line in enumerate(lines) if line.strip() == self.line]
        if len(found) != 1:
            raise FaultLostError(
                f"{self.file} has the line {self.line!r} {len(found)} times, so that the fault "
                f"'{self.breaks}' cannot be planted; bring tests/prove/planted.py up to date"
            )
        return found[0]


FAULTS = (
    Fault(
        "an activity's outcome is acknowledged and lost",
        "engine/results.py",
        "builder.enqueue(RowKind.RESULT, _task_event(row, command, now), answers=name)",
        "pass",
    ),
    Fault(
        "an activity's result is applied as often as it is reported",
        "engine/results.py",
        "builder.remove_task(row.number)",
        "pass",
    ),
    Fault(
        "a task of a purged instance is completed in the next one of its id",
        "engine/state.py",
        "return row if row is not None and row.key == key else None",
        "return row",
    ),
    Fault(
        "an activity that is asked for again is dispatched again",
        "engine/orchestrator_actions.py",
        "if builder.has_task(task_id):",
        "if False:",
    ),
    Fault(
        "the activities of what was terminated still run",
        "engine/transition_builder.py",
        "self._tasks_remove = list(self.instance.tasks)",
        "self._tasks_remove = []",
    ),
    Fault(
        "a turn's events are seen by the next turn as well",
        "engine/turns.py",
        "builder.consume(turn.consumed)",
        "pass",
    ),
    Fault(
        "a turn's events are missing in history",
        "engine/turns.py",
        "builder.record_encoded(_turn_events(turn, command.version))",
        "builder.record_encoded(_turn_events(turn, command.version)[:1])",
    ),
    Fault(
        "events that came in since are lost when an instance continues as new",
        "engine/transition_builder.py",
        "kept = [row for row in self._unread() if row.kind.outlives_its_execution]",
        "kept = []",
    ),
    Fault(
        "carried events arrive in the wrong order",
        "engine/completion.py",
        "for event in completion.carryover_events:",
        "for event in reversed(completion.carryover_events):",
    ),
    Fault(
        "events that continue-as-new carries are lost",
        "engine/transition_builder.py",
        "carried = [row for row in self._inbox_add if row.kind is RowKind.CARRIED]",
        "carried = []",
    ),
    Fault(
        "results of the old execution reach the new one",
        "engine/inbox.py",
        "return self in (RowKind.CONTROL, RowKind.CARRIED, RowKind.EVENT)",
        "return self is not RowKind.START",
    ),
    Fault(
        "results wait behind events that came later",
        "engine/inbox.py",
        "return (min(self.kind, RowKind.EVENT), self.visible_at, self.number)",
        "return (self.kind, self.visible_at, self.number)",
    ),
    Fault(
        "a suspended instance runs when it continues as new",
        "engine/completion.py",
        "status=status.SUSPENDED if suspended else status.RUNNING,",
        "status=status.RUNNING,",
    ),
    Fault(
        "a suspended instance is given turns",
        "engine/state.py",
        "if progress.is_terminal or progress.suspended_at is not None:",
        "if progress.is_terminal:",
    ),
    Fault(
        "a resumed instance stays suspended",
        "engine/instances.py",
        "suspended_at=None,",
        "suspended_at=progress.suspended_at,",
    ),
    Fault(
        "a timer that is asked for again fires twice",
        "engine/orchestrator_actions.py",
        "builder.enqueue(RowKind.RESULT, fired, visible_at=fire_at, answers=name)",
        "builder.enqueue(RowKind.RESULT, fired, visible_at=fire_at)",
    ),
    Fault(
        "a timer fires at once",
        "engine/orchestrator_actions.py",
        "builder.enqueue(RowKind.RESULT, fired, visible_at=fire_at, answers=name)",
        "builder.enqueue(RowKind.RESULT, fired, answers=name)",
    ),
    Fault(
        "a parent is not told how its child ended",
        "engine/completion.py",
        "builder.send(report.instance_id, report.command)",
        "pass",
    ),
    Fault(
        "a parent goes on waiting for a child that has answered",
        "engine/results.py",
        "builder.remove_child(command.task_id)",
        "pass",
    ),
    Fault(
        "a child takes the place of an instance that lives",
        "engine/starting.py",
        "if instance is not None and instance.is_live:",
        "if False:",
    ),
    Fault(
        "a parent waits for ever for a child that was replaced",
        "engine/starting.py",
        "return (*releases, *_report_replacement(replaced, instance_id))",
        "return (*releases,)",
    ),
    Fault(
        "recursive termination spares the children",
        "engine/instances.py",
        "return ended._replace(for_children=for_children)",
        "return ended",
    ),
    Fault(
        "recursive purge leaves the children",
        "engine/instances.py",
        "for_children=recursion if command.recursive else None,",
        "for_children=None,",
    ),
    Fault(
        "a lock that is held is granted again",
        "engine/entities/locks.py",
        "builder.holder = Holder(head.caller.instance_id, head.request_id)",
        "pass",
    ),
    Fault(
        "an entity that is given free stays locked",
        "engine/entities/locks.py",
        "builder.holder = None",
        "pass",
    ),
    Fault(
        "what has ended keeps its locks",
        "engine/completion.py",
        "builder.release_all_locks()",
        "pass",
    ),
    Fault(
        "the second entity of a set is never locked",
        "engine/results.py",
        "position = command.position + 1",
        "position = command.position + 2",
    ),
    Fault(
        "two who lock the same entities wait for each other",
        "engine/entity_messages.py",
        "lock_set = tuple(sorted({ids.normalized_entity_id(each) or each for each in entity_ids}))",
        "lock_set = tuple(dict.fromkeys(ids.normalized_entity_id(each) or each for each in entity_ids))",
    ),
    Fault(
        "operations overtake the lock request before them",
        "engine/entities/batches.py",
        "if row.kind is MessageKind.LOCK or (count and (count >= _MAX_OPERATIONS or size > room)):",
        "if count and (count >= _MAX_OPERATIONS or size > room):",
    ),
    Fault(
        "operations run in the wrong order",
        "engine/entities/queue.py",
        "return (self.visible_at, self.number)",
        "return (self.visible_at, -self.number)",
    ),
    Fault(
        "the caller of an operation is not answered",
        "engine/entities/batches.py",
        "_answer(builder, row, *_outcome(result))",
        "pass",
    ),
    Fault(
        "an entity is purged under the orchestration that holds it",
        "engine/entities/delivery.py",
        "if entity is None or entity.progress.holder is not None:",
        "if entity is None:",
    ),
    Fault(
        "what follows from a command carries nothing further",
        "commit/unit_of_work.py",
        "waiting.append((target, following))",
        "pass",
    ),
    Fault(
        "a commit that failed is still in memory",
        "commit/aggregates.py",
        "self._cache.discard(self._transitions)",
        "pass",
    ),
    Fault(
        "what was purged is still in memory",
        "commit/aggregates.py",
        "self._cache.discard((key,))",
        "pass",
    ),
    Fault(
        "two workers have a turn of one instance",
        "work/dispatcher.py",
        "lease = self.leases.of(work.key)",
        "lease = None",
    ),
    Fault(
        "a lease is not given back",
        "work/leases.py",
        "is_current = self.forget_work(lease)",
        "is_current = True",
    ),
    Fault(
        "the work of a worker that has gone goes to nobody",
        "work/dispatcher.py",
        "for lease in self.leases.held_by(stream):",
        "for lease in ():",
    ),
    Fault(
        "an instance that was begun anew is given no turn while the old one's is out",
        "host.py",
        'self.dispatcher.revoke((Kind.TURN, hub, instance_id, ""))',
        "pass",
    ),
)
