"""An operation of a client as a flow: a generator that says which calls it needs.

    flow --Call(method, request, timeout)--> driver --the answer, or SidecarError--> flow
         --IdentifyEngine()----------------> driver --Engine, or SidecarError------>
         --Fail(kind, method, ...)---------> driver --that SidecarError------------>

A flow is written once: the clients for threads and for event loops drive the same flows, so
they cannot differ. A flow does no I/O and makes no ids.
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


# Not frozen, as that would triple the time to make one. None is changed once it is made.
@dataclass(slots=True)
class Call:
    """A call to make; `timeout` is as for `Transport.unary`.

    The answer is a response, or the list of all where the method streams them.
    """

    method: Method
    request: Any
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class IdentifyEngine:
    """The flow depends on the engine at the other end; the answer is an `Engine`."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The flow ends with an error; only the transport knows which classes its callers catch."""

    kind: type[SidecarError]
    method: Method
    status: str
    details: str
    instance_id: str = ""
    sent: bool = True

    def refusal(self, address: str) -> Refusal:
        """The same as a refusal of the engine at that address."""
        return Refusal(
            address,
            self.method.name,
            self.status,
            self.details,
            instance_id=self.instance_id,
            sent=self.sent,
        )


Flow = Generator[Call | IdentifyEngine | Fail, Any, T]


def fail(failure: Fail) -> Flow[NoReturn]:
    """End the flow with that error."""
    yield failure
    raise AssertionError("a driver throws the error into the flow")
