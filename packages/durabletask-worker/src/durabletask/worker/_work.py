"""What travels through the worker: work items in, answers out.

Knows nothing about threads, streams or retries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.failures import DurableTaskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.methods import Method
    from durabletask.protocol.work_items import Peek

    from ._peers import Peer


class MessageTooLargeError(DurableTaskError):
    """An answer was larger than a message to the sidecar may be."""


# Raised by a worker, and known to programs by where they import it from.
MessageTooLargeError.__module__ = "durabletask.worker"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One message of the work item stream, undecoded but for what routes it; and who sent it."""

    raw: bytes
    peek: Peek
    peer: Peer

    @property
    def instance_id(self) -> str:
        return self.peek.instance_id

    @property
    def token(self) -> str:
        return self.peek.completion_token


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sidecar is told about a work item: done so, failed so, or handed back.

    `or_else` makes the answer to give instead when this one can never be taken, from the
    error that says why. `then` is called when the sidecar has the answer or will not get
    it, and must not raise. None where there is no such thing.
    """

    item: WorkItem
    method: Method
    request: Any
    or_else: Callable[[Exception], Answer] | None = None
    then: Callable[[], None] | None = None
