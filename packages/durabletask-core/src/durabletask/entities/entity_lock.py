"""The locks of a critical section, as something to leave."""

from __future__ import annotations

from typing import Protocol, Self


class CriticalSection(Protocol):
    """What a lock holds on to."""

    def exit_critical_section(self) -> None:
        """Release what is locked; nothing if that has been done."""
        ...


class EntityLock:
    """Holds the locks that `lock_entities` got until the end of its `with` block.

    Example:
        with (yield ctx.lock_entities([source, target])):
            yield ctx.call_entity(source, "withdraw", 10)
            yield ctx.call_entity(target, "deposit", 10)
    """

    def __init__(self, context: CriticalSection) -> None:
        self._context = context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._context.exit_critical_section()
