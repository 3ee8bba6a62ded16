"""The methods for task hubs as a whole.

A task hub needs nothing to be made: it is there as soon as somebody names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages

if TYPE_CHECKING:
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.network.rpc import Caller


class Hubs:
    """What an administrator may ask of the sidecar."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def create(
        self, request: messages.CreateTaskHubRequest, caller: Caller
    ) -> messages.CreateTaskHubResponse:
        if request.recreate_if_exists:
            self._host.wipe(caller.hub)
        return messages.CreateTaskHubResponse()

    async def delete(
        self, _request: messages.DeleteTaskHubRequest, caller: Caller
    ) -> messages.DeleteTaskHubResponse:
        self._host.wipe(caller.hub)
        return messages.DeleteTaskHubResponse()
