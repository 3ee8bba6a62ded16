"""The engines of this process, which its clients and workers reach without a network.

An engine is listed under its address for as long as it serves; clients and workers look there
whenever they connect. The list is kept by process: a forked child finds none of its parent's
engines. Both sides know only this module, and neither imports the other. Does no I/O.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durabletask.protocol.methods import Method

Metadata = tuple[tuple[str, "str | bytes"], ...]

SCHEME = "in-process:"
"""The beginning of the address of an engine that does not listen on a port."""

# One place, whatever a program calls it.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


class Failure(NamedTuple):
    """Why a call failed: the name of a gRPC status, and what the engine says about it."""

    status: str
    details: str


class InProcessEngine(Protocol):
    """An engine in this process. Its methods may be called from any thread.

    What is handed over, in either direction, belongs to the receiver from then on: nobody
    changes a request after the call. Callbacks are called on the engine's own thread, so they
    return at once, raise nothing, and run no user code.
    """

    @property
    def name(self) -> str:
        """The engine's name and version, as it gives it over gRPC."""

    def is_current_thread(self) -> bool:
        """Whether the caller runs on the engine's own thread, which therefore must not wait."""

    def call(
        self,
        method: Method,
        request: Any,
        metadata: Metadata,
        answered: Callable[[Any, Failure | None], None],
    ) -> Callable[[], None]:
        """Carry out a method with one response; returns a function that cancels the call.

        `answered` is called once, with the response or with the failure; what changes
        something is stored by then. A call that is cancelled before is answered with CANCELLED,
        and one that the engine does not carry out since it stops with UNAVAILABLE.
        """

    def stream(
        self,
        method: Method,
        request: Any,
        metadata: Metadata,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Failure | None], None],
    ) -> Callable[[], None]:
        """Carry out a method with many responses; returns a function that cancels the call.

        `received` is called with the encoded responses, as many as there are; an empty
        sequence says that the engine has admitted the call. `ended` is called once, after the
        last of them, with None for a good end, and with the failures that `call` names.
        """


_engines: dict[tuple[int, str], InProcessEngine] = {}


def register(address: str, engine: InProcessEngine) -> None:
    """List an engine under its address, from now on."""
    _engines[os.getpid(), place(address)] = engine


def unregister(address: str, engine: InProcessEngine) -> None:
    """Take the engine off the list, unless another one has that address by now."""
    key = os.getpid(), place(address)
    if _engines.get(key) is engine:
        del _engines[key]


def find(address: str) -> InProcessEngine | None:
    """The engine at the address, `host:port` without a scheme, if it is in this process."""
    if not _engines:
        return None
    return _engines.get((os.getpid(), place(address)))


def place(address: str) -> str:
    """The address with one name for all the names of the loopback interface."""
    host, colon, port = address.rpartition(":")
    return f"loopback:{port}" if colon and host.lower() in _LOOPBACK else address
