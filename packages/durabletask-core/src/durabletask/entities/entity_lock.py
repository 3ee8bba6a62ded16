"""The lock of a critical section, a context manager."""

from __future__ import annotations

from typing import Protocol, Self


class CriticalSection(Protocol):
    """The critical section of a lock."""

    def exit_critical_section(self) -> None:
        """Unlock the entities; does nothing if that has been done."""
        ...


class EntityLock:
    """Keeps entities locked until the end of its `with` block; see `lock_entities`.

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
