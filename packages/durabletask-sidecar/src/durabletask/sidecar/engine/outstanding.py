"""Name what an execution may wait for: each thing once at a time.

A worker that lost its history may ask again for what is under way, or for what has an
answer that it has not read yet. Both are recognized by these names.
"""

from __future__ import annotations


def task(task_id: int) -> str:
    return f"task:{task_id}"


def timer(timer_id: int) -> str:
    return f"timer:{timer_id}"


def child(task_id: int) -> str:
    return f"child:{task_id}"


def call(request_id: str) -> str:
    """An operation of an entity that an answer is expected of."""
    return f"call:{request_id}"


def lock(critical_section_id: str) -> str:
    return f"lock:{critical_section_id}"


def is_lock(name: str) -> bool:
    """Whether the name is one of a critical section."""
    return name.startswith(lock(""))
