"""Errors for orchestrators that wait for something that is not a task.

Typical causes are `await asyncio.sleep(1)`, `when_all([helper()])` and a forgotten `yield from`:
the text says what was waited for and what to write instead.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from durabletask.serialization.checks import shown

if TYPE_CHECKING:
    from types import TracebackType

_LOOPS = frozenset({"asyncio", "anyio", "sniffio", "trio", "curio", "uvloop"})

_INSTEAD = (
    "An orchestrator is replayed and runs outside any event loop, so it can only wait for tasks "
    "of its context: use `ctx.create_timer(...)` instead of asyncio.sleep, `task.when_all([...])` "
    "instead of asyncio.gather, `ctx.wait_for_external_event(..., timeout=...)` or "
    "`task.when_any([...])` with a timer instead of asyncio.wait_for, and `ctx.call_activity(...)` "
    "for anything that does I/O."
)


def not_a_task(waited_for: object) -> TypeError:
    """The error for yielding or awaiting something that is not a task."""
    if waited_for is None:
        what = "None, as `yield` alone and asyncio.sleep(0) do. " + _INSTEAD
    elif inspect.iscoroutine(waited_for):
        what = (
            f"the coroutine {waited_for.__qualname__}(). Make the orchestrator an `async def` and "
            "await it there, or call it with `ctx.call_activity(...)` if it does I/O."
        )
    elif inspect.isgenerator(waited_for):
        what = f"the generator {waited_for.__qualname__}(). Use `yield from` to run its steps here."
    elif _comes_from_a_loop(type(waited_for).__module__):
        what = f"a {_named(waited_for)}. {_INSTEAD}"
    elif isinstance(waited_for, (list, tuple, set)):
        what = f"{shown(waited_for)}. To wait for several tasks use `task.when_all([...])`."
    else:
        what = (
            f"{shown(waited_for)}. Wait for what a method of the context returns, such as "
            "`ctx.call_activity(...)`; a plain value needs no waiting."
        )
    return TypeError(f"The orchestrator yielded a non-Task object: it waited for {what}")


def not_in_a_group(group: str, member: object) -> TypeError:
    """The error for giving `when_all` or `when_any` something that is not a task."""
    if inspect.iscoroutine(member):
        what = f"the coroutine {member.__qualname__}()"
    elif inspect.isgenerator(member):
        what = f"the generator {member.__qualname__}()"
    else:
        return TypeError(
            f"{group}() takes tasks, and was given {shown(member)}. Give it what methods of the "
            "context return, such as `ctx.call_activity(...)`; a plain value needs no waiting."
        )
    return TypeError(
        f"{group}() takes tasks, and was given {what}. To run it concurrently, make it an "
        "orchestrator and pass `ctx.call_sub_orchestrator(...)`, or `ctx.call_activity(...)` if "
        "it does I/O; else run it before or after the group."
    )


def needs_a_loop(error: BaseException) -> TypeError | None:
    """The error to report instead of asyncio's error for code outside an event loop, if it is one."""
    if not isinstance(error, RuntimeError):
        return None
    if "event loop" not in str(error) and not _raised_in_a_loop(error.__traceback__):
        return None
    explained = TypeError(f"The orchestrator waited for an event loop ({error}). {_INSTEAD}")
    explained.__cause__ = error
    return explained.with_traceback(error.__traceback__)


def _raised_in_a_loop(traceback: TracebackType | None) -> bool:
    innermost = None
    while traceback is not None:
        innermost, traceback = traceback, traceback.tb_next
    return innermost is not None and _comes_from_a_loop(
        innermost.tb_frame.f_globals.get("__name__", "")
    )


def _comes_from_a_loop(module: str) -> bool:
    return module.lstrip("_").partition(".")[0] in _LOOPS


def _named(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
