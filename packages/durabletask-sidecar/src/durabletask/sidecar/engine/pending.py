"""Name what an execution waits for.

Each name is pending at most once at a time. A worker that has lost its history may ask
again for what is under way, or for what has a result that it has not read yet: both are
recognized by these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The tag by which the Durable Task Framework marks fire-and-forget sub-orchestrations.
_FIRE_AND_FORGET = "FireAndForget"


def task(task_id: int) -> str:
    return f"task:{task_id}"


def timer(timer_id: int) -> str:
    return f"timer:{timer_id}"


def child(task_id: int) -> str:
    return f"child:{task_id}"


def call(request_id: str) -> str:
    """The call of an entity, whose result the orchestration waits for."""
    return f"call:{request_id}"


def lock(critical_section_id: str) -> str:
    return f"lock:{critical_section_id}"


def is_lock(name: str) -> bool:
    """Whether the name is that of a critical section."""
    return name.startswith(lock(""))


def is_fire_and_forget(tags: Mapping[str, str]) -> bool:
    """Whether a sub-orchestration with these tags has no parent: it is never pending."""
    return _FIRE_AND_FORGET in tags
