"""What a flow says to its driver.

    flow --Ask(method, request, timeout)--> driver --answer, or SidecarError--> flow

A flow is an operation of a client, written once: a generator that asks for calls, gets their
answers and returns a result. `_sync.py` and `_aio.py` drive the same flows, so the two clients
cannot differ. A flow does no I/O and makes no ids.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that a flow wants made; `timeout` as `Transport.unary` takes it.

    The answer is a response, or the list of all where the method streams them.
    """

    method: Method
    request: Any
    timeout: float | None = None


Flow = Generator[Ask, Any, T]
