"""Who calls, and the checks of requests that several methods share.

Ids and names are checked before they become keys of the store or parts of a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from durabletask.sidecar._version import __version__
from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.transition import InvalidArgument

from .errors import RefusedError, check_reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import betterproto2

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.commit.pending_reply import PendingReply
    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.work.leases import Lease
    from durabletask.sidecar.work.streams import Receive

    Deliver = Callable[[Receive], Awaitable[None]]
    """Calls it with responses as they come, and returns when there are no more."""

ENGINE_NAME = f"durabletask-sidecar/{__version__}"
"""The name and version that this engine gives to its callers."""

INSTANCE_ID = "the instance id"

_DEFAULT_HUB = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call says besides its request."""

    hub: str
    metadata: Mapping[str, str | bytes]
    dialect: Dialect | None = None
    """In which the request was read; None where both vendors' are read alike."""
    lease: Lease | None = None
    """The lease that the request completes, if it was looked up to read the request."""

    @classmethod
    def of(cls, metadata: Mapping[str, str | bytes], dialect: Dialect | None = None) -> Caller:
        """Raise RefusedError when the task hub's name is too long."""
        hub = hub_of(metadata)
        check_length("the name of the task hub", hub)
        return cls(hub, metadata, dialect)


def hub_of(metadata: Mapping[str, str | bytes]) -> str:
    """The task hub that a call is for."""
    return str(metadata.get("taskhub") or _DEFAULT_HUB)


class Submitted(NamedTuple):
    """A change that is being stored, and the response that its caller gets then.

    A completion is answered alike whatever becomes of it, since its worker must not repeat it;
    `storing` is None if it changes nothing.
    """

    response: betterproto2.Message
    storing: PendingReply | None
    is_completion: bool = False

    def answer(self) -> betterproto2.Message:
        """The response, now that all is stored; raises the error that the call ends with."""
        if self.storing is not None:
            reply = self.storing.result()
            if not self.is_completion:
                check_reply(reply)
        return self.response

    async def wait(self) -> betterproto2.Message:
        """Wait until it is stored, and return the response or raise the error."""
        if self.storing is not None:
            await self.storing
        return self.answer()


async def execute(host: Host, caller: Caller, instance_id: str, command: Command) -> None:
    """Return once the command is stored; raise RefusedError when the engine refuses it."""
    check_reply(await submit(host, caller, instance_id, command))


def submit(host: Host, caller: Caller, instance_id: str, command: Command) -> PendingReply:
    """Let the command be stored with others; raises RefusedError for an id that cannot be."""
    check_given(INSTANCE_ID, instance_id)
    check_length(INSTANCE_ID, instance_id)
    return host.submit(caller.hub, instance_id, command)


def check_new(instance_id: str) -> None:
    """Raise RefusedError unless an orchestration may be given this id."""
    error = ids.instance_id_error(instance_id)
    if error is not None:
        raise RefusedError(InvalidArgument(error))


def check_given(what: str, value: str) -> None:
    """Raise RefusedError when the value is empty."""
    if not value:
        raise RefusedError(InvalidArgument(f"{what} is empty"))


def check_length(what: str, value: str) -> None:
    """Raise RefusedError when the value is longer than any stored key."""
    if len(value) > ids.MAX_LENGTH:
        text = f"{what} has {len(value)} characters; at most {ids.MAX_LENGTH} are allowed"
        raise RefusedError(InvalidArgument(text))


def entity_id(value: str) -> str:
    """The id as the engine stores it; raise RefusedError when it is no entity id."""
    check_length("the entity id", value)
    normalized = ids.normalized_entity_id(value)
    if normalized is None:
        raise RefusedError(InvalidArgument(f"{value!r} is not an entity id (@name@key)"))
    return normalized
