"""Sort the messages of the work item stream to those who do them.

Knows nothing about how a work item is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from durabletask.protocol import codec, work_items

from ._work import WorkItem

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from ._peers import Peer


class Lane(Protocol):
    """Takes work items of one kind."""

    async def put(self, items: Sequence[WorkItem], /) -> None: ...


class Intake:
    """Gives each message to the lane of its kind; what has none is logged and ignored."""

    def __init__(self, lanes: Mapping[str, Lane], log: logging.Logger) -> None:
        self._lanes = lanes
        self._log = log

    async def receive(self, raw: bytes, peer: Peer) -> None:
        try:
            item = WorkItem(raw, work_items.peek(raw, peer.dialect), peer)
        except codec.DecodeError as error:
            # There is no token in it to hand it back with.
            self._log.error("A work item that cannot be read was ignored: %s", error)
            return
        kind = item.peek.kind
        if kind in {"health_ping", ""}:
            return
        if (lane := self._lanes.get(kind)) is None:
            self._log.error(
                "Instance '%s': a work item was ignored, for this worker knows no '%s'.",
                item.instance_id,
                kind,
            )
            return
        await lane.put([item])
