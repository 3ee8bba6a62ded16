"""What a flow says to its driver.

    flow --Ask(method, request, timeout)--> driver --answer, or SidecarError--> flow
         --Settle()-----------------------> driver --Engine, or SidecarError-->
         --Refuse(kind, method, ...)------> driver --that SidecarError-------->

A flow is an operation of a client, written once: a generator that asks for calls, gets their
answers and returns a result. `_sync.py` and `_aio.py` drive the same flows, so the two clients
cannot differ. A flow does no I/O and makes no ids.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from durabletask.transport.errors import Refusal

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method
    from durabletask.transport.errors import SidecarError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that a flow wants made; `timeout` as `Transport.unary` takes it.

    The answer is a response, or the list of all where the method streams them.
    """

    method: Method
    request: Any
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """A flow that depends on who is at the other end; the answer is an `Engine`."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A flow that cannot go on; only the transport knows which errors its callers catch."""

    kind: type[SidecarError]
    method: Method
    status: str
    details: str
    instance_id: str = ""
    sent: bool = True

    def refusal(self, address: str) -> Refusal:
        """The same as a refusal of the engine's at that address."""
        return Refusal(
            address,
            self.method.name,
            self.status,
            self.details,
            instance_id=self.instance_id,
            sent=self.sent,
        )


Flow = Generator[Ask | Settle | Refuse, Any, T]


def refuse(refusal: Refuse) -> Flow[NoReturn]:
    """End with that error."""
    yield refusal
    raise AssertionError("a driver throws the error into the flow")
