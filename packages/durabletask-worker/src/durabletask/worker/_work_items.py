"""Work items as they arrive, the completions they are answered with, and who handles which.

A work item stays encoded until the handler of its kind takes it: only its outline is read
here, and of those that come in batches, on a thread of the connection's, only the kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from durabletask.core.settings import EngineCapabilities, dapr_engine
from durabletask.failures import DurableTaskError
from durabletask.protocol import codec, work_items

from ._log_errors import log_errors_ignored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from durabletask.core.settings import Settings
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.protocol.work_items import Outline, Peek
    from durabletask.transport.engine_detection import Engine

    from ._options import Logger


# What logs, here and in the sidecar, call the kinds of work items.
_KINDS = {
    "orchestrator_request": "orchestration",
    "activity_request": "activity",
    "entity_request": "entity",
    "entity_request_v2": "entity",
}


class MessageTooLargeError(DurableTaskError):
    """A result or decision is larger than the limit for a message to the sidecar."""


# Raised by a worker, and known to programs by the module they import it from.
MessageTooLargeError.__module__ = "durabletask.worker"


@dataclass(frozen=True, slots=True)
class ConnectedEngine:
    """The engine that sends work: what it supports, and the settings for its orchestrations."""

    engine: Engine
    settings: Settings

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> ConnectedEngine:
        """The engine as it is served by a worker with these settings."""
        name = engine.name
        capabilities = dapr_engine(name) if engine.is_dapr else EngineCapabilities(name=name)
        return cls(engine, replace(settings, engine=capabilities))

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @property
    def sends_pings(self) -> bool:
        """Whether it sends a message every half minute even if there is no work."""
        return not self.engine.is_dapr

    @property
    def omits_cached_history(self) -> bool:
        """Whether it leaves out history that the worker says it caches, and sends it on request."""
        return self.engine.is_dapr

    @property
    def supports_filters(self) -> bool:
        """Whether it sends only the work that the worker asks for."""
        return not self.engine.is_dapr

    def supports(self, method: Method) -> bool:
        """Whether it has that method."""
        return self.dialect in method.dialects


# Not frozen, as that would triple the time to make one, and each work item makes some. None is
# changed once it is made.
@dataclass(slots=True)
class WorkItem:
    """One message of the work item stream, its outline, and the engine that sent it."""

    raw: bytes
    peek: Peek
    engine: ConnectedEngine

    @property
    def instance_id(self) -> str:
        return self.peek.instance_id

    @property
    def token(self) -> str:
        return self.peek.completion_token

    @property
    def log_fields(self) -> dict[str, str]:
        """What a log record about the work item carries as `extra`."""
        kind = self.peek.kind
        return {"instance_id": self.instance_id, "kind": _KINDS.get(kind, kind)}


class EncodedWorkItem(NamedTuple):
    """One message of the work item stream, its outline, and the engine that sent it."""

    raw: bytes
    engine: ConnectedEngine
    outline: Outline

    def read(self) -> WorkItem:
        """Read its head, or raise DecodeError."""
        peek = work_items.peek(self.raw, self.engine.dialect, self.outline)
        return WorkItem(self.raw, peek, self.engine)


# Not frozen, for the same reason as `WorkItem`.
@dataclass(slots=True)
class Completion:
    """What the sidecar is sent for a work item: its result, its failure, or that it is abandoned.

    `fallback` makes the completion to send instead when the sidecar can never accept this
    one, from the error that says why; None: the work item is abandoned. `on_finished` is
    called once in the event loop, when the completion is delivered, or given up, as it is when
    the worker stops; it must not raise. `log_failure` logs the failure that the completion
    reports; it is not called if the completion is dropped, as that of user code which the worker
    cancels when it stops. It must not raise either.
    """

    item: WorkItem
    method: Method
    request: Any
    fallback: Callable[[Exception], Completion] | None = None
    on_finished: Callable[[], None] | None = None
    log_failure: Callable[[], None] | None = None


class WorkItemQueue(Protocol):
    """Takes work items of one kind."""

    async def put(self, item: EncodedWorkItem, /) -> None:
        """Take the item in the event loop, waiting while there are too many already."""

    def take(self, items: Sequence[EncodedWorkItem], /) -> None:
        """Take the items at once, on any thread; user code does not run on it."""


class WorkItemRouter:
    """Passes each work item to the queue of its kind; logs and ignores what has none."""

    def __init__(self, queues: Mapping[str, WorkItemQueue], log: Logger) -> None:
        self._queues = queues
        self._log = log

    def route_batch(self, messages: Sequence[bytes], engine: ConnectedEngine) -> list[bytes]:
        """Pass on those whose queue is known, on any thread; return the others, for `route`."""
        batches: dict[str, list[EncodedWorkItem]] = {}
        others: list[bytes] = []
        for raw in messages:
            try:
                outline = work_items.outline(raw)
            except codec.DecodeError:
                others.append(raw)
                continue
            if (kind := outline.kind) in self._queues:
                batches.setdefault(kind, []).append(EncodedWorkItem(raw, engine, outline))
            elif kind != "health_ping":
                others.append(raw)
        for kind, batch in batches.items():
            self._queues[kind].take(batch)
        return others

    async def route(self, raw: bytes, engine: ConnectedEngine) -> None:
        """Pass the work item on in the event loop, waiting while its queue is full."""
        try:
            outline = work_items.outline(raw)
            encoded = EncodedWorkItem(raw, engine, outline)
            if (queue := self._queues.get(outline.kind)) is not None:
                await queue.put(encoded)
            elif outline.kind not in {"health_ping", ""}:
                self._log_unknown(encoded.read())
        except codec.DecodeError as error:
            # It cannot be abandoned either: there is no completion token in it.
            with log_errors_ignored():
                self._log.error("A work item could not be decoded and was ignored: %s", error)

    def _log_unknown(self, item: WorkItem) -> None:
        self._log.error(
            "Instance '%s': a work item was ignored because this worker does not support "
            "its kind, '%s'",
            item.instance_id,
            item.peek.kind,
            extra=item.log_fields,
        )
