"""What an orchestrator may do while it has entities locked.

                lock_entities            lock granted           exit, or the end
    OUTSIDE ------------------> WAITING --------------> INSIDE ------------------> OUTSIDE
                                   |                                                  ^
                                   +-------------------- the end ---------------------+

    may it ...                        OUTSIDE   WAITING   INSIDE
    lock_entities                     yes       no        no
    call an entity it locks           yes       no        yes, once at a time
    call another entity               yes       no        no
    signal an entity it locks         yes       no        no
    signal another entity             yes       yes       yes
    call a sub-orchestrator           yes       no        no

So no two orchestrations wait for each other. Whatever ends the section unlocks all its entities
at once, also those whose lock was not granted yet: unlocking them does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.core import actions
from durabletask.entities import EntityLock
from durabletask.task import CompletableTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.core.pending_actions import PendingActions
    from durabletask.entities import EntityInstanceId


class Section:
    """One critical section; once granted, `free` are its entities with no call in progress."""

    __slots__ = ("_sections", "entities", "free", "id", "task")

    def __init__(
        self, sections: CriticalSections, id: str, entities: list[EntityInstanceId]
    ) -> None:
        self._sections = sections
        self.id = id
        self.entities = entities
        self.free: set[EntityInstanceId] = set()
        self.task: CompletableTask[EntityLock] = CompletableTask()

    def exit_critical_section(self) -> None:
        """Release what is locked; nothing if that has been done."""
        self._sections.leave(self)


class CriticalSections:
    """The section that an orchestration is in, or waits to enter, and its rules."""

    __slots__ = ("_current", "_instance_id", "_pending_actions")

    def __init__(self, instance_id: str, pending_actions: PendingActions) -> None:
        self._instance_id = instance_id
        self._pending_actions = pending_actions
        self._current: Section | None = None

    def enter(
        self, action_id: int, id: str, entities: Sequence[EntityInstanceId]
    ) -> CompletableTask[EntityLock]:
        """Request the locks; the task completes when all are granted."""
        if not entities:
            raise RuntimeError("Failed to create entity lock request.")
        # All request in the same order, so that there is no deadlock.
        in_order = sorted(set(entities))
        self._current = Section(self, id, in_order)
        locks = [str(entity) for entity in in_order]
        self._pending_actions.add(actions.lock_entities(action_id, id, locks, self._instance_id))
        return self._current.task

    def expect_id(self, id: str) -> None:
        """Expect the grant under the id that history has for the request."""
        if self._current is not None:
            self._current.id = id

    def granted(self, id: str) -> bool:
        """Enter the section; False if the orchestration does not wait for these locks."""
        section = self._current
        if section is None or section.id != id or section.task.is_complete:
            return False
        section.free.update(section.entities)
        section.task.complete(EntityLock(section))
        return True

    def leave(self, section: Section | None = None) -> None:
        """Unlock the entities of that section, or of the current one; once only."""
        current = self._current
        if current is None or (section is not None and section is not current):
            return
        self._current = None
        for entity in current.entities:
            id = self._pending_actions.next_id()
            unlock = actions.unlock_entity(id, current.id, str(entity), self._instance_id)
            self._pending_actions.add(unlock)

    def check_enter(self) -> None:
        """RuntimeError if the orchestrator may not lock entities now."""
        if self._current is not None:
            raise RuntimeError(
                "Must not enter another critical section from within a critical section."
            )

    def check_child(self) -> None:
        """RuntimeError if the orchestrator may not call a sub-orchestrator now."""
        if self._current is not None:
            raise RuntimeError("While holding locks, cannot call suborchestrators.")

    def check_signal(self, entity: EntityInstanceId) -> None:
        """RuntimeError if the orchestrator may not signal that entity now."""
        if self._current is not None and entity in self._current.entities:
            raise RuntimeError("Must not signal a locked entity from a critical section.")

    def check_call(self, entity: EntityInstanceId) -> None:
        """RuntimeError if the orchestrator may not call that entity now."""
        section = self._current
        if section is None or entity in section.free:
            return
        if not section.task.is_complete:
            raise RuntimeError(
                "Must await the completion of the lock request prior to calling any entity."
            )
        if entity in section.entities:
            raise RuntimeError(
                "Must not call an entity from a critical section while a prior call to the same "
                "entity is still pending."
            )
        raise RuntimeError(
            "Must not call an entity from a critical section if it is not one of the locked "
            "entities."
        )

    def begin_call(self, entity: EntityInstanceId) -> Section | None:
        """Note that a call is in progress; the section it is made in, if any."""
        if self._current is not None:
            self._current.free.discard(entity)
        return self._current


def end_call(section: Section | None, entity: EntityInstanceId) -> None:
    """Note that a call made in that section has been answered."""
    if section is not None:
        section.free.add(entity)
