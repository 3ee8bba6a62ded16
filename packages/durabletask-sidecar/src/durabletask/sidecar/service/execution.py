"""Carry out one command for a caller.

Knows nothing about what a command does: the engine does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import check
from .ids import INSTANCE_ID, check_given, check_length

if TYPE_CHECKING:
    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.network.rpc import Caller


async def execute(host: Host, caller: Caller, instance_id: str, command: Command) -> None:
    """Return once it is stored; raise RefusedError when it is turned down."""
    check_given(INSTANCE_ID, instance_id)
    check_length(INSTANCE_ID, instance_id)
    check(await host.execute(caller.hub, instance_id, command))
